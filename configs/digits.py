"""Do soft labels beat hard ones, and does the best teacher grow up with the data? The demo, on 1,797 real digits.

  Claim     few images want an early, high-entropy teacher, many images a late one (paper, section 5 and figure 5)
  Command   make demo, or: jaxsoft run --config=configs/digits.py
  Quick     `:quick` is the same with fewer of everything; it shows that the machine works, not the claim

The teacher is three experts, pooled: their mean logits are better labels than any one's, which widens every difference.
"""

from ml_collections import ConfigDict

from jaxsoft.config import default, parse_arg

EPOCHS = (5, 10, 20, 30, 45, 60)


def get_config(arg: str | None = None) -> ConfigDict:
    """The demo, or `:quick`."""
    quick = parse_arg(arg, quick=False).quick
    config = default()
    config.name = "digits-quick" if quick else "digits"
    config.data.name = "digits"
    config.data.validation = 0.2

    config.teacher.model = "convnet(depth=2, width=16)"
    config.teacher.experts = 3
    config.teacher.epochs = 4 if quick else 60
    config.teacher.batch = 64
    config.teacher.learning_rate = 0.05

    # Digits must not be flipped; students must be trained to convergence, or hard labels win everywhere.
    config.student.model = "convnet(depth=2, width=16)"
    config.student.batch = 64
    config.student.steps = 40 if quick else 400
    config.student.optimizer = "adamw"
    config.student.schedule = "cosine"
    config.student.learning_rate = 2e-3
    config.student.weight_decay = 0.01
    config.student.augment = "none"
    config.student.evaluations = 4 if quick else 10

    config.sweep.ipc = (1, 5) if quick else (1, 2, 5, 10, 20, 50)
    config.sweep.labels = ("hard", *(f"teachers(3, epoch={e})" for e in ((2, 4) if quick else EPOCHS)))
    config.sweep.seed = tuple(range(2 if quick else 10))
    return config
