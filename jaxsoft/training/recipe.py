"""The recipe by which one student (or one expert) is trained: what all members of a bucket share, by specs."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from jaxsoft import errors, imports, models, sources, spec, target
from jaxsoft.labels.bank import pooled
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import augment, feature_maps, losses, mixing, optim, schedules

_OPTIMIZERS = spec.public_functions(optim), "optimizer", "jaxsoft/training/optim.py"
_LOSSES = spec.public_functions(losses), "loss", "jaxsoft/training/losses.py"
_OF_LABEL = "row", "label_logits", "true_class", "label_features"
"""What a loss may want of a label, by the names of its parameters."""
_LATER = "mix", "online", "teachers", "features", "layer", "accumulate", "batch_norm"
_SCHEDULES = spec.public_functions(schedules), "schedule", "jaxsoft/training/schedules.py"


class Recipe(NamedTuple):
    """What all members of a bucket share; static in the compiled program.

    Parameters, statistics, optimizer, logits and loss are float32 whatever the precision.
    """

    model: str  # spec of the architecture, such as `convnet(depth=3)`
    num_classes: int  # K
    slots: int  # N, room for the images of a member's subset
    batch: int  # B <= N, images of a step; if B = N, a step sees the whole subset
    optimizer: str = "sgd"  # specs, as are the next two
    schedule: str = "constant"
    augment: str = "none"
    precision: str = "float32"  # of images and feature maps, and of what is multiplied with them; or bfloat16
    views: int = 0  # labels of an image, each of a view of its own and used in its own epoch; 0: one, of the image
    loss: str = "soft_cross_entropy"  # spec
    mix: str = mixing.CUTMIX  # spec, of views: what a view has of another image
    online: str = ""  # label spec of teachers that are asked at every step
    teachers: str = ""  # the specs of their networks, joined by bars
    features: str = ""  # shape of the feature maps that labels hold, as `4x4x128`; empty: they hold none
    layer: int = -1  # which map of the network is compared to them
    accumulate: int = 1  # parts of a batch that are taken one after another, with statistics of their own
    batch_norm: str = "global"  # of a batch that devices share: statistics of all of it; else each device's own

    def steps_per_epoch(self, slots: Any) -> Any:
        """For a subset of this size; the last, partial batch of an epoch is a step too."""
        return -(-slots // self.batch)

    def build_model(self) -> nn.Module | models.Network:
        """The network of one member."""
        return models.build(self.model, self.num_classes)

    def logits(self, variables: Any, images: Float[Array, "B *S C"], **options: Any) -> Any:
        """Apply the network; models compute in the type of the images they are given."""
        return self.build_model().apply(variables, images.astype(self.precision), **options)

    def learn(self, variables: Any, projection: Any, images: Array, **options: Any) -> tuple[Array, Array | None, Any]:
        """Logits in training, the feature map that is compared to the label's, where there is one, and the new state."""
        if not self.features:
            logits, state = self.logits(variables, images, train=True, **options)
            return logits, None, state
        network, images = self.build_model(), images.astype(self.precision)
        logits, maps, state = models.features(network, variables, images, self.layer, train=True, **options)
        return logits, feature_maps.projected(projection, maps, self.features), state

    def build_optimizer(self) -> Callable[..., optax.GradientTransformation]:
        """From a learning rate and a weight decay, which may be traced, to optax's transformation."""
        return spec.resolve(self.optimizer, *_OPTIMIZERS, ("learning_rate", "weight_decay"))

    def build_schedule(self) -> Callable[[Array], Array]:
        """From the fraction of training that is done, in [0, 1), to the factor of the rate."""
        return spec.resolve(self.schedule, *_SCHEDULES, ("progress",))

    def build_loss(self) -> Callable[..., Array]:
        """From logits [K] of one image, and by name what `wants` says of its label, to a scalar."""
        return spec.resolve(self.loss, *_LOSSES, ("logits",), (*_OF_LABEL, "features"))

    @property
    def wants(self) -> tuple[str, ...]:
        """What the loss wants of a label: `row`, probabilities [K], or `label_logits` [K]; `true_class`; `label_features`.

        Raises:
          ConfigError: it wants both forms of a label, or nothing of it; or one of two feature maps.
        """
        return wanted(self.loss)

    @property
    def is_of_views(self) -> bool:
        """Whether a step sees views of its images; else it sees their augmentations."""
        return self.views > 0 or (bool(self.online) and self.mix != mixing.NONE)

    @property
    def reads_class(self) -> bool:
        """Whether a step reads the true classes of its images: for its loss, or to finish labels."""
        return "true_class" in self.wants or (bool(self.online) and LabelSpec.parse(self.online).reads_class)

    @property
    def asked(self) -> "dict[str, Recipe]":
        """The teachers that are asked at every step, by their names in the bank."""
        if not self.online:
            return {}
        alone, networks = self._replace(online="", teachers=""), spec.parse(self.teachers)
        names = LabelSpec.parse(self.online).networks
        return {name: alone._replace(model=str(model)) for name, model in zip(names, networks, strict=True)}

    def ask(
        self, teachers: Mapping[str, Any], images: Float[Array, "B *S C"], classes: Int[Array, "B"] | None
    ) -> Float[Array, "B K"]:
        """What online teachers say about images, finished as the label spec says, in the form that the loss wants.

        Args:
          teachers: their variables, by the names of `asked`.
          images: the very pixels that the student sees.
          classes: true ones, where an operation reads them.
        """
        said = jnp.stack([one.logits(teachers[name], images) for name, one in self.asked.items()])
        source, none = LabelSpec.parse(self.online), jnp.zeros(len(images), jnp.int32)
        label = pooled(source, said.astype(jnp.promote_types(said.dtype, jnp.float32)))
        finished = jax.vmap(source.finish)(label, none if classes is None else classes, none)
        return jax.lax.stop_gradient(finished.form("label_logits" if "label_logits" in self.wants else "row"))

    def record(self) -> dict[str, Any]:
        """What is stored of it: without what files of earlier versions do not tell, where that is as it was."""
        usual = self._field_defaults
        return {name: value for name, value in self._asdict().items() if name not in _LATER or value != usual[name]}

    def code(self) -> dict[str, str]:
        """Digests of the code that its specs name: what is named -> digest."""
        optimizer = spec.find(spec.parse_one(self.optimizer).name, *_OPTIMIZERS)
        schedule = spec.find(spec.parse_one(self.schedule).name, *_SCHEDULES)
        loss = spec.find(spec.parse_one(self.loss).name, *_LOSSES)
        own = {} if loss is losses.soft_cross_entropy else {f"loss {self.loss}": sources.digest(loss)}
        return own | {
            f"model {self.model}": sources.digest(models.function(self.model)),
            f"optimizer {self.optimizer}": sources.digest(optimizer),
            f"schedule {self.schedule}": sources.digest(schedule),
            f"augmentation {self.augment}": sources.digest(*augment.code_of(self.augment)),
        }


@imports.cached
def wanted(loss: str) -> tuple[str, ...]:
    """What the loss that a spec names wants of a label, see `Recipe.wants`."""
    taken = spec.parameters(spec.find(spec.parse_one(loss).name, *_LOSSES))
    found = tuple(name for name in _OF_LABEL if name in taken)
    if not found or {"row", "label_logits"} <= {*found}:
        way = "wanted logits, and of the label row or label_logits, with or without true_class, or true_class alone"
        raise errors.ConfigError(f"loss '{loss}' takes {', '.join(taken) or 'nothing'}; {way}")
    if ("features" in taken) != ("label_features" in taken):
        raise errors.ConfigError(f"loss '{loss}' takes one of features and label_features; wanted both or neither")
    return found


def precision(setting: str) -> str:
    """What the setting `auto` stands for on this machine: a CPU has no fast bfloat16."""
    if setting != "auto":
        return setting
    return "float32" if target.platform() == "cpu" else "bfloat16"
