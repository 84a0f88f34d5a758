"""Plans and histories of an earlier start: what was altered is told in one line, and there is a way on."""

import copy
import json
import random

import pytest
import test_plan

from jaxsoft import errors, files
from jaxsoft.experiment.plan import stored
from jaxsoft.experiment.store.folder import RunFolder

MADE = test_plan.by_hand(counts=(5, 3), waves=(((0, 3), (0, 2)), ((3, 5), (2, 3))), block=2)


def plain():
    return json.loads(json.dumps(MADE.as_json()))


def repeat(folder):
    """What a resumed run does with the plan that it finds."""
    found = stored.plan(folder)
    return stored.repeated(MADE, found, folder) if found else MADE


def outcome(folder):
    """The plan, or the line that refuses it and says how to go on."""
    try:
        return repeat(folder)
    except errors.CheckpointError as problem:
        text = str(problem)
        assert "\n" not in text and text.isprintable() and len(text) < 400 and stored.PLAN in text
        assert "delete it and run the same command again" in text or "or delete plan.json there" in text
        return None


@pytest.fixture
def folder(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.path.mkdir()
    run.write_json(stored.PLAN, MADE.as_json())
    return run


def test_a_plan_comes_back(folder):
    assert repeat(folder) == MADE
    (folder.path / stored.PLAN).write_text(json.dumps(plain()))  # of an earlier version
    assert repeat(folder) == MADE
    (folder.path / stored.PLAN).unlink()
    assert repeat(folder) == MADE and stored.plan(folder) is None


def test_every_altered_byte_of_a_plan_is_told_or_changes_nothing(folder):
    path, draw = folder.path / stored.PLAN, random.Random(0)
    content, refused = path.read_bytes(), 0
    for trial in range(300):
        altered = bytearray(content)
        if trial % 3:
            altered[draw.randrange(len(altered))] ^= 1 << draw.randrange(8)
        else:
            del altered[draw.randrange(len(altered)) :]
        path.write_bytes(altered)
        found = outcome(folder)
        assert found is None or found == MADE, bytes(altered)
        refused += found is None
    assert refused > 250


VALUES = (None, True, -1, 0, 1, 2, 10**9, 10**30, 1.5, float("nan"), "", "x", "bfloat16", [], {}, [[]], [[0, 1]])


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        yield from places(part, (*path, key))


def altered(value, path, change):
    """A copy with another part at a place, or without it."""
    whole = {"": copy.deepcopy(value)}
    at, (*before, last) = whole, ("", *path)
    for key in before:
        at = at[key]
    if change is places:
        del at[last]
    else:
        at[last] = change
    return whole.get("")


READ = ("chunks", "waves", "since", "subjects", "groups")


def test_plans_that_cannot_be_are_refused_though_they_carry_no_seal(folder):
    """Of an earlier version: whatever is accepted holds every member once, in shapes that can be trained."""
    path, accepted, tried = folder.path / stored.PLAN, [], 0
    for place in places(plain()):
        for change in (*VALUES, places):
            value = altered(plain(), place, change)
            if value == plain():
                continue
            tried += 1
            path.write_text(json.dumps(value))
            if (found := outcome(folder)) is not None:
                accepted.append((place, change))
                for g, group in enumerate(found.buckets):
                    ranges = [wave[g] for wave in found.waves]
                    assert sum((list(range(*bounds)) for bounds in ranges), []) == list(range(len(group.members)))
                    assert 1 <= group.block <= len(group.members) and group.recipe.batch % group.tile == 0
                    assert group.recipe == MADE.buckets[g].recipe
                assert found.keys == MADE.keys and found.chunks == MADE.chunks
    assert tried > 1000
    # Blocks and tiles change no number, what is said of members beside their keys is not read, nor what is not known.
    legal = ("block", "tile", "since", "lowering")
    told = "members", "image_shape", "shared_bytes", "devices"  # a plan that is repeated has its own
    assert all(p[0] in told or p[-1] in legal or c is places for p, c in accepted), accepted


MAP = ["forward", 3, 4, 8, 8, 1, 4, 3, 1, "float32"]


@pytest.mark.parametrize(
    "part, value",
    [("block", v) for v in (None, 0, -1, 10**9, "2", True, 2.0)]
    + [("tile", v) for v in (None, 0, 4, 12, 3.0, "3", True)]
    + [("lowering", v) for v in (None, 1, "fast", {"a": 1}, [], ["map"], [[MAP, "map"]])],  # the last was once measured
)
def test_a_layout_that_cannot_be_is_refused(folder, part, value):
    altered = plain()
    altered["groups"][0][part] = value
    (folder.path / stored.PLAN).write_text(json.dumps(altered))
    with pytest.raises(
        errors.CheckpointError, match=f"plan.json: [a-z.]*{part} expects .*; delete it and run the same"
    ):
        repeat(folder)


def test_a_stored_layout_is_repeated_whatever_is_forced_now(folder):
    other = plain()
    other["groups"][0] |= {"block": 1, "tile": 1, "lowering": "grouped"}
    (folder.path / stored.PLAN).write_text(json.dumps(other))
    first = repeat(folder).buckets[0]
    assert (first.block, first.tile, first.lowering) == (1, 1, "grouped")


def test_deleting_a_refused_plan_is_the_way_on(folder):
    value = plain()
    value["waves"].pop()  # a dropped wave
    (folder.path / stored.PLAN).write_text(json.dumps(value))
    with pytest.raises(errors.CheckpointError) as told:
        repeat(folder)
    assert str(told.value) == (
        f"cannot use {folder.path / 'plan.json'}: the waves do not hold every member once; "
        "delete it and run the same command again, which keeps what is finished"
    )
    (folder.path / stored.PLAN).unlink()
    assert repeat(folder) == MADE


IDENTITY = {"data": {"fingerprint": "f"}, "settings": {}, "code": {"engine": "e"}}


@pytest.mark.parametrize("change", [{}, None, [], {**IDENTITY, "code": 3}, {**IDENTITY, "data": {"fingerprint": 1}}]
                         + [{k: v for k, v in IDENTITY.items() if k != name} for name in IDENTITY]
                         + [{**IDENTITY, "more": {}}])  # fmt: skip
def test_an_identity_that_lacks_a_part_is_refused(folder, change):
    folder.write_json(stored.PLAN, plain() | {"identity": IDENTITY})
    assert stored.plan(folder)["identity"] == IDENTITY
    folder.write_json(stored.PLAN, plain() | {"identity": change})
    with pytest.raises(
        errors.CheckpointError, match="plan.json: .*identity.*; delete it and run the same command again"
    ):
        stored.plan(folder)


HISTORIES = {"experts": [{"expert": 0, "history": [{"epoch": 0, "val_accuracy": 0.1, "label_entropy": 2.3}]}]}


def test_histories_are_read_and_what_is_none_is_refused(folder):
    assert stored.histories(folder) is None
    path = folder.path / stored.TEACHERS
    folder.write_json(path.name, HISTORIES)
    assert stored.histories(folder) == [HISTORIES["experts"][0]["history"]]
    refused = 0
    for place in places(HISTORIES):
        for change in (None, 3, "x", [], {}, places):
            path.write_text(json.dumps(altered(HISTORIES, place, change)))
            try:
                stored.histories(folder)
            except errors.CheckpointError as problem:
                assert "teachers.json" in str(problem) and "delete it" in str(problem)
                refused += 1
            else:
                none = altered(HISTORIES, place, change) == {"experts": []}  # nothing asked one
                assert none or place[-1:] in [("expert",), ("epoch",), ("val_accuracy",), ("label_entropy",)]
    assert refused > 30
    path.write_text(json.dumps(files.seal(HISTORIES)).replace("0.1", "0.2"))
    with pytest.raises(errors.CheckpointError, match="not what was saved"):
        stored.histories(folder)
