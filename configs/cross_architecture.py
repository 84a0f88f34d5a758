"""Do labels travel? Three architectures as experts, the same three as students.

Claim     labels of one architecture teach another as well as its own
Table     1
Command   jaxsoft run cross_architecture
Expected  ImageNet-1K at IPC 1, 10, 50, 100, 200: R18 expert, R18 student 6.6, 23.9, 47.9, 53.4, 56.8; R50 student 6.8, 24.0,
          53.1, 57.6, 62.3. R50 expert, R18 student 6.7, 22.9, 43.0, 53.5, 56.5; R50 student 7.3, 23.9, 53.2, 58.3, 62.7.
          Published. The presets have no settings for ImageNet-1K.
Departs   ResNet experts at .01 with momentum, not at .1 with three steps nor at 5e-4; students at 1e-3 throughout, where
          table 7 has up to 5e-3. Experts are those of the dataset's accuracies or epochs, which a ResNet passes sooner.
Time      3.7 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim

Experts differ in how fast they learn, so two ages are offered and validation chooses.
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("cross_architecture", arg)
    config, own = study.config, study.config.student.model
    models = (
        (own, "mlp(hidden=8)") if study.quick else (own, "convnet(depth=3, width=16, norm=group)", "mlp(hidden=64)")
    )
    if not study.small:
        models = (own, "resnet18", "resnet50")
        config.teacher.optimizer, config.teacher.learning_rate, config.teacher.weight_decay = (
            "sgd(momentum=0.9)",
            0.01,
            1e-4,
        )
        config.teacher.expected = ()  # of other experts
        config.student.optimizer, config.student.schedule = "adamw", "cosine"
        config.student.learning_rate, config.student.weight_decay = 1e-3, 0.01
    config.teacher.models, config.teacher.experts = models, len(models)
    ages = study.stages[-1:] if study.quick else study.stages[1:]
    labels = [f"teacher(expert={i}, {presets.when(age)})" for i in range(len(models)) for age in ages]
    return study.sweep({"model": models, "ipc": study.ipc[:2], "labels": ("hard", *labels)})
