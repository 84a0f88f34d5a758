"""Rows of one's own: what becomes of them, what is refused at the door, and how they are known."""

import doctest

import numpy as np
import pytest

from jaxsoft import config, errors
from jaxsoft.config import Settings, Sweep
from jaxsoft.labels import given
from jaxsoft.labels.given import Labels
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.types import Dataset, Split

ROWS = np.array([[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.125, 0.125, 0.75], [0.25, 0.5, 0.25]])
GIVEN = 'array("rows.npy")'


def edited(place, value):
    rows = ROWS.copy()
    rows[place] = value
    return rows


def labels(*texts):
    return Settings(sweep=Sweep(labels=texts))


def read(folder, *texts, others=()):
    return given.read_rows(labels(*texts), (folder, *others)).sweep.labels


def two_arrays(path):
    with open(path, "wb") as file:
        np.savez(file, a=ROWS, b=ROWS)


def test_docstrings():
    assert doctest.testmod(given).failed == 0


@pytest.mark.parametrize(
    "rows, logits, told",
    [
        (edited((2, 1), np.nan), False, "row 2 holds nan; wanted finite numbers"),
        (edited((3, 0), -np.inf), True, "row 3 holds -inf; wanted finite numbers"),
        (edited((1, 1), 1e300), True, "row 1 holds inf; wanted finite numbers"),
        (edited(1, (-0.5, 1.0, 0.5)), False, "row 1 holds -0.5; wanted no probability below 0; logits are told by"),
        (edited(2, (0.5, 0.0, 0.0)), False, "row 2 sums to 0.5; wanted 1, to 0.001; logits are told by logits=true"),
        (edited((3, 2), 0.2515), False, "row 3 sums to 1.0015; wanted 1"),
        (ROWS.argmax(1), False, "holds int64, shape 4; wanted N x K numbers: .*numpy.eye\\(K\\)\\[classes\\]"),
        (np.stack([ROWS, ROWS], 1), False, "shape 4x2x3; .*; labels of views cannot be given"),
        (np.float32(1), False, "holds float32, shape of one number; wanted N x K numbers"),
        (np.array([["a"]]), False, "shape 1x1; wanted N x K numbers"),
        ([[1.0], [0.5, 0.5]], False, " make no array: "),
    ],
)
def test_what_are_no_rows_is_refused_in_one_line(rows, logits, told):
    with pytest.raises(errors.DataError, match=f"the rows of 'mine'.*{told}") as caught:
        Labels.from_array(rows, logits, name="mine")
    assert "\n" not in str(caught.value)


def test_rows_become_float32_that_sum_to_one():
    rows = Labels.from_array(ROWS * 1.0009).rows
    assert rows.dtype == np.float32 and np.allclose(rows, ROWS, atol=1e-7)
    assert np.array_equal(Labels.from_array(np.eye(3, dtype=bool)).rows, np.eye(3))
    logits = np.log(ROWS + 1e-3).astype(np.float32) + 7
    wanted = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.allclose(Labels.from_array(logits, logits=True).rows, wanted, atol=1e-6)


def test_the_digest_is_of_the_numbers_and_of_what_they_mean():
    digests = [
        Labels.from_array(rows, logits, name=name).spec.rows
        for rows, logits, name in (
            (ROWS, False, "a"),
            (np.asfortranarray(ROWS.astype(np.float16)), False, "b"),
            (ROWS, True, "a"),
            (ROWS[::-1], False, "a"),
        )
    ]
    assert digests[0] == digests[1] and len(set(digests)) == 3


def test_files_are_sought_beside_the_config_then_in_the_current_folder(tmp_path):
    first, second = tmp_path / "configs", tmp_path / "here"
    for folder in (first, second):
        folder.mkdir()
    np.save(second / "rows.npy", ROWS)
    np.savez(second / "of.one.npz", ROWS)
    texts = "hard", GIVEN, f"{GIVEN}|topk(2)", 'array("of.one.npz")', f'array("{second}/rows.npy", logits=true)'
    found = read(first, *texts, others=[second])
    assert found == texts and not isinstance(found[0], Labels)
    digest = found[1].spec.rows
    assert [str(label.spec) for label in found[1:4]] == [
        f"array(rows, rows={digest})", f"array(rows, rows={digest})|topk(2)", f"array('of.one', rows={digest})",
    ]  # fmt: skip
    assert found[1].rows is found[2].rows and found[4].spec.rows != digest
    np.save(first / "rows.npy", ROWS[::-1])
    assert read(first, GIVEN, others=[second])[0].spec.rows != digest
    (first / "rows.npy").unlink()
    (second / "rows.npy").unlink()
    with pytest.raises(
        errors.DataError, match=f"config.sweep.labels: there is no file rows.npy; sought in {first} and"
    ):
        read(first, GIVEN, others=[second])


