"""The settings under which each dataset is studied: what the experiments of configs/ have in common.

Experts of one dataset have the same settings in every experiment and lie in one store, so that those of equal number
are trained once. An age of a teacher is an epoch, or the validation accuracy that it reaches first: table 7 of the
paper gives both, and where its rates do not lead to its accuracies it is the accuracy that its teachers share with
anyone's.

Reference: Qin et al. (2024), sections 4 and 5, table 7.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

from jaxsoft import errors
from jaxsoft.config import default, parse_arg

STORE = "runs/teachers"
QUICK = (
    ":quick has smaller networks, fewer images, seeds or steps than the experiment: it shows that the machine works, not "
    "the claim."
)

LOSSES = ("soft_cross_entropy", "kl(20, scaled=true)", "mse", "cosine", "gift", "squared_error")
"""What students may minimise, the most asked for first. Scaled, `kl` has gradients of the size of the others."""
_RATES = {"adamw": (1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2), "sgd": (5e-3, 1e-2, 5e-2, 0.1, 0.5)}

Age = int | float
"""Of a teacher: an epoch (int), or the first one to reach a validation accuracy (float, a fraction)."""

Config = Any  # an `ml_collections.ConfigDict`, whose keys no type checker knows


@dataclass(frozen=True)
class Study:
    """A dataset and how it is studied."""

    config: Config  # complete but for the sweep; `sweep` writes that
    num_classes: int  # K; 0 if it is not known before the data is read
    small: bool  # the grids are those of a study of minutes, not the paper's
    ipc: tuple[int, ...]  # a few budgets, images per class
    curve: tuple[int, ...]  # budgets for a curve
    epochs: tuple[Age, ...]  # a grid of teacher ages
    stages: tuple[Age, ...]  # an early, a middle and a late one
    best: Mapping[int, Age]  # budget -> the age that is best for it
    rates: tuple[float, ...] = (5e-4, 1e-3, 5e-3, 1e-2, 5e-2)  # learning rates to compare
    rate: Mapping[int, float] = field(default_factory=dict)  # budget -> the student's, where one rate does not fit all
    exchange: tuple[Age, Age, Age] = (11, 20, 50)  # of data for knowledge; TinyImageNet's, whose rate others share
    expected: Mapping[int, float] = field(default_factory=dict)  # epoch -> validation accuracy, as found before
    pooled: bool = False  # the teacher is all experts, not the first
    seeds: int = 5  # how many
    quick: bool = False  # less of everything; shows that the machine works, not what is claimed
    asked: SimpleNamespace = field(default_factory=SimpleNamespace)  # what arguments of its own an experiment was given

    def classes(self) -> int:
        """K, or a ConfigError if it is not known."""
        if not self.num_classes:
            raise errors.ConfigError(
                f"config argument classes expects the number of classes of {self.config.data.name}, such as classes=10"
            )
        return self.num_classes

    def teacher(self, age: Age) -> str:
        """The label spec of the teacher at an age: one expert, or all of them pooled."""
        experts = self.config.teacher.experts
        return f"teachers({experts}, {when(age)})" if self.pooled and experts > 1 else f"teacher({when(age)})"

    def best_age(self, ipc: int) -> Age:
        """The teacher's age that is best for a budget; for budgets in between, that of the next smaller one."""
        return _at(self.best, ipc)

    def epoch_near(self, age: Age) -> int:
        """An age as an epoch, where nothing else will do: of those expected, the nearest to its accuracy."""
        return age if isinstance(age, int) else min(self.expected, key=lambda epoch: abs(self.expected[epoch] - age))

    def wide_rates(self) -> tuple[float, ...]:
        """Learning rates that leave room for the best of any loss: on logits it is larger than that of a cross-entropy."""
        found = _RATES[self.config.student.optimizer.partition("(")[0]]
        return found[1:4:2] if self.quick else found

    def every(self, step: int) -> tuple[int, ...]:
        """Every so many epochs of the teacher's trajectory."""
        return tuple(range(step, self.config.teacher.epochs + 1, step))

    def sweep(self, axes: Mapping[str, Iterable[Any]]) -> Config:
        """Write the sweep: the product of the axes, and seeds.

        Args:
          axes: name -> values, in the order of the product; names that advance together, such as "ipc labels", have
            rows of values. Seeds come last unless they are named. Where the rate depends on the budget it goes along.

        Returns:
          The whole config.
        """
        own, entries = self.config.sweep, []
        for entry, rows in axes.items():
            names, columns = entry.split(), list(zip(*(row if " " in entry else (row,) for row in rows), strict=True))
            if self.rate and "ipc" in names and not any("learning_rate" in other.split() for other in axes):
                names.append("learning_rate")
                columns.append(tuple(_at(self.rate, ipc) for ipc in columns[names.index("ipc")]))
            for name, column in zip(names, columns, strict=True):
                own[name] = column
            entries.append(" ".join(names))
        own.axes = tuple(entries if "seed" in axes else [*entries, "seed"])
        return self.config

    def soft_against_hard(self, budgets: Iterable[int]) -> Config:
        """Hard labels beside the teacher's at each budget's best age; beside all stages in a small study."""
        if self.small:
            return self.sweep({"ipc": budgets, "labels": ("hard", *map(self.teacher, self.stages))})
        cells = [(ipc, text) for ipc in budgets for text in ("hard", self.teacher(self.best_age(ipc)))]
        return self.sweep({"ipc labels": cells})


