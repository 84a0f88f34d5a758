"""What is the best teacher for every budget? Teacher epochs times images per class.

Claim     the best teacher is early for few images and late for many: a Pareto frontier of knowledge and data
Figure    5
Command   jaxsoft run frontier
Expected  CIFAR-100 at IPC 1, 5, 10, 50, 100: epoch 4 12.5, 17, 18, 19, 19; 10 15.1, 23.7, 26.3, 29.1, 29.9; 24 13.7, 28,
          32.4, 38.8, 40.2; 57 10.2, 24.6, 32.6, 45.8, 48.3; 125 8.2, 20.7, 28.9, 45.9, 50.1; hard 4.6, 13, 19.1, 36.7,
          44.8. An independent reproduction, read off its chart to half a point; its experts have 48.5 and 53.9% on test
          at epochs 57 and 125.
Departs   the reproduction's epochs are of 50,000 images, these of 45,000. CIFAR-10 is asked by accuracies, not by epochs.
Time      6.8 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("frontier", arg)
    return study.sweep({"ipc": study.curve, "labels": ("hard", *map(study.teacher, study.epochs))})
