"""What makes a label good? Hard, smoothed, labels of CutMix views, of one expert, of five.

Claim     smoothed labels are soft without structure and gain little; an expert's labels gain most
Table     1
Command   jaxsoft run smoothing
Expected  ImageNet-1K, ResNet-18, at IPC 1, 10, 50, 100, 200: hard .6, 3.9, 20.4, 28.2, 37.8; expert 6.6, 23.9, 47.9, 53.4,
          56.8; CutMix labels 1.6, 25.8, 54.3, 54.7, 57.7. Published. The presets have no settings for it.
Time      2.2 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets

VIEWS = 20  # of each image, labelled once each and seen in turn


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("smoothing", arg, experts=5)
    labels = ["hard", "hard|smooth(0.1)"]
    for when in map(presets.when, study.stages[-1:] if study.quick else study.stages[1:]):
        pooled = f"teachers({study.config.teacher.experts}, {when})"
        labels += [f"teacher({when}, views={VIEWS})", f"teacher({when})", pooled]
    return study.sweep({"ipc": study.ipc, "labels": labels})
