"""One value: what NumPy and people write, exactly as meant, and one line for all else."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.config import values

INTS, FLOATS, TEXTS = tuple[int, ...], tuple[float, ...], tuple[str, ...]


def refusal(*args):
    with pytest.raises(errors.ConfigError) as caught:
        values.checked(*args)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "wanted", "means"),
    [
        (np.int64(3), int, 3),
        (np.uint8(3), int, 3),
        (np.array(3), int, 3),
        (np.float32(0.1), float, 0.10000000149011612),
        (np.float64(0.1), float, 0.1),
        (np.int32(2), float, 2.0),
        (np.str_("zca"), str, "zca"),
        (jnp.float32(0.5), float, 0.5),
        (np.arange(1, 4), INTS, (1, 2, 3)),
        (np.logspace(0, 2, 3), INTS, (1, 10, 100)),
        (np.geomspace(1, 64, 7), INTS, (1, 2, 4, 8, 16, 32, 64)),  # as floats 7.999999999999999, 32.00000000000001
        (np.logspace(-3, -1, 3), FLOATS, (0.001, 0.01, 0.1)),
        (np.array(5), INTS, (5,)),
        (np.array(["a", "b"]), TEXTS, ("a", "b")),
        ([np.int64(1), 2, np.float64(3)], INTS, (1, 2, 3)),
        (jnp.arange(2), INTS, (0, 1)),
        (range(2), INTS, (0, 1)),
        (np.arange(0), INTS, ()),
    ],
)
def test_numpy_means_the_numbers_it_holds(value, wanted, means):
    found = values.checked(value, wanted, {}, "config.x")
    assert found == means and type(found) is type(means)
    for one, other in zip(found, means) if isinstance(means, tuple) else ():
        assert type(one) is type(other)


@pytest.mark.parametrize(
    ("value", "wanted", "got"),
    [
        (np.bool_(True), int, "True"),
        (np.bool_(True), float, "True"),
        (np.float64(1.5), int, "1.5"),
        (np.float32("nan"), int, "nan"),
        (np.float64("inf"), float, "inf"),
        (np.array([1.0, 2.0001]), INTS, "2.0001"),
        (np.eye(2), FLOATS, "[1.0, 0.0]"),
        (np.array([1, None]), INTS, "None"),
        (1.0, int, "1.0"),  # Python's own types say what is meant
        pytest.param(10**5000, int, "a value of type int that is too long to show", id="huge"),
        (10**400, float, "1" + 299 * "0" + "... (401 characters)"),
        ({1, 2}, INTS, "{1, 2}"),
        ("a\0b\n", str, r"'a\x00b\n'"),
    ],
)
def test_anything_else_is_one_line(value, wanted, got):
    assert refusal(value, wanted, {}, "config.x").endswith(f", got {got}")


def test_ranges_hold_for_numpy_too():
    assert refusal(np.arange(2), INTS, {"low": 1}, "config.x") == "config.x expects int >= 1, got 0"
    assert refusal(1e39, float, {"above": 0.0}, "config.x") == "config.x expects float > 0.0 and <= 3.4e+38, got 1e+39"
    assert refusal(1e-60, float, {"above": 0.0}, "config.x") == "config.x expects float >= 1.2e-38, got 1e-60"
    assert refusal(np.int64(2**40), int, {}, "config.x") == "config.x expects int <= 1000000000, got 1099511627776"


@pytest.mark.parametrize(
    ("text", "wanted", "means"),
    [
        ("5", INTS, (5,)),
        ("1,5", INTS, (1, 5)),
        ("(1, 5,)", INTS, (1, 5)),
        ("[1,5]", INTS, (1, 5)),
        ("", INTS, ()),
        ("()", TEXTS, ()),
        ("1e-3,.5,2", FLOATS, (1e-3, 0.5, 2)),
        ("hard", TEXTS, ("hard",)),
        ("3", TEXTS, ("3",)),
        ("hard,teacher(epoch=2)", TEXTS, ("hard", "teacher(epoch=2)")),
        ("hard, teachers(3, pool=logits, epoch=2)|topk(3)", TEXTS, ("hard", "teachers(3, pool=logits, epoch=2)|topk(3)")),
        ("('hard','teacher(epoch=2)')", TEXTS, ("hard", "teacher(epoch=2)")),
        ("(hard, teacher(epoch=2))", TEXTS, ("hard", "teacher(epoch=2)")),
        ('"hard", "a,b"', TEXTS, ("hard", "a,b")),
        ("f('a,b'),g", TEXTS, ("f('a,b')", "g")),
        ("(a),(b)", TEXTS, ("(a)", "(b)")),
        ("ipc,labels,seed learning_rate", TEXTS, ("ipc", "labels", "seed learning_rate")),
        ("teacher(epoch=2", TEXTS, ("teacher(epoch=2",)),
        ("a),b", TEXTS, ("a),b",)),
        ("7", int, 7),
        ("teacher(1, 2)", str, "teacher(1, 2)"),
        ("'quoted'", str, "'quoted'"),
        ("many", int, "many"),
        ("'\\d'", int, "\\d"),  # without a word of Python's about the escape
        ("[" * 5000, int, "[" * 5000),
        ("{[]: 1}", int, "{[]: 1}"),
    ],
)  # fmt: skip
def test_what_a_command_line_says(text, wanted, means):
    assert values.parsed(text, wanted) == means


@pytest.mark.parametrize(("text", "home"), [("~/x", "/home/me/x"), ("~", "/home/me"), ("a/~", "a/~"), ("", "")])
def test_a_path_begins_at_home(monkeypatch, text, home):
    monkeypatch.setenv("HOME", "/home/me")
    assert values.path(text, "--root") == home
    assert values.checked(text, str, {"names": "path"}, "config.data.root") == home


@pytest.mark.parametrize("text", ["gs://bucket/run", "s3://b", "file:///tmp", "https://x.org/a"])
def test_a_url_is_no_path(text):
    with pytest.raises(errors.ConfigError) as caught:
        values.path(text, "--workdir")
    assert str(caught.value) == f"--workdir expects a path on this machine, got '{text}'; mount it first"


def test_nobodys_home_is_one_line():
    with pytest.raises(errors.ConfigError, match=r"^--out: there is no home folder for '~nobody-of-this-name/x'$"):
        values.path("~nobody-of-this-name/x", "--out")


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a/b", "/", "../x", "a\nb", "a\x1b[2J", "\ud800", "ö" * 101])
def test_what_cannot_name_a_run_folder(name):
    assert refusal(name, str, {"names": "folder"}, "config.name").startswith(
        "config.name expects a name for a folder, "
    )


@pytest.mark.parametrize("name", ["digits-quick", "größe 数字", "a.b", "~", "ö" * 100])
def test_what_can(name):
    assert values.checked(name, str, {"names": "folder"}, "config.name") == name