@pytest.mark.parametrize(
    "write, told",
    [
        (
            lambda path: path.write_text("0.5,0.5\n"),
            "rows.npy is no array; wanted a .npy file, or an .npz of one array",
        ),
        (
            two_arrays,
            "rows.npy holds 2 arrays \\(a, b\\); wanted a .npy file",
        ),
        (lambda path: np.save(path, np.array([None])), "cannot read .*: Object arrays cannot be loaded"),
        (lambda path: path.write_bytes(b"\x93NUMPY"), "cannot read .*; wanted a .npy file"),
        (lambda path: path.mkdir(), "cannot read .*: it is a folder"),
        (lambda path: np.save(path, ROWS), "holds the rows x[0-9a-f]{12}; wanted x1"),
    ],
)
def test_files_that_hold_no_rows_are_refused(tmp_path, write, told):
    write(tmp_path / "rows.npy")
    with pytest.raises(errors.DataError, match=f"config.sweep.labels: .*{told}"):
        read(tmp_path, "array('rows.npy', rows=x1)")


@pytest.mark.parametrize(
    "text, canonical",
    [
        (GIVEN, "array('rows.npy')"),
        ('array("a.b/my rows.v2.npy", logits=true) | topk(k=3)', "array('a.b/my rows.v2.npy', logits=true)|topk(3)"),
        ("array(svm, rows=x1f)|temperature(2)", "array(svm, rows=x1f)|temperature(2)"),
        ("array('|(,', logits=false)", "array('|(,')"),
    ],
)
def test_specs_have_one_text(text, canonical):
    spec = LabelSpec.parse(text)
    assert str(spec) == canonical and LabelSpec.parse(canonical) == spec
    assert (spec.source, spec.needs_teacher, spec.is_of_subset, spec.has_open_epoch) == ("array", False, False, False)


def test_the_command_line_keeps_quotes_and_dots():
    told = [("config.sweep.labels", f'hard,{GIVEN},array("a.b, c.npy", logits=true)|topk(2)')]
    read = config.read_with(config.default(), told)
    assert read.sweep.labels == ("hard", GIVEN, 'array("a.b, c.npy", logits=true)|topk(2)')
    only = config.read_with(
        config.default(), [("config.sweep.labels", 'array("learned.npy")'), ("config.sweep.model", "mlp")]
    )
    with pytest.raises(errors.ConfigError, match="config.student.model has no effect"):
        config.read_with(config.as_dict(only), [("config.student.model", "mlp")])


def test_settings_keep_rows_as_they_are():
    mine = Labels.from_array(ROWS) | "topk(2)"
    tree = config.default()
    tree.sweep.labels = ("hard", mine)
    for kept in (config.read(config.as_dict(labels("hard", mine))), config.read_with(tree, [])):
        assert kept.sweep.labels[1] is mine
    with pytest.raises(errors.ConfigError, match="unknown label operation 'topkk'"):
        mine | "topkk(2)"


def asked(*rows_of):
    train, rest = (
        Split(np.zeros((4, 2, 2, 1), np.uint8), np.array([0, 1, 2, 1], np.int32)),
        np.arange(3, dtype=np.int32),
    )
    others = Split(np.zeros((3, 2, 2, 1), np.uint8), rest)
    dataset = Dataset("own", ("a", "b", "c"), train, others, others)
    return given.ask_functions(labels(*rows_of), dataset).sweep.labels


def test_a_function_gives_rows_that_count_by_what_they_are_and_is_asked_once():
    calls = []

    def own(images, labels, class_names, share: float = 0.5):
        calls.append((images.shape, labels.tolist(), class_names))
        return share * np.eye(3)[labels] + (1 - share) / 3

    path = labels(own).sweep.labels[0]
    first, treated, other = asked(own, f"{path}|topk(1)", f"{path}(share=1.0)")
    assert calls == [((4, 2, 2, 1), [0, 1, 2, 1], ("a", "b", "c"))] * 2
    np.testing.assert_allclose(first.rows[1], (1 / 6, 2 / 3, 1 / 6), rtol=1e-6)
    assert first.spec.rows == treated.spec.rows == Labels.from_array(first.rows).spec.rows != other.spec.rows
    assert (
        str(treated.spec) == f"array({path!r}, rows={first.spec.rows})|topk(1)" and str(other) == f"{path}(share=1.0)"
    )
    for spec in (LabelSpec.parse(path), first.spec):
        assert spec.source == "array" and not (spec.needs_teacher or spec.is_learned or spec.is_of_subset)
    assert LabelSpec.parse(str(LabelSpec.parse(f"{path}(share=1.0)|topk(1)"))).function.kwargs == {"share": 1.0}
    assert LabelSpec.parse(str(treated.spec)) == treated.spec


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (lambda images, labels: np.eye(3), "has 3x3 numbers, rows by classes; own wants 4x3"),
        (lambda images, labels: np.eye(3)[labels] * 2, "row 0 sums to 2; wanted 1"),
        (lambda images, labels: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda labels, images: np.eye(3)[labels], "should take first images, labels; it takes labels, images"),
    ],
)
def test_what_a_function_gives_is_checked_as_an_array_is(function, told):
    with pytest.raises((errors.ConfigError, errors.DataError)) as caught:
        given.check_rows(
            asked(function), Dataset("own", ("a", "b", "c"), *[Split(np.zeros((4, 1, 1, 1)), np.arange(4))] * 3)
        )
    assert told in str(caught.value)


def test_rows_of_views_are_told_what_can_be_given():
    with pytest.raises(errors.DataError, match=r"labels of views cannot be given, .* rows.mean\(1\)"):
        Labels.from_array(np.stack([ROWS, ROWS], 1))
