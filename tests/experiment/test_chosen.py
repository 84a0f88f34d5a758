"""Images of one's own choice: from arrays and files, what is refused, and what keys know of them."""

import doctest
import json

import numpy as np
import pytest
import tiny_run as tiny

import jaxsoft
from jaxsoft import errors
from jaxsoft.analysis.reading.results import read_results
from jaxsoft.data import chosen
from jaxsoft.data.chosen import Indices
from jaxsoft.experiment import run
from jaxsoft.experiment.plan import checks, make


@pytest.fixture(scope="module")
def data():
    return run.load(tiny.settings())


@pytest.fixture(scope="module")
def table(data):
    """The last two images of every class, [10, 2]."""
    return np.stack([np.flatnonzero(data.train.labels == k)[:-3:-1] for k in range(10)])


def changed(table, place, value):
    table = table.copy()
    table[place] = value
    return table


def planned(select, data, **changes):
    settings = tiny.settings({"sweep.labels": ("hard",), **{k.replace("__", "."): v for k, v in changes.items()}})
    settings = checks.check(settings.__class__(**{**vars(settings), "select": select}))
    return make.make(settings, data, [], {})


def test_docstrings():
    assert doctest.testmod(chosen).failed == 0


def test_in_python_an_array_says_which_images(data, table):
    student = jaxsoft.Student(model="mlp(hidden=8)", batch=16, steps=12, learning_rate=0.1, evaluations=3)
    ways = "random", Indices.from_array(table, name="ends"), Indices.from_array(table[:, ::-1].ravel())
    sweep = jaxsoft.Sweep(ipc=(2,), labels=("hard",), select=ways, seed=(0, 1))
    rows = list(jaxsoft.train_students(data, student=student, sweep=sweep))
    assert [row["select"].partition(",")[0] for row in rows[:3]] == ["random", "indices(ends", "indices(images"]
    assert len({row["member"] for row in rows}) == 6
    alone = jaxsoft.Sweep(ipc=(2,), labels=("hard",), seed=(0, 1))
    again = list(jaxsoft.train_students(data, student=student, sweep=alone, select=table))
    said = "val_accuracy", "accuracy_by_class", "member"
    assert [[row[c] for c in said] for row in again] == [[row[c] for c in said] for row in rows[1::3]]


def test_the_same_images_as_random_gives_are_the_same_numbers(data):
    student = jaxsoft.Student(model="mlp(hidden=8)", batch=16, steps=12, learning_rate=0.1, evaluations=3)
    sweep = jaxsoft.Sweep(ipc=(2,), labels=("hard",), seed=(1,))
    drawn = jaxsoft.data.select.random(data.train.labels, 2, key=jaxsoft.rng.key(1, jaxsoft.rng.Stream.SUBSET))
    one, other = (jaxsoft.train_students(data, student=student, sweep=sweep, select=s)[0] for s in ("random", drawn))
    differ = {name for name in one if one[name] != other[name]}
    assert differ == {"member", "select"}


@pytest.mark.parametrize("suffix", ["npy", "npz", "csv", "json", "flat.csv"])
def test_files_in_a_run(tmp_path, data, table, suffix, capsys):
    path = tmp_path / f"ends.{suffix}"
    write = {
        "npy": lambda: np.save(path, table), "npz": lambda: np.savez(path, table),
        "csv": lambda: np.savetxt(path, table, "%d", ","), "json": lambda: path.write_text(json.dumps(table.tolist())),
        "flat.csv": lambda: np.savetxt(path, table.ravel(), "%d"),
    }  # fmt: skip
    write[suffix]()
    file = tiny.config_file(tmp_path, {"sweep.labels": ("hard",), "select": f"indices('{path.name}', nested=true)"})
    assert tiny.command(file, tmp_path / "run") == 0
    rows = read_results(tmp_path / "run")
    assert {row["select"] for row in rows} == {str(Indices.from_array(table if suffix != "flat.csv" else table.ravel(),
                                                                     nested=True, name=path.stem))}  # fmt: skip
    assert tiny.command(file, tmp_path / "run") == 0
    assert "students: 0 of 4 left" in capsys.readouterr().out
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))
    assert tiny.command(file, tmp_path / "run") in (3, 4)


def test_keys_know_the_images_and_not_their_name(data, table):
    one, named, other = (
        planned(way, data, sweep__ipc=(2,)).keys
        for way in map(
            Indices.from_array, (table, table, table[:, ::-1]), (False, True, False), ("images", "b", "images")
        )
    )
    assert one == named and not set(one) & set(other)


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda t: changed(t, (3, 1), 200), "indices(images) holds 200; wanted positions in train, 0..199"),
        (lambda t: changed(t, (3, 1), t[3, 0]), "more than once"),
        (lambda t: changed(changed(t, (3, 1), t[5, 0]), (5, 0), t[3, 1]), "in row 3, an image of class 5; wanted class 3"),
        (lambda t: t[:9], "has 9 rows; wanted 10, one for each class, or a flat list"),
        (lambda t: t.ravel()[:-1], "1 images of class 9 and 2 of class 0; wanted as many of every class"),
        (lambda t: t, "ipc=1 but indices(images) has 2 images; the largest possible is 2; of fewer, the first ones"),
        (lambda t: t[:, :1], "ipc=2 but indices(images) has 1 images; the largest possible is 1"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_data_is_one_line_with_the_key(data, table, edit, told):
    with pytest.raises((errors.DataError, errors.ConfigError)) as caught:
        planned(Indices.from_array(edit(table)), data)
    assert str(caught.value).startswith("config.select: ") and told in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([[0.5, 1]], "holds float64, shape 1x2; wanted integers"), (7, "shape of one number"), ([], "shape 0"),
        ([-1, 3], "holds -1; wanted positions in train, from 0"), ([[1], [2, 3]], "make no array"),
        (np.zeros((1, 1, 1), int), "shape 1x1x1"), ([2**40], "holds 1099511627776"),
    ],
)  # fmt: skip
def test_what_are_no_positions_is_refused(given, told):
    with pytest.raises(errors.DataError) as caught:
        Indices.from_array(given)
    assert told in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("select", "told"),
    [
        ("indices('none.npy')", "config.select: there is no file none.npy; sought in "),
        ("indices(3)", "config.select: indices(3): file expects str, got 3; usage: indices(file: str, nested: bool="),
        ("indices('a.npy', digest=x1)", "config.select: a.npy holds the positions x"),
        ("indices('a.json')", "config.select: cannot read "),
        ("indices('a.txt')", "a.txt is no array; wanted a .npy file"),
        ("indices('a.npy'", "config.select: cannot read spec"),
    ],
)
def test_files_that_hold_no_positions_are_refused(tmp_path, table, select, told):
    np.save(tmp_path / "a.npy", table)
    for name in ("a.json", "a.txt"):
        (tmp_path / name).write_text("[1, 2")
    settings = tiny.settings({"select": select})
    with pytest.raises((errors.DataError, errors.ConfigError)) as caught:
        chosen.read(settings, (tmp_path,))
    assert told in str(caught.value) and "\n" not in str(caught.value)
