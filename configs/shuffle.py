"""Is softness enough? All entries but the largest are permuted, image by image: same entropy, same guess, no structure.

Claim     soft labels help because of their structure; unstructured softness is worse than none
Figure    structured against shuffled labels
Command   jaxsoft run shuffle
Expected  CIFAR-100 at IPC 1, 10, 50: soft 15.2, 32.6, 45.9; hard 4.6, 19.1, 36.7; shuffled 4.6, 15.0, 28.7. An
          independent reproduction, whose soft numbers are of the best teacher of each budget (configs/frontier.py).
Time      3.8 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("shuffle", arg)
    sources = [study.teacher(epoch) for epoch in study.stages]
    return study.sweep({"ipc": study.ipc, "labels": ("hard", *sources, *(f"{s}|shuffle" for s in sources))})
