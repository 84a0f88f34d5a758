"""What a loss wants beside the student's logits, read off the names of its parameters."""

from jaxsoft import errors, imports, spec
from jaxsoft.training import losses

LOSSES = spec.public_functions(losses), "loss", "jaxsoft/training/losses.py"
OF_LABEL = "row", "label_logits", "true_class", "label_features"
"""What it may want of a label; with `label_features` come `features`, the student's own."""


@imports.cached
def wanted(loss: str) -> tuple[str, ...]:
    """What the loss that a spec names wants of a label, see `Recipe.wants`."""
    taken = spec.parameters(spec.find(spec.parse_one(loss).name, *LOSSES))
    found = tuple(name for name in OF_LABEL if name in taken)
    if not found or {"row", "label_logits"} <= {*found}:
        told = (
            f"{' and '.join(found) or 'nothing'} of a label; wanted row or label_logits, or true_class, or one with it"
        )
        raise errors.ConfigError(f"loss '{loss}' takes {told}")
    if ("features" in taken) != ("label_features" in taken):
        raise errors.ConfigError(f"loss '{loss}' takes one of features and label_features; wanted both or neither")
    return found
