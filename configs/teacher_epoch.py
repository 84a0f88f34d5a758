"""How old should the teacher be? Students of every few epochs of its trajectory.

Claim     an early-stopped teacher labels best, and the fewer the images the earlier it has to stop
Table     7, the epochs chosen; the figure of accuracy, label entropy and expert accuracy by expert epoch
Command   jaxsoft run --config=configs/teacher_epoch.py
Expected  best epochs at IPC 1, 10, 50, 100: CIFAR-10 20, 44, 128, 164 (published to IPC 50); CIFAR-100 13, 36, 125, 125;
          TinyImageNet 11, 50, 90, 102. Published. A reproduction's label entropy on CIFAR-100 falls from 4.49 nats at
          epoch 0 to 3.26 at 13, 2.39 at 36 and 1.27 at 125.
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
