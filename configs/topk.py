"""How much knowledge is worth how much data? Labels cut to their k largest entries, over budgets and teacher epochs.

Claim     more entries of a label stand for fewer images: a data-knowledge scaling law
Figure    accuracy by images per class and by the k entries that are kept
Command   jaxsoft run topk
Expected  curves ordered by k; the paper's sweep of TinyImageNet has 550 students for each teacher epoch
Time      5.5 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim

The teachers of that sweep are of epochs 11, 20 and 50. CIFAR-100, with the same rate, has these too; CIFAR-10 has its
teachers of 56, 65 and 75%. Rows are not renormalised after the cut, as in the paper.
"""

from ml_collections import ConfigDict

from jaxsoft import presets

FINE = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 40)
PAPER = FINE, (1, 2, 5, 10, 15, 20, 30, 40, 50, 80, 100), (5, 10, 20, 30, 50, 100, 200)  # of an early to a late teacher


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, with `classes=K` if it is none of the paper's; `:seeds=N`, `:quick`."""
    study = presets.study("topk", arg, seeds=5)
    count = study.classes()
    kept = {count, *((1, 2, 3, 4, 6, 8) if study.small else (2**i for i in range(8)))}
    kept = [k for k in sorted(kept) if k <= count and not (study.quick and 1 < k < count)]
    if study.small and not study.quick:
        study.config.student.batch = 40  # most budgets are whole batches then
    grid = dict(zip(study.exchange, PAPER))
    if study.small:
        grid = dict.fromkeys(study.stages, study.ipc if study.quick else FINE)
    soft = [(ipc, f"{study.teacher(age)}|topk({k})") for age, budgets in grid.items() for ipc in budgets for k in kept]
    hard = [(ipc, "hard") for ipc in sorted({ipc for ipc, _ in soft})]
    return study.sweep({"ipc labels": hard + soft})
