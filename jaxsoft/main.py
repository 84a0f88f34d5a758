"""The command line: flags, one call each, and exit codes.

  jaxsoft run NAME[:ARGS] | --config=FILE.py[:ARGS]  [--config.KEY=VALUE ...] [--workdir=DIR] [--dry_run [--for=CHIP]]
              [--nocompilation_cache] [--process=auto | --process=I/N --coordinator=HOST:PORT] [--share=I/N]
              [--engine=ray [--address=HOST:PORT]]
  jaxsoft compare SET [SET...] [--data=NAME --ipc=N,N --models=SPEC,SPEC --augment=SPEC,SPEC --rates=RATE,RATE --seeds=N]
              [--bits=equal --protocol=both --quick] [--workdir=DIR] [--dry_run [--for=CHIP]] [--config.KEY=VALUE ...]
  jaxsoft join DIR [DIR...] [--to=DIR] [--partial]
  jaxsoft configs [copy NAME [FOLDER]]
  jaxsoft report DIR [DIR...] [--out=FOLDER or FILE.html] [--mix] [--formats=svg,pdf,csv,latex]
  jaxsoft data list | prepare NAME | verify NAME [--root=DIR] [--source=DIR] [--resize=SIDE] [--frames=T] [--encoded]
  jaxsoft import SOURCE --as=NAME [--dataset=NAME --resize=SIDE --root=DIR] [--format=NAME --run=I] [--space=SPACE]
                 [--kind=KIND --labels=PLACE --epochs=N --draws=2 --classes=2,0,1] [--factor=2 --decode=single]
                 [--side=SIDE --w0=10 --w0_initial=30] [--teacher=NAME --no_order] [--licence=TEXT]
  jaxsoft teacher import FILE --as=NAME [--model=SPEC --data=NAME --resize=SIDE --root=DIR --mean=M,M,M --std=S,S,S]
  jaxsoft verify DIR|SET [--root=DIR] [--run=DIR] [--teach]
  jaxsoft export RUN --to=FOLDER [--ipc=10 --labels=SPEC --seed=0 ...] [--codec=float16|int8|top3:int4|none] [--images]
                 [--teach] [--config=FILE.py[:ARGS]]
  jaxsoft doctor
  jaxsoft completion

NAME is an experiment that comes with jaxsoft, such as digits:quick, whatever files there are in the current folder; a
file of your own is given with --config. CHIP is an accelerator that is not here, as h200 or 8xh200, for which the dry
run plans memory and hours. --share=I/N trains one of N parts of a sweep in a folder of its own and meets no other
process, --share=teachers makes first what all of them need, and `jaxsoft join` makes the parts one run. `jaxsoft configs`
lists experiments and `jaxsoft run --help` all settings. SET is an imported set (`jaxsoft data list` has them), or a way
to select images such as k_centers; `jaxsoft doctor` says whether a run can start here; eval "$(jaxsoft completion)" lets
bash complete all of this.

Exit codes: 0 done, 1 no run can start (doctor), 2 settings, 3 data, 4 checkpoint or run folder, 5 finished with failed
members, 75 interrupted and resumable.
"""

import functools
import logging
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxsoft import errors
from jaxsoft.command import starting, stopping, streams

log = logging.getLogger(__name__)

_HELP = {"-h", "-help", "--help", "--helpfull", "--helpshort"}
_INTERRUPTED = "jaxsoft: interrupted; the same command goes on from there"


def entry() -> None:
    """What the console script calls. Until a run can save what it did, a signal to stop ends the process where it is.

    No exception would do: whatever is being imported or computed may catch it, or print it at length.
    """
    streams.prepare()  # first: whatever is opened before would take the place of a closed stream
    with stopping.heard(stopping.leave, _INTERRUPTED):
        code = main(sys.argv[1:])
        if code and "jaxsoft.experiment.machine.processes" in sys.modules:
            from jaxsoft.experiment.machine import processes

            processes.leave(code)
        sys.exit(code)


