"""What is a label worth by its bytes? Dense, cut and coded labels, one of an image or one of each of its views, online.

Claim     at equal bytes, pruned and quantised labels of views are better than one dense label
Figure    accuracy by the bytes of all labels, with the frontier
Command   jaxsoft run label_bytes
Expected  ImageNet-1K, ResNet-18, at IPC 10, 20, 50, 100, 200: labels of all views 20.1, 33.6, 46.8, 52.8, 57; pruned 40 times
          20.2, 33, 46.7, 54, 59.6; pruned and quantised 40 times 29.6, 41.2, 51.3, 56.2, 59.9, 200 times 20, 30.5, 43, 50.1,
          55.4. Published. The presets have no settings for it.
Departs   labels of each p-th view are fewer `views`, seen in turn; all labels are of one expert.
Time      3.1 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets

VIEWS = (5, 20, 100)  # of each image, labelled once each and seen in turn
CODECS = "int8", "int4", "top3:int4", "top1:int4"


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("label_bytes", arg)
    when = presets.when(study.stages[len(study.stages) // 2])
    one = f"teacher({when})"
    labels = ["hard", one, f"{one}|topk(3)", *(f"{one}|stored('{codec}')" for codec in CODECS)]
    for views in VIEWS[: 1 if study.quick else None]:
        many = f"teacher({when}, views={views})"
        labels += [many, *(f"{many}|stored('{codec}')" for codec in CODECS[2:])]
    labels.append(f"teacher({when}, mix=cutmix, online=true)")
    return study.sweep({"ipc": study.ipc, "labels": labels})
