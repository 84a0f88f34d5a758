"""What several questions choose among: sets of arms, such as all cuts of one source."""

from collections.abc import Mapping
from typing import TypeVar

from jaxsoft.analysis.statistics.groups import Arms, Group

K = TypeVar("K")


def best_of(group: Group, ipc: int, sets: Mapping[K, Arms]) -> K:
    """Of several sets of arms, some of which were run at a budget, the one that holds what is chosen there."""
    pick = group.choose(ipc, [arm for arms in sets.values() for arm in arms])
    return next(key for key, arms in sets.items() if pick in arms)


def judged(group: Group, arms: Arms) -> list[int]:
    """The budgets at which some unit was run with the arm that the other units choose."""
    return [ipc for ipc in group.budgets(arms) if group.accuracy(ipc, arms).n]
