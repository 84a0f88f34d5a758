"""How should several experts be made one teacher, and by which statistics should they speak?

Claim     experts weighed by what students reach with each alone teach better than their mean, and batch norm by the
          statistics of the images that are labelled better than by running ones
Figure    what each way to weigh experts gains over equal weights; batch minus running statistics
Source    Cui et al. (2025), "Dataset Distillation via Committee Voting"
Command   jaxsoft run committee
Expected  CV-DD reports both for images that it synthesises and views of them, at ImageNet scale; of real images nothing is
          published.
Departs   three ConvNets with batch norm that differ in depth or width; labels of the image as it is and of eight views
Time      4.6 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("committee", arg)
    config = study.config
    models = ("convnet(depth=1, width=8, norm=batch)", "convnet(depth=1, width=4, norm=batch)")
    if not study.quick:
        models = tuple(
            f"convnet({size}, norm=batch)" for size in ("depth=2, width=16", "depth=1, width=16", "depth=2, width=4")
        )
    if not study.small:
        models = ("convnet(depth=3, norm=batch)", "convnet(depth=4, norm=batch)", "resnet18")
    config.student.batch = 10 if study.quick else config.student.batch  # leaves no small label batch
    config.teacher.models, config.teacher.experts, config.teacher.expected = models, len(models), ()
    n, when = len(models), presets.when(study.stages[-1])
    single = [f"teacher(expert={k}, {when})" for k in range(n)]
    pools = ["", "pool=random, ", "prior=experts, "]
    weighed = [f"committee({n}, {pool}{when})" for pool in pools]
    batch = [f"{text[:-1]}, statistics=batch)" for text in (f"teachers({n}, {when})", weighed[0])]
    seen = [f"{text[:-1]}, views=8)" for text in (f"teachers({n}, {when})", weighed[0], *batch)]
    labels = ("hard", *single, f"teachers({n}, {when})", *weighed, *batch, *(() if study.quick else seen))
    return study.sweep({"ipc": study.ipc[:2], "labels": labels})