def when(age: Age) -> str:
    """An age as an argument of a label spec.

    >>> when(20), when(0.56)
    ('epoch=20', 'accuracy=0.56')
    """
    return f"epoch={age}" if isinstance(age, int) else f"accuracy={age:g}"


def study(
    name: str, arg: str | None, seeds: int = 0, experts: int = 0,
    protocol: str = "sealed", data: str = "digits", quick: str = "", like: str = "", **own: Any,
) -> Study:  # fmt: skip
    """What an experiment needs to know of the dataset that the user names.

    Args:
      name: of the experiment.
      arg: what follows the colon in `--config=FILE.py:quick,data=cifar10`: `data=NAME`; `quick`, less of everything;
        `seeds=N`; `experts=N`; `classes=K`, for a dataset whose classes are not counted yet; `protocol=NAME`.
      seeds: at most so many, unless the user says how many.
      experts: at least so many, likewise.
      protocol, data: unless the user names one.
      quick: data of `:quick` instead, likewise.
      like: the dataset whose settings have those that are none of the paper's; if not given, CIFAR-100.
      own: further arguments that the experiment takes, with their defaults (`parse_arg`).

    Raises:
      ConfigError: an argument that there is not.
    """
    args = parse_arg(arg, quick=False, data="", seeds=0, experts=0, classes=0, protocol=protocol, **own)
    args.data = args.data or (args.quick and quick) or data
    made = _make(args.data, args.quick, args.classes, like)
    made.config.name, made.config.protocol = f"{name}-{{data}}{'-quick' * args.quick}", args.protocol
    made.config.teacher.store = STORE
    made.config.teacher.experts = args.experts or max(experts, made.config.teacher.experts)
    made.config.sweep.seed = tuple(range(args.seeds or min(made.seeds, seeds or made.seeds)))
    return replace(made, asked=args)


def baseline(data: str, arg: str | None) -> Config:
    """The paper's baseline on one dataset, `:quick` or whole; `:protocol=paper` selects on test, as the authors did."""
    args = parse_arg(arg, quick=False, protocol="sealed")
    made = _make(data, args.quick, 0)
    made.config.name, made.config.protocol = "{data}" + "-quick" * args.quick, args.protocol
    made.config.sweep.seed = tuple(range(made.seeds))
    return made.soft_against_hard(made.ipc)


