"""What an earlier start left in a run folder for a later one: looked at closely before a number of it is used."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from jaxsoft import config, errors
from jaxsoft.experiment.plan.plan import Plan, PlannedBucket
from jaxsoft.experiment.plan.sweep import MemberSpec
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.ops import conv
from jaxsoft.training.recipe import Recipe

PLAN, TEACHERS, SETS = "plan.json", "teachers.json", "sets.json"

# Forms of JSON: the types of a value; [form], items of it, one or more; {name: form}, these names at least.
_WHOLE, _TEXT, _NUMBER = (int,), (str,), (int, float, type(None))
_RECIPE = {"num_classes": _WHOLE, "batch": _WHOLE, "precision": _TEXT}
_GROUP = {"recipe": _RECIPE, "members": [_WHOLE], "steps": _WHOLE, "block": _WHOLE, "tile": _WHOLE}
_SHAPES = {"groups": [_GROUP], "waves": [[[_WHOLE]]], "chunks": _WHOLE, "since": _WHOLE, "subjects": (list,)}
_PLAN = {**_SHAPES, "members": [{"member": _TEXT}]}
_RECORD = {"epoch": _NUMBER, "val_accuracy": _NUMBER, "label_entropy": _NUMBER}
_EXPERT = {"history": [_RECORD]}
_IDENTITY = {"data": (dict,), "settings": (dict,), "code": (dict,)}


def plan(folder: RunFolder) -> dict[str, Any] | None:
    """The plan with which a run began, if there is one, in the form of a plan; `repeated` compares it with another.

    Raises:
      CheckpointError: it is damaged or was altered; says how to go on.
    """
    return _read(folder, PLAN, _check_plan)


def as_begun(folder: RunFolder) -> Plan:
    """The plan with which a run began, as it is stored.

    Raises:
      CheckpointError: there is none, or it is damaged.
    """
    if (found := plan(folder)) is None:
        raise errors.CheckpointError(f"there is no run in {folder.path}: it has no {PLAN}")
    try:
        members = [dict(member) for member in found["members"]]
        keys = tuple(member.pop("member") for member in members)
        buckets = tuple(_as_planned(group) for group in found["groups"])
        waves = tuple(tuple((start, stop) for start, stop in wave) for wave in found["waves"])
        last = {"since": found["since"], "subjects": tuple(found["subjects"])}
        beside = tuple(found.get("image_shape", ())), found.get("shared_bytes", 0), found.get("devices", 1)
        seen = {i: b.recipe.augment for b in buckets for i in b.members}  # older members do not say it themselves
        each = tuple(MemberSpec(**{"augment": seen[i], **m}) for i, m in enumerate(members))
        return Plan(each, keys, buckets, waves, found["chunks"], *beside, **last)
    except (TypeError, ValueError) as problem:
        raise _useless(folder, PLAN, problem) from None


def _as_planned(group: dict[str, Any]) -> PlannedBucket:
    return PlannedBucket(**{**group, "recipe": Recipe(**group["recipe"]), "members": tuple(group["members"])})


def settings(folder: RunFolder, given: Sequence[str]) -> config.Settings:
    """The settings of a run, with rows and positions of the user's own in the place of the texts that stand for them."""
    found, own = folder.read_settings(), {str(text): text for text in given}
    labels, select = (
        tuple(own.get(text, text) for text in texts) for texts in (found.sweep.labels, found.sweep.select)
    )
    sweep = replace(found.sweep, labels=labels, select=select)
    return replace(found, sweep=sweep, select=own.get(found.select, found.select))


def histories(folder: RunFolder) -> list[list[dict[str, Any]]] | None:
    """The records of each expert of a run, if it has taught them.

    Raises:
      CheckpointError: they are damaged.
    """
    found = _read(folder, TEACHERS, _check_teachers)
    return found and [expert["history"] for expert in found["experts"]]


def repeated(made: Plan, found: dict[str, Any], folder: RunFolder) -> Plan:
    """The plan that is made now, with the waves and layouts of the one that was found in a run folder by `plan`.

    Raises:
      CheckpointError: that has other members, or says of them what cannot be.
    """
    if [m["member"] for m in found["members"]] != list(made.keys):
        raise errors.CheckpointError(
            "the stored plan has other members; choose another --workdir, or delete plan.json there: "
            "what is finished and still the same is kept"
        )
    try:
        if found["chunks"] != made.chunks or len(found["groups"]) != len(made.buckets):
            raise ValueError("these settings give other groups or chunks")
        buckets = tuple(map(_laid_out, made.buckets, found["groups"]))
        _check_waves(found["waves"], [len(bucket.members) for bucket in buckets])
        if found["since"] not in range(count := len(found["waves"])):
            raise ValueError(f"since expects an integer from 0 to {count - 1}, got {found['since']}")
    except ValueError as problem:
        raise _useless(folder, PLAN, problem) from None
    waves = tuple(tuple((start, stop) for start, stop in wave) for wave in found["waves"])
    return replace(made, buckets=buckets, waves=waves, since=found["since"])


