"""What does the spread of results consist of? Images, experts and initialisations, crossed.

Claim     ours: the spread over initialisations alone, as the paper gives it, leaves out most of what a new run would change
Table     2, the spreads in its brackets
Command   jaxsoft run variance
Expected  published spreads are .2 to .8 points, over five initialisations of one subset and one expert
Time      3.2 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("variance", arg, seeds=5, experts=5)
    when, seeds = presets.when(study.stages[1]), study.config.sweep.seed
    experts = [f"teacher(expert={i}, {when})" for i in range(study.config.teacher.experts)]
    axes = {"ipc": study.ipc, "labels": ("hard", *experts), "subset_seed": seeds, "seed": seeds}
    return study.sweep(axes)