def _make(data: str, quick: bool, classes: int, like: str = "") -> Study:
    own = {"digits": _digits, "cifar10": _cifar10, "cifar100": _cifar100, "tiny_imagenet": _tiny_imagenet}
    own |= {"moving_digits": _moving_digits, "imagenet": _imagenet, "imagenet64": _imagenet64}
    made = own.get(data, own.get(like, _other))(quick)
    if data not in own:
        made = replace(made, num_classes=0, expected={})
    made.config.data.name = data
    made.config.note = QUICK if quick else ""
    made.config.teacher.expected = tuple(f"{epoch}:{accuracy:g}" for epoch, accuracy in made.expected.items())
    return replace(made, quick=quick, num_classes=classes or made.num_classes)


def _digits(quick: bool) -> Study:
    """Students must converge, or hard labels win everywhere. Digits are not augmented, least of all flipped.

    A single expert of so few images is too noisy to show its age, so the teacher is five, pooled.
    """
    config: Config = default()
    config.data.validation = 0.2
    config.teacher.experts = 5
    if quick:
        config.teacher.update(model="mlp(layers=1)", epochs=4, batch=64, learning_rate=0.2)
        config.student.update(**_ADAMW, model="mlp(layers=1)", batch=16, steps=20, evaluations=2)
        config.student.learning_rate = 0.02
        epochs, stages, best, rates = (1, 2, 3, 4), (1, 2, 4), {1: 2, 5: 4}, (5e-3, 2e-2)
        # Subsets larger than a batch are one shape: one program serves them all, and several of the experiments.
        return Study(config, 10, True, (2, 5), (2, 5), epochs, stages, best, rates, pooled=True, seeds=2)
    config.teacher.update(model="convnet(depth=2, width=16)", epochs=60, batch=64, learning_rate=0.05)
    config.student.update(**_ADAMW, model="convnet(depth=2, width=16)", batch=50, steps=400, evaluations=10)
    epochs, stages = (2, 5, 10, 15, 20, 30, 45, 60), (5, 20, 45)
    best = {1: 5, 2: 10, 5: 20, 20: 45}  # configs/frontier.py, chosen on validation
    rates = (5e-4, 1e-3, 2e-3, 5e-3, 1e-2)
    ipc, curve = (1, 5, 20), (1, 2, 5, 10, 20)
    return Study(config, 10, True, ipc, curve, epochs, stages, best, rates=rates, pooled=True, seeds=20)


def _moving_digits(quick: bool) -> Study:
    """Clips. They are cropped alike in all frames, and never mirrored, which would turn a direction into the other."""
    config: Config = default()
    config.data.validation = 0.2
    width, epochs, steps = (4, 4, 20) if quick else (8, 40, 300)
    same: dict[str, Any] = dict(
        model=f"convnet3d(depth=2, width={width})", augment="resized_crop(0.6, 1, mirror=false)"
    )
    config.teacher.update(**same, experts=3, epochs=epochs, batch=64, learning_rate=0.2)
    config.student.update(**_ADAMW | same, batch=40, steps=steps, evaluations=4 if quick else 6)
    config.student.learning_rate = 0.01
    if quick:
        return Study(config, 20, True, (1, 2), (1, 2), (1, 2, 4), (1, 2, 4), {1: 2, 2: 4}, pooled=True, seeds=2)
    stages, best = (6, 12, 40), {1: 6, 5: 12, 20: 40}
    return Study(
        config, 20, True, (1, 5, 20), (1, 2, 5, 10, 20), (3, 6, 12, 20, 40), stages, best, pooled=True, seeds=5
    )


