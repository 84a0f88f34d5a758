"""What an experiment asks: one module a question, with its analysis, its figure and its words.

There is nothing to register. A module here without a leading underscore defines

  ORDER                   where its answer stands among several; low numbers come first, and from BACKGROUND on an answer
                          follows what every report says and never gives it its title
  answer(group, runs)     the section, or sections, that answer it for one group of members; None if it is not asked there.
                          Charts of one name are numbered
  of_runs(runs)           instead, or before: sections about what run folders hold beside their results
  TOGETHER      optional  columns in which the members of a group may differ, because they are what is compared
  ANSWERS       optional  names of questions that this one answers too, which are not asked where it is
  private       optional  a mask of members that mean something to this question alone, so that curves of soft against hard
                          labels must leave them out where the question is asked; probes are always left out

A question may fail: the report then says so in its place, and goes on.
Whether a question is asked is read off the members themselves: their label specs, and the columns in which they differ.
"""

import importlib
import itertools
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType

import pandas as pd

from jaxsoft.analysis.reading.read import Run
from jaxsoft.analysis.showing import drawing
from jaxsoft.analysis.showing.chart import Chart
from jaxsoft.analysis.showing.page import Block, Picture, Section, Table
from jaxsoft.analysis.statistics.groups import Group, is_probe

BACKGROUND = 50


def modules() -> list[ModuleType]:
    """The modules of all questions, in the order of their answers."""
    names = [m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_")]
    found = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return sorted(found, key=lambda module: (module.ORDER, module.__name__))


def ask(module: ModuleType, split: Callable[[tuple[str, ...]], list[Group]], runs: Sequence[Run]) -> list[Section]:
    """The sections of one question, its charts drawn and those of one name numbered; empty if no group asks it.

    `split` gives the groups of members that may differ in some columns; `runs` are where the members come from.
    """
    sections = list(module.of_runs(runs)) if hasattr(module, "of_runs") else []
    parts = split(getattr(module, "TOGETHER", ())) if hasattr(module, "answer") else []
    answers = [(group, module.answer(group, runs)) for group in parts if "done" in set(group.members["status"])]
    told = [(group, [found] if isinstance(found, Section) else found) for group, found in answers if found]
    for group, found in told:
        name = f"{group.name[:1].upper()}{group.name[1:]}: " if group.name and len(told) > 1 else ""
        sections += [section._replace(title=name + section.title) for section in found]
    names = Counter(block.name for section in sections for block in section.blocks if isinstance(block, Chart))
    numbers = {name: itertools.count(1) for name, times in names.items() if times > 1}
    name = module.__name__.rpartition(".")[2].replace("_", "-")
    return [drawn(section, numbers=numbers, name=name) for section in sections]


def drawn(
    section: Section, suffix: str = "", numbers: Mapping[str, Iterator[int]] | None = None, name: str = ""
) -> Section:
    """A section with its charts as pictures, whose names end with the next of their `numbers`, if they have, and `suffix`.

    Tables without a name of their own get this `name`.
    """

    def shown(block: Block) -> Block:
        if isinstance(block, Table):
            return block._replace(name=block.name or name)
        if not isinstance(block, Chart):
            return block
        number = f"-{next(numbers[block.name])}" if numbers and block.name in numbers else ""
        alt = block.alt or f"{block.caption} {section.title}."
        return Picture(block.name + number + suffix, drawing.png(block), alt, block.caption, block)

    return section._replace(blocks=[shown(block) for block in section.blocks])


def common(members: pd.DataFrame, asked: Sequence[ModuleType]) -> pd.DataFrame:
    """The members that belong on curves of soft against hard labels: no probes, and no private matter of a question asked.

    Where there are only probes and no question of them was asked, they are shown all the same.
    """
    out = is_probe(members)
    for module in asked:
        out |= module.private(members) if hasattr(module, "private") else False
    return members if out.all() and not asked else members.loc[~out]
