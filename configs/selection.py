"""Does it matter which images are chosen, once their labels are soft? Deciles of difficulty against a random draw.

Claim     with soft labels the choice of images matters little; random images will do
Figure    accuracy by decile of per-class cross-entropy, 0 the easiest
Command   jaxsoft run selection
Expected  smaller differences between deciles with soft labels than with hard ones
Time      2.1 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("selection", arg)
    deciles = [f"decile({i})" for i in ((0, 3, 6, 9) if study.quick else range(10))]
    labels = ("hard", study.teacher(study.stages[1]))
    return study.sweep(
        {"select": ("random", *deciles), "ipc": study.ipc[1:2] if study.quick else study.ipc[:2], "labels": labels}
    )
