"""Which loss should students minimise? Six losses on the same labels, each at its own best rate, and hard labels.

Claim     ours: what a loss gains is told only when each has its own learning rate
Figure    accuracy of each loss minus that of soft cross-entropy, at each budget
Command   jaxsoft run loss
Expected  GIFT, ICLR 2025: refined labels with a cosine of logits beat cross-entropy, KL and mean squares; its text, on distilled images
Departs   GIFT's KL at temperature 20 lacks the factor 400 that it has here, without which SGD does not move
Time      3.5 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("loss", arg)
    losses = presets.LOSSES[: 3 if study.quick else None]
    cells = [("hard", losses[0]), *((study.teacher(study.stages[1]), loss) for loss in losses)]
    return study.sweep({"ipc": study.ipc[:2], "learning_rate": study.wide_rates(), "labels loss": cells})
