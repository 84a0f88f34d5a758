"""Can good labels be had without an expert? Labels of fixed random images, learned through the training of students.

Claim     learned labels come to resemble the labels of pooled experts, and teach as well
Figure    distance between learned and ensemble labels, and accuracy beside it
Command   jaxsoft run learned_labels
Expected  learned labels lie near those of several experts, by Jensen-Shannon divergence
Time      1.3 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets

SMALL = dict(looks=6, look_outer_steps=20, students=2, judges=4)
QUICK = dict(looks=2, look_outer_steps=2, students=1, judges=1, unroll_steps=8, first_unroll_steps=4, window_steps=2)


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("learned_labels", arg, seeds=10, experts=5)
    budgets = (1,) if study.small else study.ipc
    age, experts = study.best_age(budgets[0]), study.config.teacher.experts
    reference = study.epoch_near(age)
    study.config.learned.update(QUICK if study.quick else SMALL if study.small else {}, reference_epoch=reference)
    pooled = [
        f"teachers({n}, {presets.when(age)})" for n in range(1, experts + 1) if not study.quick or n in (1, experts)
    ]
    return study.sweep({"ipc": budgets, "labels": ("hard", "learned", *pooled)})
