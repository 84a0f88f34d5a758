"""Random real images with hard labels and with the soft labels of the teacher that suits the budget.

Claim     soft labels alone make random real images a match for distilled ones
Table     1 and 2; the teachers are those of table 7, on CIFAR by its accuracies, on TinyImageNet by its epochs
Command   jaxsoft run soft_vs_hard
Expected  CIFAR-100, `:data=cifar100`: soft 16.0, 34.3, 47.1, 51.3 and hard 4.2, 14.6, 30.0 (IPC 1, 10, 50) at IPC 1, 10, 50, 100.
          CIFAR-10: soft 21.1, 46.3, 62.1. TinyImageNet: soft 7.6, 27.2, 35.6, 38.2. Published, selected on test.
          An independent reproduction on CIFAR-100 found 15.0, 34.9, 46.9, 48.7.
Departs   as the headers of the three baselines say
Time      5.5 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("soft_vs_hard", arg)
    return study.soft_against_hard(study.curve)
