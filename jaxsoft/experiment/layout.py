"""Which groups of a plan are worth measuring, and what was found: layouts of blocks, tiles and convolutions."""

from collections.abc import Callable
from dataclasses import replace

import jax

from jaxsoft import config
from jaxsoft.experiment import memory
from jaxsoft.experiment import plan as planning
from jaxsoft.experiment.waves import Group, Plan
from jaxsoft.training import cost, tuning
from jaxsoft.training.tuning import Layout, Table

# A search takes about half a minute for each kind of step; what trains for less than this is not worth one.
_WORTH_SECONDS = 600.0


def table() -> Table:
    """What this machine knows; it lies beside the compiled programs, if these are kept in a folder of a file system."""
    folder = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    return Table(None if "://" in (folder or "") else folder)


def measured(
    plan: Plan, settings: config.Settings, known: Table, told: Callable[[str], None], only_known: bool = False
) -> Plan:
    """The plan in the layouts that are fastest here, for the groups that train long enough to repay the search.

    Args:
      plan: in the layouts of the rules.
      settings: `compute` says what is given, and whether to measure.
      known: what was measured before, and where to remember.
      told: called with a line before each search.
      only_known: take what is known, measure nothing.
    """
    own = settings.compute
    given = {"block": own.block, "tile": own.tile, "lowering": own.lowering != "auto"}
    free = [name for name in Layout._fields if not given[name]]
    if own.tune == "never" or not free:
        return plan
    worth = 0.0 if own.tune == "always" else _WORTH_SECONDS

    def found(group: Group) -> Group:
        start, share = Layout(group.block, group.tile, group.lowering), -(-len(group.members) // plan.devices)
        about = group.recipe, plan.image_shape, share, start
        if not known.knows(tuning.question(*about, free)):
            flops = cost.step_flops(group.recipe, plan.image_shape) * len(group.members) * group.steps
            if only_known or cost.estimated_seconds(flops) < worth:
                return group
            told(f"measuring layouts of {group.recipe.model}, batch {group.recipe.batch}")
        return replace(group, **tuning.search(*about, known, free)._asdict())

    groups = tuple(map(found, plan.groups))
    return plan if groups == plan.groups else planning.cut(replace(plan, groups=groups), memory.budget_bytes(settings))
