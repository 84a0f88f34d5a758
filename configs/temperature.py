"""Is an early teacher more than a soft one? Teacher epochs times powers of the probabilities.

Claim     no temperature of a late teacher's labels replaces stopping it early
Figure    student accuracy over expert epoch and temperature
Command   jaxsoft run temperature
Expected  the best cell lies at an early epoch, not at a softened late one
Time      3.7 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim

`power(p)` is the `temp` of the paper's code, an inverse temperature: above 1 sharpens. The paper's grid is 1 to 5; a
small study has .5 too, which softens.
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("temperature", arg)
    epochs, powers = study.every(6), (f"{1 + 4 * i / 9:.3g}" for i in range(10))
    if study.small:
        epochs, powers = study.stages, ("1", "3") if study.quick else ("0.5", "1", "2", "3", "5")
    labels = [f"{study.teacher(epoch)}|power({p})" for p in powers for epoch in epochs]
    return study.sweep({"ipc": study.ipc[:2], "labels": ("hard", *labels)})