def _read(folder: RunFolder, name: str, check: Callable[[Any], None]) -> Any:
    """A file of a run folder, in which the check finds nothing wrong; None if there is none."""
    if not (folder.path / name).exists():
        return None
    found = folder.read_json(name)
    try:
        check(found)
    except ValueError as problem:
        raise _useless(folder, name, problem) from None
    return found


def _useless(folder: RunFolder, name: str, problem: object) -> errors.CheckpointError:
    """The error of a file that says what it cannot say: what, and the way on."""
    return errors.CheckpointError(
        f"cannot use {folder.path / name}: {errors.shown(str(problem))}; "
        "delete it and run the same command again, which keeps what is finished"
    )


def _check_plan(found: Any) -> None:
    """Refuse what no plan could say, of that which is read before there is another to compare it with."""
    _check_form(found, _PLAN, "plan")
    recipe, subjects = found["groups"][0]["recipe"], found["subjects"]
    if recipe["precision"] not in ("float32", "bfloat16"):
        raise ValueError(f"a precision {recipe['precision']!r:.40}")
    if any(type(c) is not int for c in subjects) or sorted(subjects) != list(range(len(subjects))):
        raise ValueError("subjects that are not each class once")
    if len(subjects) not in (0, recipe["num_classes"]):
        raise ValueError(f"{len(subjects)} subjects of {recipe['num_classes']} classes")
    if "identity" in found:
        _check_form(identity := found["identity"], _IDENTITY, "identity")
        texts = [text for part in identity.values() for text in part.values()]
        if identity.keys() != _IDENTITY.keys() or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"an identity that does not say {', '.join(_IDENTITY)}, and nothing else")


def _check_teachers(found: Any) -> None:
    """Refuse what tells of no experts; there may be none of them."""
    _check_form(found, {"experts": (list,)}, "teachers")
    for expert in found["experts"]:
        _check_form(expert, _EXPERT, "teachers.experts")


def _check_form(value: Any, form: Any, what: str) -> None:
    """Refuse, by its path, what is not of the form."""
    if isinstance(form, tuple) and type(value) not in form:
        raise ValueError(f"{what} expects {' or '.join(kind.__name__ for kind in form)}, got {value!r:.40}")
    if isinstance(form, list):
        if not isinstance(value, list) or not value:
            raise ValueError(f"{what} expects a list of one or more, got {value!r:.40}")
        for item in value:
            _check_form(item, form[0], what)
    if isinstance(form, dict):
        if not isinstance(value, dict) or not form.keys() <= value.keys():
            raise ValueError(f"{what} lacks one of {', '.join(form)}")
        for name, part in form.items():
            _check_form(value[name], part, f"{what}.{name}")


def _laid_out(bucket: PlannedBucket, group: dict[str, Any]) -> PlannedBucket:
    """A bucket in the layout of a stored group, once that is known to be of the same members."""
    recipe = {name: value for name, value in bucket.recipe._asdict().items() if name in group["recipe"]}
    if (recipe, list(bucket.members), bucket.steps) != (group["recipe"], group["members"], group["steps"]):
        raise ValueError("a group has other members or another recipe than these settings give")
    most, batch, ways = len(bucket.members), bucket.recipe.batch, ("auto", *conv.LOWERINGS)
    layout = {}
    for name, legal, wanted in (
        ("block", range(1, most + 1), f"an integer from 1 to {most}"),
        ("tile", [n for n in range(1, batch + 1) if batch % n == 0], f"a whole part of {batch} images"),
        ("lowering", ways, f"one of {', '.join(ways)}"),
    ):
        layout[name] = group.get(name, "auto")
        if layout[name] not in legal:
            raise ValueError(f"{name} expects {wanted}, got {layout[name]!r:.40}")
    return replace(bucket, **layout)


def _check_waves(waves: Sequence[Any], counts: Sequence[int]) -> None:
    """Each group's ranges follow one another, and are together the group."""
    for g, count in enumerate(counts):
        ranges = [wave[g] for wave in waves if len(wave) == len(counts) and len(wave[g]) == 2]
        edges = [0, *(stop for _, stop in ranges)]
        follow = [start for start, _ in ranges] == edges[:-1] and edges == sorted(edges)
        if len(ranges) < len(waves) or not follow or edges[-1] != count:
            raise ValueError("the waves do not hold every member once")
