"""The command line: flags, one call each, and exit codes.

  jaxsoft run --config=FILE.py[:ARGS] [--config.KEY=VALUE ...] [--workdir=DIR] [--dry_run] [--nocompilation_cache]
              [--process=auto | --process=I/N --coordinator=HOST:PORT]
  jaxsoft report DIR [DIR...] [--out=FOLDER or FILE.html] [--mix]
  jaxsoft data list | prepare NAME | verify NAME  [--root=DIR] [--source=DIR] [--resize=SIDE]
  jaxsoft verify DIR

Exit codes: 0 done, 2 settings, 3 data, 4 checkpoint or run folder, 5 finished with failed members, 75 interrupted
and resumable.
"""

import contextlib
import io
import logging
import os
import runpy
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from absl import flags
from ml_collections import ConfigDict, config_flags

from jaxsoft import config, errors

_HELP = {"-h", "-help", "--help", "--helpfull", "--helpshort"}
_MOST_CPU_DEVICES = 8  # each holds a copy of the images

Command = Callable[[Sequence[str]], int]


def entry() -> None:
    """What the console script calls."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that cannot be shown is no reason to fail
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("absl").setLevel(logging.ERROR)
    code = main(sys.argv[1:])
    if code and "jaxsoft.experiment.processes" in sys.modules:
        from jaxsoft.experiment import processes

        processes.leave(code)
    sys.exit(code)


def main(argv: Sequence[str]) -> int:
    """Run a command; a mistake that the user can mend is told in one line on standard error.

    Returns:
      The exit code.
    """
    commands: dict[str, Command] = {"run": _run, "report": _report, "data": _data, "verify": _verify}
    try:
        if not argv or argv[0] == "help" or _HELP.intersection(argv):
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
    flags.DEFINE_string("process", "", "I/N, the number of this process and of all; auto on a cluster", flag_values=own)
    flags.DEFINE_string("coordinator", "", "HOST:PORT where the processes meet", flag_values=own)
    settings = _settings(own, argv)
    set_up_jax(keep_programs=bool(own["compilation_cache"].value))
    from jaxsoft.experiment import describe, processes, run  # JAX is loaded only now: mistakes above are told at once
    from jaxsoft.experiment.console import Console

    processes.join(own["process"].value or "", own["coordinator"].value or "")
    console = Console(quiet=not processes.is_first())
    workdir = Path(own["workdir"].value or Path("runs") / settings.name)
    console.say(describe.versions() + processes.told())
    if own["dry_run"].value:
        if processes.is_first():
            console.say(run.dry_run(settings, workdir))
        return 0
    rows = run.run(settings, workdir, console)
    code = _finish(rows, workdir, console) if processes.is_first() else 0
    with console.interruptible():
        processes.barrier("report")
    return code


def _finish(rows: Sequence[Any], workdir: Path, console: Any) -> int:
    """Close the folder, then write the report, and say how it went: what is finished stays so whatever becomes of the report."""
    from jaxsoft.experiment import describe, run

    run.close(workdir, console)
    with console.stage("report"):
        text = _told(rows, workdir)
    console.say(text)
    console.say(describe.ending(rows, workdir, console.seconds))
    failed = sum(row["status"] == "failed" for row in rows)
    return errors.FINISHED_WITH_FAILED_MEMBERS if failed else 0


def _told(rows: Sequence[Any], workdir: Path) -> str:
    """Write the report; return the results as text, or why there are none."""
    try:
        from jaxsoft.analysis import report, table

        report.write_report([workdir])
        _list_report([workdir])
        return table.text_table(rows)
    except Exception as problem:  # whatever it is, the run is done
        said = errors.shown(f"{type(problem).__name__}: {problem}")
        return f"the results are whole, but the report is not written ({said}); try: jaxsoft report {workdir}"


def _list_report(folders: Sequence[Path]) -> None:
    """Take a report that was written to a finished run's own folder into the manifest of that run."""
    from jaxsoft.analysis import report
    from jaxsoft.experiment import folder

    if len(folders) == 1 and (folders[0] / folder.MANIFEST).exists():
        folder.RunFolder(folders[0]).extend_manifest(report.FILES)


