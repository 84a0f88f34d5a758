"""Shares on the command line: the run folder of `--share`, how a share ends, and what `jaxsoft join` does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jaxsoft import errors
from jaxsoft.command import arguments, starting
from jaxsoft.experiment.store import shares

is_share = shares.is_share


def folder(workdir: Path, share: str, process: str) -> Path:
    """The run folder of a share, or of the whole where none is named.

    Raises:
      ConfigError: there is no such share, it was asked to be several processes, or the shares there are not joined.
    """
    if share and process:
        raise errors.ConfigError(
            f"--share={share} meets no other process, as --process={process} does; give one of them"
        )
    if share:
        return shares.folder(workdir, share)
    if not is_share(workdir.name) and shares.within([workdir]) and not (workdir / "config.json").exists():
        told = f"{workdir} has shares of a sweep: --share=I/N trains one, jaxsoft join {workdir} makes them one run"
        raise errors.ConfigError(f"{told}; or choose another --workdir")
    return workdir


def end(workdir: Path, console: Any) -> None:
    """Close the folder of a share that is done, and say how the sweep goes on."""
    from jaxsoft.experiment import run

    run.close(workdir, console)
    around, share = workdir.parent, shares.of(workdir)
    if not share.count:
        return console.say(f"what all shares need is in {around}; next: the same command with --share=I/N for every I")
    told = f"share {share.index} of {share.count} is done; table: {workdir / 'results.csv'}"
    console.say(f"{told}\nnext, once all are done: jaxsoft join {around}")


def joined(argv: Sequence[str]) -> tuple[Sequence[Any], Path, Any, str] | None:
    """Join shares; the rows, the run folder, its console and its note, or None where students are missing.

    Raises:
      ConfigError: the words do not fit. CheckpointError: the shares cannot be joined.
    """
    words, given = arguments.parse(argv, to="", partial=False)
    paths = [arguments.folder(word, "jaxsoft join") or Path(".") for word in words]
    if not paths:
        raise errors.ConfigError("expected: jaxsoft join DIR [DIR...] [--to=DIR] [--partial]")
    with starting.starting_jax():
        from jaxsoft.console import Console
        from jaxsoft.experiment import join
        from jaxsoft.experiment.store.folder import RunFolder

    console = Console()
    rows, where = join.join(paths, arguments.folder(given["to"], "--to"), console, given["partial"])
    if rows:
        return rows, where, console, RunFolder(where).read_settings().note
    console.say(
        f"joined in {where}; next: the same command with --workdir={where} and no --share trains what is missing"
    )
    return None
