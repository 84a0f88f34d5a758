"""What an earlier start left in a run folder for a later one: looked at closely before a number of it is used."""

from collections.abc import Collection, Sequence
from typing import Any

from jaxsoft import errors
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.ops import conv

PLAN, TEACHERS = "plan.json", "teachers.json"
_PARTS = ("chunks", "waves", "since", "subjects", "groups", "members")
_GROUP = ("recipe", "members", "steps", "block", "tile")
_IDENTITY = ("data", "settings", "code")
_PRECISIONS = ("float32", "bfloat16")


def plan(folder: RunFolder) -> dict[str, Any] | None:
    """The plan with which a run began, if there is one: whole, and with nothing in it that no plan could say.

    Raises:
      CheckpointError: it is damaged or was altered; says how to go on.
    """
    if not (folder.path / PLAN).exists():
        return None
    found = folder.read_json(PLAN)
    try:
        _check_plan(found)
    except ValueError as problem:
        raise useless(folder, PLAN, problem) from None
    return found


def histories(folder: RunFolder) -> list[list[dict[str, Any]]] | None:
    """The records of each expert of a run, if it has taught them.

    Raises:
      CheckpointError: they are damaged.
    """
    if not (folder.path / TEACHERS).exists():
        return None
    try:
        experts = _parts(folder.read_json(TEACHERS), ("experts",), "it")["experts"]
        told = [_parts(expert, ("history",), "an expert")["history"] for expert in _list(experts, "experts")]
        for record in (record for history in told for record in _list(history, "a history")):
            for name, value in _parts(record, ("epoch", "val_accuracy", "label_entropy"), "a record").items():
                if type(value) not in (int, float, type(None)):
                    raise ValueError(f"{name} is {value!r:.40}")
    except ValueError as problem:
        raise useless(folder, TEACHERS, problem) from None
    return told


def useless(folder: RunFolder, name: str, problem: object) -> errors.CheckpointError:
    """The error of a file that says what it cannot say: what, and the way on."""
    return errors.CheckpointError(
        f"cannot use {folder.path / name}: {errors.shown(str(problem))}; "
        "delete it and run the same command again, which keeps what is finished"
    )


def _check_plan(found: Any) -> None:
    parts = _parts(found, _PARTS, "it")
    groups, members = _list(parts["groups"], "groups"), _list(parts["members"], "members")
    for group in groups:
        _check_group(_parts(group, _GROUP, "a group"), len(members))
    if len(precisions := {group["recipe"]["precision"] for group in groups}) != 1:
        raise ValueError(f"groups of {len(precisions)} precisions")
    if sorted(i for group in groups for i in group["members"]) != list(range(len(members))):
        raise ValueError("the groups do not hold every member once")
    for member in members:
        if not isinstance(_parts(member, ("member",), "a member")["member"], str):
            raise ValueError("a member without a key")
    cut = _list(parts["waves"], "waves")
    _check_waves(cut, [len(group["members"]) for group in groups])
    _whole(parts["chunks"], 1, None, "chunks")
    _whole(parts["since"], 0, len(cut) - 1, "since")
    if "identity" in found:
        _check_identity(found["identity"])
    _check_subjects(parts["subjects"], {group["recipe"]["num_classes"] for group in groups})


def _check_identity(found: Any) -> None:
    parts = _parts(found, _IDENTITY, "the identity")
    if len(parts) > len(_IDENTITY):
        raise ValueError(f"an identity of other parts than {', '.join(_IDENTITY)}")
    for told in parts.values():
        if not isinstance(told, dict) or not all(isinstance(text, str) for text in told.values()):
            raise ValueError("an identity that says nothing")


def _check_group(group: dict[str, Any], members: int) -> None:
    recipe = _parts(group["recipe"], ("num_classes", "batch", "precision"), "a recipe")
    for i in _list(group["members"], "members of a group"):
        _whole(i, 0, members - 1, "a member of a group")
    if recipe["precision"] not in _PRECISIONS:
        raise ValueError(f"a precision {recipe['precision']!r:.40}")
    _whole(recipe["num_classes"], 1, None, "num_classes")
    _whole(group["steps"], 1, None, "steps")
    _whole(recipe["batch"], 1, None, "batch")
    _whole(group["block"], 1, len(group["members"]), "block")
    if recipe["batch"] % _whole(group["tile"], 1, None, "tile"):
        raise ValueError(f"tile expects a whole part of {recipe['batch']} images, got {group['tile']}")
    if (lowering := group.get("lowering", "auto")) not in ("auto", *conv.LOWERINGS):
        raise ValueError(f"lowering expects one of auto, {', '.join(conv.LOWERINGS)}, got {lowering!r:.40}")


def _check_waves(cut: Sequence[Any], counts: Sequence[int]) -> None:
    """Each group's ranges follow one another, and are together the group."""
    reached = [0] * len(counts)
    for wave in cut:
        for g, bounds in enumerate(_list(wave, "a wave", len(counts))):
            start, stop = _list(bounds, "a range", 2)
            _whole(start, reached[g], reached[g], "the start of a range")
            reached[g] = _whole(stop, start, counts[g], "the stop of a range")
    if reached != list(counts):
        raise ValueError("the waves do not hold every member once")


def _check_subjects(subjects: Any, classes: set[int]) -> None:
    if not isinstance(subjects, list) or not all(type(c) is int for c in subjects):
        raise ValueError("subjects that are no classes")
    if subjects and {tuple(sorted(subjects))} != {tuple(range(count)) for count in classes}:
        raise ValueError("subjects that are not each class once")


def _parts(value: Any, names: Collection[str], what: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not set(names) <= value.keys():
        raise ValueError(f"{what} lacks one of {', '.join(names)}")
    return value


def _list(value: Any, what: str, length: int = 0) -> list[Any]:
    """A list that is not empty."""
    if not isinstance(value, list) or not value or (length and len(value) != length):
        raise ValueError(f"{what}: no list of {length or 'one or more'}")
    return value


def _whole(value: Any, least: int, most: int | None, what: str) -> int:
    if type(value) is not int or value < least or (most is not None and value > most):
        wanted = f"from {least} to {most}" if most is not None else f">= {least}"
        raise ValueError(f"{what} expects an integer {wanted}, got {value!r:.40}")
    return value
