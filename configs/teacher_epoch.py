"""How old should the teacher be? Students of every few epochs of its trajectory.

Claim     an early-stopped teacher labels best, and the fewer the images the earlier it has to stop
Table     7, the epochs chosen; the figure of accuracy, label entropy and expert accuracy by expert epoch
Command   jaxsoft run teacher_epoch
Expected  accuracy of the best expert at IPC 1, 10, 50, 100: CIFAR-10 56.0, 65.1, 74.9, 76.5; CIFAR-100 33.1, 47.6, 52.7,
          52.7 (epochs 13, 36, 125, 125); TinyImageNet 19.2, 35.0, 38.1, 38.8 (11, 50, 90, 102). Published, on test. A
          reproduction's label entropy on CIFAR-100 falls from 4.49 nats at epoch 0 to 3.26 at 13, 2.39 at 36, 1.27 at 125.
Departs   on CIFAR-10 the table has epochs 20, 44, 128, 164 of a rate that does not lead there: see configs/cifar10.py
Time      5.8 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("teacher_epoch", arg)
    epochs = study.epochs if study.small else study.every(2)
    return study.sweep({"ipc": study.ipc, "labels": ("hard", *map(study.teacher, epochs))})
