"""Can a student know a class it has never seen? A class loses its images, or its place in the labels of all other images.

Claim     a student recognises a class without an image of it, from the mass that it has in the labels of others
Figure    accuracy on the subject class without its images, without its labels, and with both
Command   jaxsoft run zero_shot
Expected  without its images, the 40 subject classes of TinyImageNet are recognised far more often than never
Time      6.5 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim

Subjects are all classes up to 20, else every fifth in the order of the expert's accuracy. Only the final student counts. A
small study asks teachers of three ages: the more a label says of other classes, the more there is to know.
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, with `classes=K` if it is none of the paper's; `:seeds=N`, `:quick`."""
    study = presets.study("zero_shot", arg)
    count, budgets = study.classes(), study.ipc[1:2]
    subjects = range(count) if count <= 20 else range(0, count, 5)
    study.config.subjects = "index" if count <= 20 else "accuracy"
    study.config.student.evaluations = 1
    best = study.best_age(budgets[0])
    ages = (study.epochs[0], study.stages[0], best) if study.small and not study.quick else (best,)
    cells = [("hard", -1)]
    for source in map(study.teacher, dict.fromkeys(ages)):
        cells.append((source, -1))
        for c in subjects[:2] if study.quick else subjects:
            cells += [(source, c), (f"{source}|drop_class({c})", -1)]
    return study.sweep({"ipc": budgets, "labels without": cells})