def _cifar10(quick: bool) -> Study:
    """Experts learn ten times as fast as table 7 says, and are named by its accuracies: configs/cifar10.py says why.

    Rate times epochs is what counts: epoch 4 of 5e-3 is epoch 20 of 1e-3, the rate of the authors' command. So the
    table's 164 epochs are 33 of these, and 100 leave room to reach its 76.5%.
    """
    config = _paper("convnet(depth=3)", epochs=100, learning_rate=5e-3)
    config.data.normalize = "zca"
    if quick:
        _narrow(config, "convnet(depth=3, width=32)", limit=500, epochs=20, learning_rate=0.02)
        config.student.update(steps=200, evaluations=4)
        epochs, stages, best = (2, 5, 10, 20), (5, 10, 20), {1: 10, 10: 20}
        return Study(config, 10, True, (1, 10), (1, 10), epochs, stages, best)
    ages, stages = (0.35, 0.45, 0.5, 0.56, 0.65, 0.75, 0.765), (0.56, 0.65, 0.75)
    best = {1: 0.56, 10: 0.65, 50: 0.75, 100: 0.765}
    ipc, curve = (1, 10, 50), (1, 10, 50, 100)
    measured = {1: 0.375, 2: 0.428, 3: 0.484, 4: 0.533, 5: 0.543}  # 49,000 training images, two CPU cores, n = 1
    return Study(config, 10, False, ipc, curve, ages, stages, best, exchange=stages, expected=measured)


def _cifar100(quick: bool) -> Study:
    """Experts at table 7's rate, which a reproduction confirms, named by its accuracies: configs/cifar100.py says why.

    A tenth of the images is held out, so an epoch has fewer steps and the last points come later: 200 leave room.
    """
    made = replace(_other(quick), num_classes=100)
    if quick:
        return made
    made.config.teacher.epochs = 200
    best = {1: 0.331, 10: 0.476, 50: 0.527}
    found = {1: 0.1, 6: 0.235, 14: 0.328, 25: 0.389, 36: 0.436, 57: 0.485, 101: 0.517, 125: 0.539}  # the reproduction's
    return replace(made, stages=tuple(best.values()), best=best, expected=found)


def _other(quick: bool) -> Study:
    """Whatever has no settings of its own: those of CIFAR-100, but by epochs, for accuracies are of a dataset."""
    config = _paper("convnet(depth=3)", epochs=125, learning_rate=0.01)
    if quick:
        _narrow(config, "convnet(depth=3, width=32)", limit=100, epochs=20, learning_rate=0.02)
        config.student.update(steps=200, batch=100, evaluations=4)
        epochs, stages, best = (2, 5, 10, 20), (5, 20), {1: 5, 5: 20}
        return Study(config, 0, True, (1, 5), (1, 5), epochs, stages, best, seeds=3)
    epochs, stages = (4, 10, 24, 57, 125), (13, 36, 125)
    best = {1: 13, 10: 36, 50: 125}
    ipc, curve = (1, 10, 50, 100), (1, 5, 10, 50, 100)
    return Study(config, 0, False, ipc, curve, epochs, stages, best)


def _tiny_imagenet(quick: bool) -> Study:
    """As table 7 has it, by epochs: configs/tiny_imagenet.py says why. The run tells what experts reach beside it."""
    config = _paper("convnet(depth=4)", epochs=102, learning_rate=0.01)
    if quick:
        _narrow(config, "convnet(depth=4, width=16)", limit=50, epochs=10, learning_rate=0.05)
        config.data.validation = 0.01
        config.student.update(steps=60, batch=100, evaluations=3)
        epochs, stages, best = (2, 4, 7, 10), (5, 10), {1: 5, 2: 10}
        return Study(config, 200, True, (1, 2), (1, 2), epochs, stages, best, seeds=2)
    epochs, stages = (4, 11, 20, 50, 90, 102), (11, 50, 90)
    best = {1: 11, 10: 50, 50: 90, 100: 102}
    ipc, curve = (1, 10, 50, 100), (1, 5, 10, 50, 100)
    rate, table = {1: 0.01, 10: 0.1}, {11: 0.192, 50: 0.35, 90: 0.381, 102: 0.388}
    rates = (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1)  # the paper's sweep, and the rate that table 7 has
    return Study(config, 200, False, ipc, curve, epochs, stages, best, rates, rate, expected=table)


