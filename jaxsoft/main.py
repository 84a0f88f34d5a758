"""The command line: flags, one call each, and exit codes.

  jaxsoft run --config=FILE.py[:ARGS] [--config.KEY=VALUE ...] [--workdir=DIR] [--dry_run] [--nocompilation_cache]
  jaxsoft report DIR [DIR...] [--out=FILE.html] [--mix]
  jaxsoft data list | prepare NAME | verify NAME  [--root=DIR] [--source=DIR] [--resize=SIDE]
  jaxsoft verify DIR

Exit codes: 0 done, 2 settings, 3 data, 4 checkpoint or run folder, 5 finished with failed members, 75 interrupted
and resumable.
"""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from jaxsoft import config, errors

_MOST_CPU_DEVICES = 8  # each holds a copy of the images

Command = Callable[[Sequence[str]], int]


def entry() -> None:
    """What the console script calls."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Run a command; a mistake that the user can mend is told in one line on standard error.

    Returns:
      The exit code.
    """
    commands: dict[str, Command] = {"run": _run, "report": _report, "data": _data, "verify": _verify}
    try:
        if not argv or argv[0] in ("-h", "--help", "help"):
            print(__doc__)
            return 0
        if argv[0] == "--version":
            from jaxsoft import __version__

            print(__version__)
            return 0
        if argv[0] not in commands:
            raise errors.ConfigError(f"unknown command {argv[0]!r}; choices: {', '.join(commands)}")
        return commands[argv[0]](argv[1:])
    except errors.JaxsoftError as problem:
        print(f"jaxsoft: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        return errors.Interrupted.exit_code
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _run(argv: Sequence[str]) -> int:
    own = flags.FlagValues()
    flags.DEFINE_string("workdir", "", "run folder; runs/<name of the config> if not given", flag_values=own)
    flags.DEFINE_bool("dry_run", False, "print the plan and stop", flag_values=own)
    flags.DEFINE_bool("compilation_cache", True, "keep compiled programs in a per-user folder", flag_values=own)
    settings = _settings(own, argv)
    _set_up_jax(keep_programs=own["compilation_cache"].value)
    from jaxsoft.analysis import report, table
    from jaxsoft.experiment import describe, run  # JAX is loaded only now: mistakes above are told at once
    from jaxsoft.experiment.console import Console

    console, workdir = Console(), Path(own["workdir"].value or Path("runs") / settings.name)
    console.say(describe.versions())
    if own["dry_run"].value:
        console.say(run.dry_run(settings, workdir))
        return 0
    rows = run.run(settings, workdir, console)
    with console.stage("report"):
        report.write_report([workdir])
    run.close(workdir, console)
    console.say(table.text_table(rows))
    console.say(describe.ending(rows, workdir, console.seconds))
    failed = sum(row["status"] == "failed" for row in rows)
    return errors.FINISHED_WITH_FAILED_MEMBERS if failed else 0


def _report(argv: Sequence[str]) -> int:
    own = flags.FlagValues()
    flags.DEFINE_string("out", "", "where to write; the first folder if not given", flag_values=own)
    flags.DEFINE_bool("mix", False, "join runs of different data or protocols all the same", flag_values=own)
    folders = [Path(name) for name in _parse(own, argv)]
    if not folders:
        raise errors.ConfigError("jaxsoft report expects at least one run folder")
    from jaxsoft.analysis import report

    print(report.write_report(folders, Path(own["out"].value) if own["out"].value else None, mix=own["mix"].value))
    return 0


def _data(argv: Sequence[str]) -> int:
    own = flags.FlagValues()
    flags.DEFINE_string(
        "root", "", "folder of prepared data; $JAXSOFT_DATA or a per-user cache folder", flag_values=own
    )
    flags.DEFINE_string("source", "", "where the published files lie, if not below the root", flag_values=own)
    flags.DEFINE_integer("resize", None, "side in pixels, for image_folder", lower_bound=1, flag_values=own)
    words = _parse(own, argv)
    root, source, resize = own["root"].value or None, own["source"].value or None, own["resize"].value
    from jaxsoft import data
    from jaxsoft.experiment.console import Console

    if words == ["list"]:
        for name, state, description in data.available(root):
            print(f"{name:16} {state:14} {description}")
        return 0
    if len(words) != 2 or words[0] not in ("prepare", "verify"):
        raise errors.ConfigError("expected: jaxsoft data list | prepare NAME | verify NAME")
    if words[0] == "verify":
        print(data.verify(words[1], root, resize=resize))
        return 0
    console = Console()
    with console.stage("prepare"):
        told = lambda done, total: console.progress(done, total, "images")  # noqa: E731
        where = data.prepare(words[1], root, source, told, resize=resize)
    console.say(f"{words[1]} prepared in {where} ({console.seconds['prepare']:.1f} s)")
    return 0


def _verify(argv: Sequence[str]) -> int:
    words = _parse(flags.FlagValues(), argv)
    if len(words) != 1:
        raise errors.ConfigError("expected: jaxsoft verify DIR")
    from jaxsoft.experiment import folder

    problems = folder.verify(words[0])
    if problems:
        raise errors.CheckpointError(f"{words[0]} is not what the run left: {'; '.join(problems)}")
    print(f"{words[0]}: every file is as the run left it")
    return 0


def _parse(own: flags.FlagValues, argv: Sequence[str]) -> list[str]:
    """Parse flags; what is left over are words."""
    try:
        return own(["jaxsoft", *argv])[1:]
    except flags.UnrecognizedFlagError as problem:
        near = errors.nearest(problem.flagname, own, count=1)
        raise errors.ConfigError(f"unknown flag --{problem.flagname}; did you mean --{near}?") from None
    except flags.Error as problem:
        raise errors.ConfigError(str(problem)) from None


def _settings(own: flags.FlagValues, argv: Sequence[str]) -> config.Settings:
    """Load the config file, apply what the command line changes, and check all of it."""
    _check_config_flags(argv)
    holder = config_flags.DEFINE_config_file("config", flag_values=own, sys_argv=["jaxsoft", *argv])
    try:
        words = _parse(own, argv)
    except (AttributeError, KeyError, TypeError, ValueError) as problem:
        raise errors.ConfigError(f"cannot read --config: {_first_line(problem)}") from None
    if words:
        raise errors.ConfigError(f"unexpected argument {words[0]!r}; settings are written --config.KEY=VALUE")
    if holder.value is None:
        raise errors.ConfigError("jaxsoft run needs --config=FILE.py, such as --config=configs/digits.py")
    return config.read(holder.value)


def _check_config_flags(argv: Sequence[str]) -> None:
    """Say what is wrong with the config file's path or with an override, before a library says it at length."""
    for i, arg in enumerate(argv):
        name, _, text = arg.lstrip("-").partition("=")
        if not arg.startswith("-") or not (name == "config" or name.startswith("config.")):
            continue
        text = text if "=" in arg else (argv[i + 1] if i + 1 < len(argv) else "")
        if name == "config":
            _check_file(Path(text.partition(":")[0]))
        else:
            config.check_override(name, text)


def _check_file(path: Path) -> None:
    if path.is_file():
        return
    folder = path.parent if path.parent.is_dir() else Path(".")
    known = [str(p) for p in (*folder.glob("*.py"), *Path("configs").glob("*.py"))]
    near = f"; nearest: {errors.nearest(str(path), known)}" if known else ""
    raise errors.ConfigError(f"config file {path} not found (current folder: {Path.cwd()}){near}")


def _set_up_jax(keep_programs: bool) -> None:
    """One device for each core on CPU, and a persistent compilation cache; what the user has set up stays."""
    import jax

    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", min(_MOST_CPU_DEVICES, len(os.sched_getaffinity(0))))
    if keep_programs and not jax.config.jax_compilation_cache_dir:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~")) / ".cache") / "jaxsoft" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _first_line(problem: BaseException) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
