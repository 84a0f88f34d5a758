"""What are the images of a set worth beside random real ones, and its labels beside hard ones and an expert's?

Claim     a distilled set's accuracy is said to come from its images; much of it is its labels, or random images have it too
Table     {its images, random ones} x {its labels, hard, soft} at equal steps; what images, labels and both together are worth
Command   jaxsoft run compare, of imported sets jaxsoft compare SET SET
Expected  images of imported sets are worth more with hard labels than with an expert's soft ones
Time      2.3 min on digits: of processor time, an AMD EPYC, five imported sets, experts in the store
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from typing import Any

from ml_collections import ConfigDict

from jaxsoft import presets
from jaxsoft.distilled.comparing import cells

TUPLES: dict[str, Any] = dict.fromkeys(("sets", "models", "augment"), tuple[str, ...])
TUPLES |= {"ipc": tuple[int, ...], "rates": tuple[float, ...]}


def get_config(arg: str | None = None) -> ConfigDict:
    """`:sets=mtt+k_centers`, `ipc=1+10`, `models=`, `augment=`, `rates=`, `bits=equal`; `:data=NAME`, `:seeds=N`, `:quick`."""
    study = presets.study("compare", arg, seeds=10, bits="any", root="", **TUPLES)
    asked, quick = study.asked, study.quick
    sets = [cells.Compared(way, way) for way in ("k_centers", "decile(i=0)")[: 1 if quick else 2]]
    if asked.sets:
        from jaxsoft.distilled.comparing import lookup  # it loads JAX

        sets = [lookup.find(name, asked.root) for name in asked.sets]
    own = max((one.ipc for one in sets), default=0)
    ipcs = asked.ipc or (() if own else study.ipc[:1] if quick else study.ipc[1:2])
    best = [study.best_age(ipc) for ipc in ipcs or [one.ipc for one in sets if one.ipc]]
    ages = study.stages[1:2] if quick else cells.near(study.stages, best)
    teachers = [study.teacher(age) for age in ages]
    rates = study.wide_rates() if quick else study.wide_rates()[-5:-1]
    axes = {"select labels ipc": cells.cells(sets, ipcs, teachers, asked.bits)}
    axes |= {name: given for name, given in (("model", asked.models), ("augment", asked.augment)) if given}
    study.config.data.root = asked.root
    study.config.name = cells.experiment(study.config.name, sets if asked.sets else ())
    return study.sweep({**axes, "learning_rate": asked.rates or rates})
