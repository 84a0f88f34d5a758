"""Does the answer hang on the student's learning rate? Hard and soft labels at five rates, on TinyImageNet six.

Claim     ours: what soft labels gain is not owed to one lucky rate
Table     7, the rates chosen
Command   jaxsoft run learning_rate
Expected  student rates at IPC 1, 10, 50: CIFAR-10 and CIFAR-100 .01 throughout, TinyImageNet .01, .1, .1. Published.
Departs   the paper's sweep ends at .05, where its own choice for TinyImageNet is .1: there the rates go to .1
Time      3.0 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("learning_rate", arg)
    labels = ("hard", study.teacher(study.stages[1]))
    return study.sweep({"learning_rate": study.rates, "ipc": study.ipc, "labels": labels})
