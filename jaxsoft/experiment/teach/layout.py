"""How the experts of one architecture are laid over devices: side by side, and one over several that share its batches."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxsoft import config, errors, models, target
from jaxsoft.training import cost
from jaxsoft.training.ensemble import Bucket, Program
from jaxsoft.training.recipe import Recipe


class Layout(NamedTuple):
    """Of each expert, and of all together."""

    tile: int  # images of a device's part of a batch that are taken at a time
    block: int  # experts that are vmapped together
    devices: int  # on which all of them are trained
    each: int  # of them those of one expert


def cohort_program(
    recipe: Recipe,
    shape: tuple[int, ...],
    count: int,
    lowering: str,
    devices: Sequence[Any],
    expert_devices: int = 1,
) -> Program:
    """What teaches so many experts: a chunk is an epoch; of the devices as many as divide their blocks evenly."""
    tile, block, used, each = layout(recipe, shape, count, len(devices), lowering, expert_devices)
    _check_processes([device.process_index for device in devices], used, each)
    bucket = Bucket(recipe, count, block, recipe.steps_per_epoch(recipe.slots), tile, lowering)
    return Program((bucket,), shape, select=0, devices=devices[:used], data=each)


def layout(
    recipe: Recipe,
    shape: tuple[int, ...],
    count: int,
    devices: int,
    lowering: str = "auto",
    expert_devices: int = 1,
) -> Layout:
    """How so many experts are trained.

    No padding: every state that is kept is an expert's.

    Args:
      recipe, shape, count: of the experts.
      devices: that are there.
      lowering: of their convolutions.
      expert_devices: that share the batches of one expert, see `devices_of_each`.
    """
    part = recipe._replace(batch=recipe.batch // expert_devices)
    tile = cost.choose_tile(part, shape)
    at_once = min(tile, part.batch // recipe.accumulate)
    block = _largest_divisor(count, cost.choose_block(part, shape, count, at_once, lowering))
    groups = _largest_divisor(count // block, devices // expert_devices)
    return Layout(tile, block, groups * expert_devices, expert_devices)


def devices_of_each(
    recipe: Recipe, shape: tuple[int, ...], count: int, devices: int, compute: config.Compute, is_streamed: bool
) -> int:
    """How many devices share the batches of one expert.

    What is asked for; or for streamed experts what is left once all of them have one, as far as it divides the batch.
    Others have one: on several, sums round otherwise. On a CPU too, where several are slower at small batches; and
    networks that draw, which draw other numbers on several.

    Raises:
      ConfigError: there are not so many, they do not divide the batch, or norms cannot be as they were asked for.
    """
    asked, norms = compute.expert_devices, devices_of_norm(recipe.batch_norm)
    if norms and asked not in (0, norms):
        told = f"config.teacher.batch_norm={recipe.batch_norm!r} and config.compute.expert_devices={asked} differ"
        raise errors.ConfigError(f"{told}; leave the latter 0")
    _check(recipe, shape, devices, norms or asked or 1)
    if asked > 1 and not norms and _draws(recipe, shape):
        told = f"config.compute.expert_devices={asked}: {recipe.model} draws while it learns, other numbers on several"
        raise errors.ConfigError(
            f"{told}; leave it 0, or say config.teacher.batch_norm='device({asked})', which a key knows"
        )
    asked = norms or asked
    if asked or not is_streamed or target.platform() == "cpu":
        return asked or 1
    if _problem_of_norms(recipe, shape) or _draws(recipe, shape):
        return 1
    left = devices // _largest_divisor(count, devices)
    return max(d for d in range(1, left + 1) if recipe.batch % (d * recipe.accumulate) == 0)


def devices_of_norm(text: str) -> int:
    """How many devices go by statistics of their own; 0: all go by those of a whole batch.

    >>> devices_of_norm("global"), devices_of_norm("device(8)")
    (0, 8)
    """
    found = re.fullmatch(r"global|device\(([1-9]\d*)\)", text)
    if not found:
        raise errors.ConfigError(f"config.teacher.batch_norm expects global, or device(N) of N devices, got {text!r}")
    return int(found[1] or 0)


def _check_processes(owners: Sequence[int], used: int, each: int) -> None:
    """Refuse what would give a process no device to teach on, or another part of an expert's batches than others."""
    if len({*owners}) > 1 and (used < len(owners) or each % owners.count(owners[0])):
        told = f"{each} devices for each expert (config.compute.expert_devices) on {len(owners)} of {len({*owners})} processes"
        raise errors.ConfigError(
            f"{told}: wanted all devices of each process in use, such as {len(owners)} for one expert"
        )


def _check(recipe: Recipe, shape: tuple[int, ...], devices: int, each: int) -> None:
    if each > devices:
        told = f"{each} devices for each expert (config.compute.expert_devices, config.teacher.batch_norm)"
        raise errors.ConfigError(f"{told}: wanted at most the {devices} that are here")
    parts = each * recipe.accumulate
    if recipe.batch % parts:
        told = f"{each} devices of an expert x config.teacher.accumulate={recipe.accumulate} parts"
        raise errors.ConfigError(f"{told} do not divide its batch of {recipe.batch} images; wanted a divisor")
    if each > 1 and (problem := _problem_of_norms(recipe, shape)):
        raise errors.ConfigError(f"config.compute.expert_devices={each}: {problem}")


def _draws(recipe: Recipe, shape: tuple[int, ...]) -> bool:
    model = recipe.build_model()
    return isinstance(model, models.Network) and model.draws(shape)


def _problem_of_norms(recipe: Recipe, shape: tuple[int, ...]) -> str:
    """Statistics over devices are known of `flax.linen.BatchNorm` alone."""
    model, has_state = recipe.build_model(), len(cost.variables(recipe, shape)) > 1
    if recipe.batch_norm != "global" or not has_state or not isinstance(model, models.Network) or model.tells_features:
        return ""
    told = f"{recipe.model} keeps a state, of statistics that are not a flax.linen.BatchNorm's"
    return f"{told}; wanted config.teacher.batch_norm='device(N)', or one device for each expert"


def _largest_divisor(number: int, most: int) -> int:
    return max(d for d in range(1, most + 1) if number % d == 0)