def _imagenet(quick: bool) -> Study:
    """ResNet-18 at 224 pixels, as table 7 has it at rate .1; the quick one is narrow, for a few of anybody's photographs.

    The table's early teachers are of a slower expert, so here they are named by its accuracies (configs/imagenet.py has
    that expert too), and the late ones by epochs, of which the authors' files are numbered from 0: 30 is after 31.
    """
    config = _paper("resnet18(stem=imagenet)", epochs=90, learning_rate=0.1)
    config.data.resize, config.data.validation = 224, 0.01
    sgd: dict[str, Any] = dict(optimizer="sgd(momentum=0.9)", weight_decay=1e-4, schedule="step(0.1, 3)")
    # Images that stay encoded are cropped and mirrored as they are decoded.
    config.teacher.update(**sgd, augment="none")
    config.student.update(**_ADAMW)
    if quick:
        _narrow(config, "resnet18(stem=imagenet, width=8)", limit=20, epochs=3, learning_rate=0.05)
        config.data.validation = 0.1
        config.student.update(steps=20, batch=20, evaluations=2)
        return Study(config, 1000, True, (1, 2), (1, 2), (1, 2, 3), (1, 3), {1: 2, 2: 3}, seeds=2)
    stages, table = (0.173, 0.358, 31, 35), {31: 0.609, 35: 0.628}
    best: dict[int, Age] = {1: 0.173, 10: 0.358, 50: 31, 100: 35}
    rate = {1: 1e-3, 10: 5e-3, 200: 2e-3}
    ages, ipc = (*stages, 62, 90), (1, 10, 50, 100, 200)
    return Study(config, 1000, False, ipc, ipc, ages, stages, best, rate=rate, exchange=stages[:3], expected=table)


def _imagenet64(quick: bool) -> Study:
    """The network of others' results, with TinyImageNet's settings: its epochs by the images that they are of, not tuned."""
    config = _paper("convnet(depth=4)", epochs=20, learning_rate=0.01)
    config.data.validation = 0.04
    if quick:
        _narrow(config, "convnet(depth=4, width=16)", limit=20, epochs=4, learning_rate=0.05)
        config.student.update(steps=60, batch=100, evaluations=3)
        return Study(config, 1000, True, (1, 2), (1, 2), (1, 2, 4), (1, 4), {1: 2, 2: 4}, seeds=2)
    stages, ipc = (1, 4, 8, 20), (1, 10, 50, 100)
    rate = {1: 0.01, 10: 0.1}
    rates = (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1)
    best: dict[int, Age] = {1: 1, 10: 4, 50: 8, 100: 20}
    return Study(config, 1000, False, ipc, ipc, (1, 2, 4, 8, 12, 20), stages, best, rates, rate, exchange=stages[:3])


_ADAMW: dict[str, Any] = dict(optimizer="adamw", schedule="cosine", learning_rate=2e-3, weight_decay=0.01)


def _paper(model: str, epochs: int, learning_rate: float) -> Config:
    """Teachers and students as the paper trains ConvNets: SGD, and one augmentation drawn for each batch."""
    config: Config = default()
    common: dict[str, Any] = dict(model=model, batch=256, augment="dsa")
    config.teacher.update(**common, epochs=epochs, learning_rate=learning_rate)
    config.student.update(**common, epochs=3000, steps=0, learning_rate=0.01, weight_decay=5e-4, evaluations=15)
    return config


def _narrow(config: Config, model: str, limit: int, epochs: int, learning_rate: float) -> None:
    """A narrower net on fewer images, fewer held out; a faster expert; short students that still converge."""
    config.data.limit, config.data.validation = limit, 0.02
    config.teacher.update(model=model, epochs=epochs, batch=64, learning_rate=learning_rate)
    config.student.update(**_ADAMW, model=model, epochs=0, augment="none")


def _at(table: Mapping[int, Any], ipc: int) -> Any:
    """The entry of the largest budget that is not above this one."""
    return table[max(known for known in table if known <= ipc)]