def _report(argv: Sequence[str]) -> int:
    own = flags.FlagValues()
    flags.DEFINE_string("out", "", "where to write; may be left out for one folder alone", flag_values=own)
    flags.DEFINE_bool("mix", False, "join runs of different data or protocols all the same", flag_values=own)
    folders = [Path(name) for name in _parse(own, argv)]
    if not folders:
        raise errors.ConfigError("jaxsoft report expects at least one run folder")
    from jaxsoft.analysis import report

    out = Path(own["out"].value).expanduser() if own["out"].value else None
    written = report.write_report(folders, out, mix=bool(own["mix"].value))
    if out is None:
        _list_report(folders)
    print(written)
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


def _parse(own: flags.FlagValues, argv: Sequence[str], settings: ConfigDict | None = None) -> list[str]:
    """Parse flags, and what they change in the settings; what is left over are words."""
    argv = ["jaxsoft", *argv]
    try:
        if settings is not None:
            config_flags.DEFINE_config_dict("config", settings, flag_values=own, sys_argv=argv)
        return own(argv)[1:]
    except flags.UnrecognizedFlagError as problem:
        near = errors.nearest(problem.flagname, own, count=1)
        hint = f"; did you mean --{near}?" if near else ""
        raise errors.ConfigError(f"unknown flag --{problem.flagname}{hint}") from None
    except flags.Error as problem:
        raise errors.ConfigError(_first_line(problem)) from None


def _settings(own: flags.FlagValues, argv: Sequence[str]) -> config.Settings:
    """Load the config file, apply what the command line changes, and check all of it."""
    source, others = _take_config(argv)
    if not source:
        raise errors.ConfigError("jaxsoft run needs --config=FILE.py, such as --config=configs/digits.py")
    name, colon, argument = source.partition(":")
    written = config.read(_load(Path(name), [argument] if colon else []))
    changed = ConfigDict(config.as_dict(written))
    words = _parse(own, others, changed)
    if words:
        raise errors.ConfigError(f"unexpected argument {words[0]!r}; settings are written --config.KEY=VALUE")
    return config.read(changed)


def _take_config(argv: Sequence[str]) -> tuple[str, list[str]]:
    """The value of --config and the other arguments; overrides are checked before a library says it at length."""
    source, others, words = "", [], iter(argv)
    for word in words:
        name, equals, text = word.lstrip("-").partition("=")
        if not word.startswith("-") or not (name == "config" or name.startswith("config.")):
            others.append(word)
            continue
        text = text if equals else next(words, "")
        if name == "config":
            source = text
        else:
            config.check_override(name, text)
            others.append(f"--{name}={text}")
    return source, others


def _load(path: Path, arguments: Sequence[str]) -> Any:
    """What a config file returns; whatever goes wrong in it is told in one line."""
    _check_file(path)
    try:
        scope = runpy.run_path(str(path))
        if "get_config" not in scope:
            raise errors.ConfigError(f"config file {path} defines no get_config()")
        return scope["get_config"](*arguments)
    except errors.JaxsoftError:
        raise
    except (Exception, SystemExit) as problem:
        frames = traceback.extract_tb(problem.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        text = _first_line(problem)
        if isinstance(problem, SyntaxError):
            lines, text = [problem.lineno], problem.msg
        where = f"{path}, line {lines[-1]}" if lines and lines[-1] else path
        raise errors.ConfigError(f"config file {where}: {type(problem).__name__}: {text}") from None


def _check_file(path: Path) -> None:
    if path.is_file():
        return
    folder = path.parent if path.parent.is_dir() else Path(".")
    known = [str(p) for p in (*folder.glob("*.py"), *Path("configs").glob("*.py"))]
    near = f"; nearest: {errors.nearest(str(path), known)}" if known else ""
    raise errors.ConfigError(f"config file {path} not found (current folder: {Path.cwd()}){near}")


def set_up_jax(keep_programs: bool) -> None:
    """One device for each core on CPU, and a persistent compilation cache; what the user has set up stays."""
    import jax

    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):  # called from Python, where JAX is at work already
            jax.config.update("jax_num_cpu_devices", min(_MOST_CPU_DEVICES, _cores()))
    if keep_programs and not jax.config.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~")) / ".cache") / "jaxsoft" / "xla"
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _first_line(problem: BaseException) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
