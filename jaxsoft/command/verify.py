"""What `jaxsoft verify` says: of a run folder, of an export, or of an imported set."""

import functools
import os
from collections.abc import Sequence
from pathlib import Path

from jaxsoft import errors, sealed
from jaxsoft.command import arguments, starting


def verified(argv: Sequence[str]) -> list[str]:
    """What holds of a folder, in lines.

    Raises:
      ConfigError: the words or flags do not fit. CheckpointError: something does not hold.
    """
    words, given = arguments.parse(argv, run="", teach=False, root="")
    where = arguments.folder(words[0], "jaxsoft verify") if len(words) == 1 else None
    if where is None:
        raise errors.ConfigError("expected: jaxsoft verify DIR|SET [--root=DIR] [--run=DIR] [--teach]")
    with starting.starting_jax():
        from jaxsoft.data.formats import exported
        from jaxsoft.distilled import kept
        from jaxsoft.experiment.store import manifest

    if exported.is_export(where):
        return _export(where, arguments.folder(given["run"], "--run"), given["teach"])
    if given["run"] or given["teach"]:
        raise errors.ConfigError(f"--run and --teach are for exports, and {where} is none")
    if (where / kept.KIND.record).is_file():
        return [kept.verified(str(where.absolute()))]
    if not where.exists() and words[0] in kept.KIND.names(given["root"]):
        return [kept.verified(words[0], given["root"])]
    if not os.path.lexists(where) and sealed.is_name(words[0]):
        raise errors.CheckpointError(f"no run folder at {where.absolute()}, and no imported set {words[0]!r}")
    problems = manifest.verify(where)
    if problems:
        raise errors.CheckpointError(f"{where} is not what the run left: {'; '.join(problems)}")
    return [f"{where}: every file is as the run left it"]


def _export(where: Path, run: Path | None, teach: bool) -> list[str]:
    with starting.starting_jax():
        starting.set_up_jax(keep_programs=True)
        from jaxsoft.console import Console
        from jaxsoft.experiment.export import again
        from jaxsoft.experiment.tell import progress

    console = Console()
    with console.stage("teachers"):
        return again.verify(where, run, teach, functools.partial(progress.of_teachers, console))
