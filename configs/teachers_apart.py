"""Is an early teacher more than a stronger late one that is softened, whatever the loss? Epochs, temperatures, four losses.

Claim     ours: whether softening replaces stopping early is a matter of the loss
Figure    accuracy with the last teacher at its best temperature minus that with the best earlier one, by loss
Command   jaxsoft run teachers_apart
Expected  with cross-entropy as `temperature` finds it; a cosine of logits knows no temperature, so there age alone can count
Departs   one learning rate for all, larger than the presets', as losses on logits need it
Time      3.0 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets

LOSSES = ("soft_cross_entropy", "kl(4, scaled=true)", "mse")  # that know a temperature


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("teachers_apart", arg)
    teachers = [study.teacher(age) for age in (study.stages[1:] if study.quick else study.stages)]
    softened = [f"{teacher}|temperature({t})" for t in ((2,) if study.quick else (2, 5)) for teacher in teachers]
    cells = [("hard", LOSSES[0]), *((text, "gift") for text in teachers)]
    cells += [(text, loss) for loss in LOSSES[: 1 if study.quick else None] for text in (*teachers, *softened)]
    rates = study.wide_rates()
    return study.sweep({"ipc": study.ipc[:2], "learning_rate": rates[len(rates) // 2 :][:1], "labels loss": cells})
