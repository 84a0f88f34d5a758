"""Does a loss that knows no scale hold across optimizers? SGD and AdamW, five losses, each pair at its own best rate.

Claim     GIFT: a cosine of logits with refined labels loses least when the optimizer changes
Table     accuracy by optimizer and loss; what a loss or a rate loses that was chosen under the other optimizer
Command   jaxsoft run gift
Expected  a smaller spread over optimizers under gift than under kl. Published: up to 30.8 points gained across optimizers, on
          distilled images, with rates that are not tuned again
Departs   real images, one label of each without views; KL at temperature 20 has the factor 400 that GIFT's lacks; both optimizers
          have the same rates to choose from, so that a rate can be kept; the mean square diverges at the largest one under SGD
Time      6.1 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets

RATES = (2e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0)  # on digits AdamW is best between .01 and .05, SGD from .03 on


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("gift", arg)
    losses = ("kl(20, scaled=true)", "gift") if study.quick else presets.LOSSES[:5]
    cells = [(study.teacher(study.stages[1]), loss) for loss in losses]
    rates = RATES[1:4:2] if study.quick else RATES
    axes = {
        "optimizer": ("sgd(momentum=0.9)", "adamw"),
        "learning_rate": rates,
        "labels loss": cells + ([] if study.quick else [("hard", losses[0])]),
    }
    return study.sweep({"ipc": study.ipc[:2], **axes})
