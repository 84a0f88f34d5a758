"""Which of the paper's claims hold on my data? One small sweep asks most of them at once.

Claim     swapped and shuffled labels lose, early teachers and pooled experts win, temperature does not replace age, and a
          class without images is recognised
Figure    a first look at swap, shuffle, temperature, pooling, teacher epoch and zero-shot classes
Command   jaxsoft run survey, or with another dataset: jaxsoft run survey:quick,data=cifar10
Expected  the answers of the experiments that ask one thing each, with wider intervals
Quick     `:quick`, fewer of everything; on digits seconds, on other data a reduced study of minutes

The report answers each question by itself. An answer that matters deserves its own experiment, with more seeds.
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, with `classes=K` if it is none of the paper's; `:seeds=N`, `:quick`."""
    study = presets.study("survey", arg, seeds=5, experts=3)
    last, experts = study.classes() - 1, study.config.teacher.experts
    early, *_, late = study.stages
    middle = study.stages[len(study.stages) // 2]
    source = study.teacher(middle)
    labels = ["hard", *map(study.teacher, study.stages)]
    labels += [
        f"{source}|shuffle",
        *(f"{source}|swap({i})" for i in sorted({1, min(2, last), max(1, last // 2), last})),
    ]
    labels += [f"{study.teacher(age)}|temperature(2)" for age in (early, middle, late)]
    labels += [f"teachers({n}, {presets.when(middle)})" for n in (1, experts)]
    subjects = range(0, last + 1, max(1, last // 2))
    cells = [(text, -1) for text in dict.fromkeys(labels)]
    cells += [cell for c in subjects for cell in ((source, c), (f"{source}|drop_class({c})", -1))]
    return study.sweep({"ipc": study.ipc[:2], "labels without": cells})
