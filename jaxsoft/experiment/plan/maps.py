"""Feature maps that labels hold, in a plan: their shapes, the losses that compare them, and their bytes."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from jaxsoft import config, errors, models
from jaxsoft.experiment.plan.sweep import MemberSpec
from jaxsoft.experiment.teach.experts import by_architecture
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import feature_maps
from jaxsoft.training.recipe import Recipe, wanted
from jaxsoft.types import Dataset


def with_maps(recipe: Recipe, labels: LabelSpec, settings: config.Settings, dataset: Dataset) -> Recipe:
    """The recipe of a student, with the shape of the feature maps that its labels hold, if they hold some.

    Raises:
      ConfigError: the student's network or the expert's tells no such map.
    """
    if labels.features is None:
        return recipe
    shape = of_expert(labels, settings, dataset)
    _told(f"student {recipe.model}", recipe.model, labels, dataset)
    return recipe._replace(features=shape, layer=labels.features)


def check(pairs: Iterable[tuple[str, str]], where: dict[str, str]) -> None:
    """Refuse losses that want feature maps of labels without them, and labels whose feature maps a loss ignores.

    Args:
      pairs: a loss and a label spec of the same student.
      where: the key that names a loss.

    Raises:
      ConfigError: in one line.
    """
    for loss, text in pairs:
        wants, there = "label_features" in wanted(loss), LabelSpec.parse(text).features is not None
        if wants and not there:
            told = f"{loss} wants feature maps, and label spec '{text}' holds none"
            raise errors.ConfigError(
                f"{where[loss]}: {told}; 'teacher(epoch=5, features=-1)' does, the last of epoch 5"
            )
        if there and not wants:
            told = f"label spec '{text}' holds feature maps, which the loss {loss} ignores"
            way = "leave features= out of it, or zip config.sweep.axes = ('labels loss',)"
            raise errors.ConfigError(f"config.sweep.labels: {told}; {way}")


def shared_bytes(members: Sequence[MemberSpec], settings: config.Settings, dataset: Dataset, used: int) -> int:
    """Bytes of the feature maps of so many images, once for each expert, epoch and layer."""
    found = sources(map(LabelSpec.parse, {m.labels for m in members})).values()
    shapes = (feature_maps.shape(of_expert(spec, settings, dataset)) for spec in found)
    return sum(used * math.prod(shape) * 4 for shape in shapes)


def sources(specs: Iterable[LabelSpec]) -> dict[str, LabelSpec]:
    """Those of some label specs that hold feature maps, by whose, when, and after which block; of equals the last."""
    return {source(spec): spec for spec in specs if spec.features is not None}


def source(spec: LabelSpec) -> str:
    """What the feature maps of labels depend on: the text of their spec without what is done to rows."""
    return str(replace(spec, operations=()))


def of_expert(labels: LabelSpec, settings: config.Settings, dataset: Dataset) -> str:
    """The shape of the feature maps of labels."""
    expert = labels.experts[0]
    model = next(model for model, places in by_architecture(settings.teacher).items() if expert in places)
    return feature_maps.text(_told(f"expert {expert}, {model}", model, labels, dataset))


def _told(who: str, model: str, labels: LabelSpec, dataset: Dataset) -> feature_maps.Shape:
    assert labels.features is not None
    try:
        return models.feature_shape(models.build(model, dataset.num_classes), dataset.image_shape, labels.features)
    except errors.ConfigError as problem:
        raise errors.ConfigError(f"config.sweep.labels: '{labels}', {who}: {problem}") from None