def main(argv: Sequence[str]) -> int:
    """Run a command; a mistake that the user can mend is told in one line on standard error.

    Returns:
      The exit code.
    """
    commands = {
        "run": _run,
        "compare": _compare,
        "join": _join,
        "configs": _configs,
        "report": _report,
        "data": _data,
        "import": _import,
        "teacher": _teacher,
        "verify": _verify,
        "export": _export,
        "doctor": _doctor,
        "completion": _completion,
    }
    try:
        if not argv or argv[0] == "help" or _HELP.intersection(argv):
            print(__doc__)
            if argv and argv[0] == "run":
                from jaxsoft import config

                _say("\n".join(["Settings, with their defaults:\n", *config.described()]))
            return 0
        if argv[0] == "--version":
            from jaxsoft import __version__
            from jaxsoft.experiment.machine.commit import commit

            print(f"{__version__} (commit {commit() or 'not known'})")
            return 0
        if argv[0] not in commands:
            raise errors.ConfigError(f"unknown command {errors.quoted(argv[0])}; choices: {', '.join(commands)}")
        return commands[argv[0]](argv[1:])
    except errors.JaxsoftError as problem:
        told = "\n".join(errors.shown(str(line)) for line in problem.args)
        print(f"jaxsoft: {told}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print(_INTERRUPTED, file=sys.stderr)
        return errors.Interrupted.exit_code


def _run(argv: Sequence[str]) -> int:
    from jaxsoft.command import arguments, clusters, shares

    flags = {"workdir": "", "dry_run": False, "for": "", "compilation_cache": True, "process": "", "coordinator": ""}
    settings, given = arguments.settings(argv, share="", engine="", address="", **flags)
    clusters.check(given)
    if given["for"] and not given["dry_run"]:
        raise errors.ConfigError(f"--for={given['for']} plans for devices that are not here: it wants --dry_run, too")
    workdir = arguments.folder(given["workdir"], "--workdir") or Path("runs") / settings.name
    workdir = shares.folder(workdir, given["share"], given["process"])
    with clusters.joined(given) as ray:
        return _begin(settings, workdir, given, ray)


def _begin(settings: Any, workdir: Path, given: Mapping[str, Any], ray: Any) -> int:
    """Start JAX, then the run, whose students are trained by workers of a cluster where there is one."""
    from jaxsoft.command import shares

    with starting.starting_jax():
        starting.set_up_jax(keep_programs=given["compilation_cache"])
        from jaxsoft import numerics, target
        from jaxsoft.console import Console
        from jaxsoft.experiment import run  # JAX is loaded only now: mistakes are told at once
        from jaxsoft.experiment.cluster.driver import Cluster
        from jaxsoft.experiment.machine import processes
        from jaxsoft.experiment.tell import describe

        processes.join(given["process"], given["coordinator"])
        is_first = processes.is_first()  # now JAX looks for its devices
    console = Console(quiet=not is_first)
    console.say("\n".join([describe.versions(), *numerics.overridden()]))
    if given["dry_run"]:
        if is_first:
            console.say(run.dry_run(settings, workdir, target.named(given["for"]) if given["for"] else None))
        return 0
    cluster = Cluster(ray, given["compilation_cache"]) if ray else None
    rows = run.run(settings, workdir, console, cluster=cluster)
    if shares.is_share(workdir.name):
        shares.end(workdir, console)
        return _ended(rows)
    code = _finish(rows, workdir, console, settings.note) if is_first else 0
    with console.interruptible():
        processes.barrier("report")
    return code


def _compare(argv: Sequence[str]) -> int:
    from jaxsoft.command import compare

    return _run(compare.as_run(argv))


def _finish(rows: Sequence[Any], workdir: Path, console: Any, note: str) -> int:
    """Close the folder, whatever becomes of the report; then write that, and say how it went."""
    from jaxsoft.experiment import run
    from jaxsoft.experiment.tell import describe

    run.close(workdir, console)
    with console.stage("report"):
        try:
            from jaxsoft.command import report

            report.write([workdir])
            text, is_written = report.ending(workdir, rows, console.columns(), note), True
        except Exception as problem:  # whatever it is, the run is done
            said = errors.shown(f"{type(problem).__name__}: {problem}")
            text = f"the results are whole, but the report is not written ({said}); try: jaxsoft report {workdir}"
            is_written = False
    console.say(f"{text}\n{describe.ending(rows, workdir, console.seconds, is_written)}")
    return _ended(rows)


def _ended(rows: Sequence[Any]) -> int:
    """The exit code of a run with these rows."""
    return errors.FINISHED_WITH_FAILED_MEMBERS if any(row["status"] == "failed" for row in rows) else 0


def _join(argv: Sequence[str]) -> int:
    from jaxsoft.command import shares

    return _finish(*joined) if (joined := shares.joined(argv)) else 0


def _configs(argv: Sequence[str]) -> int:
    from jaxsoft.command import arguments, experiments

    words, _ = arguments.parse(argv)
    if not words:
        _say("\n".join(experiments.listed()))
        _say("jaxsoft run NAME starts one, NAME:quick a small one, most take NAME:data=cifar10 (see jaxsoft data list)")
    elif words[0] == "copy" and len(words) in (2, 3):
        written = experiments.copy(words[1], Path(*words[2:]))
        _say(f"{written} is yours to change; then: jaxsoft run --config={shlex.quote(str(written))}")
    else:
        raise errors.ConfigError("expected: jaxsoft configs, or jaxsoft configs copy NAME [FOLDER]")
    return 0


def _doctor(argv: Sequence[str]) -> int:
    from jaxsoft.command import arguments, doctor

    if arguments.parse(argv)[0]:
        raise errors.ConfigError("jaxsoft doctor takes no words")
    found = doctor.examine()
    for state, text in found:
        _say(f"{state:8} {errors.shown(text)}")
    _say("no run can start" if doctor.is_ill(found) else "a run can start: jaxsoft run digits:quick")
    return errors.JaxsoftError.exit_code if doctor.is_ill(found) else 0


def _completion(argv: Sequence[str]) -> int:
    from jaxsoft.command import arguments, completion
    from jaxsoft.data import sets

    if arguments.parse(argv)[0]:
        raise errors.ConfigError('jaxsoft completion takes no words; for bash: eval "$(jaxsoft completion)"')
    return _say(completion.script(str(__doc__), list(sets.published())))


def _report(argv: Sequence[str]) -> int:
    from jaxsoft.command import arguments

    words, given = arguments.parse(argv, out="", mix=False, formats="")
    folders = [arguments.folder(word, "jaxsoft report") or Path(".") for word in words]
    if not folders:
        raise errors.ConfigError("jaxsoft report expects at least one run folder")
    from jaxsoft.command import report

    formats = [word.strip() for word in given["formats"].split(",") if word.strip()]
    return _say(report.write(folders, arguments.folder(given["out"], "--out"), given["mix"], formats))


def _data(argv: Sequence[str]) -> int:
    from jaxsoft.command import arguments

    words, given = arguments.parse(argv, root="", source="", resize=None, frames=None, encoded=False)
    root, source = (arguments.folder(given[name], f"--{name}") for name in ("root", "source"))
    with starting.starting_jax():
        from jaxsoft import data
        from jaxsoft.console import Console

    if words == ["list"]:
        from jaxsoft.distilled import kept

        listed = [*data.available(root), *kept.listed(str(root or ""))]
        width = max(len(name) for name, _, _ in listed)
        for name, state, description in listed:
            _say(f"{name:{width}} {state:14} {description}")
        return _say("jaxsoft data verify NAME checks the bytes of a prepared set, jaxsoft verify NAME of imports")
    if len(words) != 2 or words[0] not in ("prepare", "verify"):
        raise errors.ConfigError("expected: jaxsoft data list | prepare NAME | verify NAME")
    if words[0] == "verify":
        return _say(data.verify(words[1], root, resize=given["resize"]))
    console = Console()
    with console.stage("prepare"):
        told = functools.partial(console.progress, text="images")
        chosen = {name: given[name] for name in ("resize", "frames", "encoded")}
        where = data.prepare(words[1], root, source, told, **chosen, say=console.say)
    console.say(f"{words[1]} prepared in {where} ({console.seconds['prepare']:.1f} s)")
    return 0


def _verify(argv: Sequence[str]) -> int:
    from jaxsoft.command import verify

    return _say("\n".join(verify.verified(argv)))


def _import(argv: Sequence[str]) -> int:
    from jaxsoft.command import sets

    return _say("\n".join(sets.imported(argv)))


def _teacher(argv: Sequence[str]) -> int:
    from jaxsoft.command import teacher

    return _say("\n".join(teacher.imported(argv)))


def _export(argv: Sequence[str]) -> int:
    from jaxsoft.command import export

    return _say(export.exported(argv))


def _say(text: object) -> int:
    print(errors.lines(str(text)))
    return 0
