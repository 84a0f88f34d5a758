"""The settings of each dataset: a function a dataset, which a study finds by its name."""

from dataclasses import replace
from typing import Any

from jaxsoft.config import default
from jaxsoft.presets.studies import Age, Config, Study

_ADAMW: dict[str, Any] = dict(optimizer="adamw", schedule="cosine", learning_rate=2e-3, weight_decay=0.01)


def digits(quick: bool) -> Study:
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


def moving_digits(quick: bool) -> Study:
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


def cifar10(quick: bool) -> Study:
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


def cifar100(quick: bool) -> Study:
    """Experts at table 7's rate, which a reproduction confirms, named by its accuracies: configs/cifar100.py says why.

    A tenth of the images is held out, so an epoch has fewer steps and the last points come later: 200 leave room.
    """
    made = replace(unknown(quick), num_classes=100)
    if quick:
        return made
    made.config.teacher.epochs = 200
    best = {1: 0.331, 10: 0.476, 50: 0.527}
    found = {1: 0.1, 6: 0.235, 14: 0.328, 25: 0.389, 36: 0.436, 57: 0.485, 101: 0.517, 125: 0.539}  # the reproduction's
    return replace(made, stages=tuple(best.values()), best=best, expected=found)


def unknown(quick: bool) -> Study:
    """Of whatever has no settings of its own: those of CIFAR-100, but by epochs, for accuracies are of a dataset."""
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


def tiny_imagenet(quick: bool) -> Study:
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


def imagenet(quick: bool) -> Study:
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


def imagenet64(quick: bool) -> Study:
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
