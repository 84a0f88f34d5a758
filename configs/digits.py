"""The demo: hard labels against soft labels of teachers of six ages, on 1,797 real digits.

  Claim     few images want an early, high-entropy teacher, many images a late one (paper, section 5)
  Figure    5: the best teacher for every budget
  Command   make demo, or: jaxsoft run digits
  Expected  docs/results.md has the table as measured
  Time      1.6 min on digits: two virtual cores of an Intel Xeon, programs compiled anew
  Quick     `:quick` is the same with fewer of everything; it shows that the machine works, not the claim

The teacher is three experts, pooled: their mean logits are better labels than any one's, which widens every difference.
"""

from ml_collections import ConfigDict

from jaxsoft import presets
from jaxsoft.config import parse_arg

EPOCHS = (5, 10, 20, 30, 45, 60)


def get_config(arg: str | None = None) -> ConfigDict:
    """The demo, or `:quick`."""
    quick = parse_arg(arg, quick=False).quick
    study = presets.study("digits", None)
    config = study.config
    config.name = "{data}-quick" if quick else "{data}"
    config.teacher.experts, config.teacher.store = 3, ""
    if quick:
        config.note = presets.QUICK
        config.teacher.epochs, config.student.steps, config.student.evaluations = 4, 40, 4
    labels = ("hard", *(study.teacher(epoch) for epoch in ((2, 4) if quick else EPOCHS)))
    ipc = (1, 5) if quick else (1, 2, 5, 10, 20, 50)
    return study.sweep({"ipc": ipc, "labels": labels, "seed": range(2 if quick else 10)})
