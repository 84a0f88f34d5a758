"""The report of run folders, as the command, a run that ends and `Results.report` write it; no JAX is loaded."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from jaxsoft import errors, files
from jaxsoft.analysis import report, tables
from jaxsoft.analysis.questions import compare
from jaxsoft.analysis.reading.read import read_run
from jaxsoft.analysis.showing.page import Table
from jaxsoft.analysis.statistics.groups import groups, tidy
from jaxsoft.experiment.store import manifest
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.types import Row

log = logging.getLogger(__name__)


def write(
    folders: Sequence[Path], out: str | os.PathLike | None = None, mix: bool = False, formats: Sequence[str] = ()
) -> Path:
    """Write the report; where it lies in a finished run's own folder the manifest lists it, if that can be read.

    Args:
      folders, out, mix, formats: as `analysis.report.write_report` takes them.
    """
    written = report.write_report(folders, out, mix, formats)
    if out is None and (folders[0] / manifest.MANIFEST).exists():
        try:
            manifest.extend(RunFolder(folders[0]), report.FILES)
        except errors.CheckpointError as problem:  # the report is written all the same
            log.warning("the report is not listed for jaxsoft verify: %s", problem)
    return written


def ending(folder: Path, rows: Sequence[Row], width: int | None, note: str) -> str:
    """What a terminal says of a finished run: its table, and the answer of its report; of sets that it compares the cells."""
    answer = tables.to_ascii(
        files.read(folder / report.SUMMARY, 1 << 28).decode().partition("\n")[0].removeprefix("# ")
    )
    found = read_run(folder)
    sections = [compare.answer(group, [found]) for group in groups(tidy(found.rows), compare.TOGETHER)]
    if (section := next(filter(None, sections), None)) and tables.to_ascii(section.title) == answer:
        cells = next(block for block in section.blocks if isinstance(block, Table))
        return "\n".join([tables.plain(cells, width), *filter(None, [note]), "", answer])
    return f"{tables.text_table(rows, width, note)}\n\n{answer}"
