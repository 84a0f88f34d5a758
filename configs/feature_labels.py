"""What does a feature map in a label add to its row? The teacher's maps beside hard and beside soft rows.

Claim     privileged information, feature maps of a teacher, makes reduced datasets better (DRUPI)
Figure    accuracy with maps minus that of the same rows without, by block and weight
Command   jaxsoft run feature_labels
Expected  a gain beyond hard rows, for maps are of a teacher; beyond its soft rows the question is open
Time      1.8 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim

Maps are of one expert, so soft rows are that expert's too. Another architecture compares its own maps through a learned
projection. There is no synthesis here: images are random, and maps are the expert's, which is what DRUPI begins from.
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("feature_labels", arg)
    config = study.config
    if study.quick and study.small:  # softmax regression has no maps
        config.teacher.model = config.student.model = "mlp(hidden=16)"
    models = (config.student.model, "mlp(hidden=8)" if study.quick else "mlp(hidden=64, layers=3)")
    compared = [(-1, 0.1)] if study.quick else [(-1, 0.01), (-1, 0.1), (-1, 1.0), (0, 0.1)]
    when = presets.when(study.stages[-1 if study.quick else 1])
    cells = [("hard", "soft_cross_entropy"), (f"teacher({when})", "soft_cross_entropy")]
    for layer, weight in compared:
        maps = f"teacher({when}, features={layer})"
        cells += [(labels, f"features({weight})") for labels in (f"{maps}|hard", maps)]
    return study.sweep({"model": models, "ipc": study.ipc[:2], "labels loss": cells})
