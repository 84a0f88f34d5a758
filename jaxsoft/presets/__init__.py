"""The settings under which each dataset is studied: what the experiments of configs/ have in common.

Experts of one dataset have the same settings in every experiment and lie in one store, so that those of equal number
are trained once. An age of a teacher is an epoch, or the validation accuracy that it reaches first: table 7 of the
paper gives both, and where its rates do not lead to its accuracies it is the accuracy that its teachers share with
anyone's.

Reference: Qin et al. (2024), sections 4 and 5, table 7.
"""

from dataclasses import replace
from typing import Any

from jaxsoft import spec
from jaxsoft.config import parse_arg
from jaxsoft.presets import datasets
from jaxsoft.presets.studies import LOSSES as LOSSES
from jaxsoft.presets.studies import Age as Age
from jaxsoft.presets.studies import Config, Study
from jaxsoft.presets.studies import when as when

STORE = "runs/teachers"
QUICK = (
    ":quick has smaller networks, fewer images, seeds or steps than the experiment: it shows that the machine works, not "
    "the claim."
)


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
    own = spec.public_functions(datasets)
    made = own.get(data, own.get(like, datasets.unknown))(quick)
    if data not in own:
        made = replace(made, num_classes=0, expected={})
    made.config.data.name = data
    made.config.note = QUICK if quick else ""
    made.config.teacher.expected = tuple(f"{epoch}:{accuracy:g}" for epoch, accuracy in made.expected.items())
    return replace(made, quick=quick, num_classes=classes or made.num_classes)
