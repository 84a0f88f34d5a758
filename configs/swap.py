"""Which entries of a soft label matter? The i-th largest is exchanged with the smallest, which keeps the entropy.

Claim     the first few entries carry most of what a student learns, and the more images there are the fewer they are
Figure    relative accuracy by the rank that was swapped
Command   jaxsoft run swap
Expected  relative accuracy on CIFAR-100 at IPC 1, 10, 50: rank 1 .475, .345, .165; 2 .71, .74, .78; 4 .78, .845, .91;
          8 .865, .89, .955; 16 .875, .935, .985; from 64 on .95 to 1. An independent reproduction, read off its chart.
Time      5.6 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, with `classes=K` if it is none of the paper's; `:seeds=N`, `:quick`."""
    study = presets.study("swap", arg)
    count, source = study.classes(), study.teacher(study.stages[1])
    ranks = (
        range(1, count) if count <= 32 else [2**i for i in range(count.bit_length()) if 2**i < count - 1] + [count - 1]
    )
    swapped = [f"{source}|swap({i})" for i in (ranks[:2] if study.quick else ranks)]
    return study.sweep({"ipc": study.ipc, "labels": ("hard", source, *swapped)})
