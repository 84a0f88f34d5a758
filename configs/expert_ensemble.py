"""Are several experts better than one? One to five of them, pooled as logits and as probabilities.

Claim     labels of pooled experts are better than any one expert's
Figure    student accuracy by the number of experts
Command   jaxsoft run expert_ensemble
Expected  accuracy rises with the number of experts
Time      5.4 min on digits: two cores of an AMD EPYC that did other work too, experts trained before
Quick     `:quick`, fewer of everything; seconds, shows that the machine works, not the claim
"""

from ml_collections import ConfigDict

from jaxsoft import presets


def get_config(arg: str | None = None) -> ConfigDict:
    """`:data=NAME` for another dataset, `:seeds=N`, `:quick`; joined by commas."""
    study = presets.study("expert_ensemble", arg, experts=5)
    when, experts = presets.when(study.stages[1]), study.config.teacher.experts
    pools = [
        (n, pool) for n in range(1, experts + 1) for pool in ("logits", "probabilities") if n > 1 or pool == "logits"
    ]
    labels = [f"teachers({n}, pool={pool}, {when})" for n, pool in pools if not study.quick or n in (1, experts)]
    return study.sweep({"ipc": study.ipc, "labels": ("hard", *labels)})
