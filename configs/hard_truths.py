"""Do core-sets beat random images? With hard labels, one soft label of each image, soft labels of its views, at equal steps.

Claim     "Hard Truths about Soft Labels" (CVPR 2026): under soft labels core-sets do not beat random images, under hard ones they may
Table     accuracy with chosen images minus that with random ones, by way of choosing, kind of labels and budget
Command   jaxsoft run hard_truths
Expected  differences from random images shrink from hard labels to soft ones and on to those of views
Time      1.9 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets

VIEWS = 20  # of each image, labelled once each and seen in turn


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("hard_truths", arg)
    source, views = study.teacher(study.stages[1]), 2 if study.quick else VIEWS
    labels = ("hard", source, f"{source.removesuffix(')')}, views={views})")
    ways = ("random", "herding") if study.quick else ("random", "k_centers", "herding", "decile(i=0)")
    return study.sweep({"select": ways, "ipc": study.ipc[1:2] if study.quick else study.ipc[:2], "labels": labels})
