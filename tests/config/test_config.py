"""Settings: round trips, every rule, and that nothing but one line of ConfigError comes out of a wrong config."""

import dataclasses
import random
import re
import types
import typing

import ml_collections
import pytest

from jaxsoft import config, errors
from jaxsoft.experiment.plan import checks


def refusal(function, *args, **kwargs):
    with pytest.raises(errors.ConfigError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def fields(kind=config.Settings, path=()):
    """(path, type, rule) of every setting that is not a group."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            yield from fields(hints[field.name], (*path, field.name))
        else:
            text = {typing.Any: str, tuple[typing.Any, ...]: tuple[str, ...]}  # or, in Python, the object
            yield (*path, field.name), text.get(hints[field.name], hints[field.name]), field.metadata


def override(path, text):
    return config.read_with({}, [(path, text)])


def nested(path, value):
    for name in reversed(path):
        value = {name: value}
    return value


FIELDS = list(fields())
each = pytest.mark.parametrize(("path", "kind", "rule"), FIELDS, ids=[".".join(p) for p, *_ in FIELDS])


def element(kind):
    return typing.get_args(kind)[0] if typing.get_origin(kind) is tuple else kind


def test_defaults_survive_the_round_trip():
    assert config.read(config.default()) == config.Settings() == config.read({})
    assert config.read(config.as_dict(config.Settings())) == config.Settings()


def test_reading_keeps_what_is_set_and_makes_tuples():
    tree = config.default()
    tree.name, tree.student.learning_rate, tree.sweep.ipc = "x", 2.5, (3,)
    read = config.read(tree)
    assert (read.name, read.student.learning_rate, read.sweep.ipc) == ("x", 2.5, (3,))
    assert config.read({"sweep": {"seed": range(3), "ipc": [1, 2], "labels": "hard"}}).sweep == config.Sweep(
        seed=(0, 1, 2), ipc=(1, 2), labels=("hard",)
    )
    assert type(config.read({"student": {"learning_rate": 1}}).student.learning_rate) is float


def test_settings_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.Settings().student.batch = 3  # pyright: ignore


@each
def test_every_setting_says_what_it_means(path, kind, rule):
    assert rule["doc"]
    assert element(kind) in (int, float, str)
    assert set(rule) <= {"doc", "low", "high", "above", "choices", "names"}


@each
def test_a_value_outside_of_the_range_is_refused(path, kind, rule):
    number = element(kind)
    wrong = [rule[name] + step for name, step in (("low", -1), ("high", 1), ("above", 0)) if name in rule]
    wrong += ["no such choice"] if "choices" in rule else []
    wrong += [10**9 + 1] if number is int else [float("nan"), float("inf")] if number is float else []
    for value in wrong:
        name = ".".join(("config", *path))
        value = number(value)
        assert refusal(config.read, nested(path, value)).startswith(f"{name} expects ")
        assert refusal(override, name, repr(value)).startswith(f"{name} expects ")


@each
def test_a_value_on_the_edge_passes(path, kind, rule):
    right = [rule[name] for name in ("low", "high") if name in rule] + list(rule.get("choices", ()))
    right += [10**9] if element(kind) is int and "high" not in rule else []
    for value in right:
        config.read(nested(path, value))
        override(".".join(("config", *path)), str(value))


@each
def test_another_type_is_refused(path, kind, rule):
    wrong = {int: [1.0, "1", True, None], float: ["1", True, None, 1j], str: [1, True, None, b"x"]}[element(kind)]
    for value in wrong:
        message = refusal(config.read, nested(path, value))
        assert message.startswith(f"{'.'.join(('config', *path))} expects ")
        assert message.endswith(f"got {value!r}")


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"student": {"batch": 1.5}}, "config.student.batch expects int >= 1, got 1.5"),
        ({"data": {"validation": 0.6}}, "config.data.validation expects float >= 0.0 and <= 0.5, got 0.6"),
        ({"protocol": "x"}, "config.protocol expects one of sealed, paper, both, got 'x'"),
        ({"teacher": {"model": 3}}, "config.teacher.model expects the text of a spec, or in Python the function or network itself, got 3"),
        ({"name": "a\0b"}, "config.name expects a name for a folder, without / and of one line, got 'a\\x00b'"),
        ({"sweep": {"ipc": (1, 0)}}, "config.sweep.ipc expects int >= 1, got 0"),
        ({"teacher": {"seed": 2**31}}, "config.teacher.seed expects int >= 0 and <= 1000000000, got 2147483648"),
        ({"student": 3}, "config.student expects a group of settings, got 3"),
        (None, "config expects a group of settings, got None"),
        ({"learnrate": 3}, "unknown setting config.learnrate; did you mean config.sweep.learning_rate?"),
        ({"student": {"btch": 3}}, "unknown setting config.student.btch; did you mean config.student.batch?"),
        ({"teacher": {"evaluations": 3}}, "unknown setting config.teacher.evaluations; did you mean "
         "config.student.evaluations?"),
    ],
)  # fmt: skip
def test_messages(tree, message):
    assert refusal(config.read, tree) == message


@pytest.mark.parametrize(
    ("path", "meant"),
    [
        ("config.ipc", "config.sweep.ipc"),
        ("config.sweep.seeds", "config.sweep.seed"),
        ("config.student.learningrate", "config.student.learning_rate"),
        ("config.teacher.learning_rat", "config.teacher.learning_rate"),
        ("config.protocl", "config.protocol"),
        ("config.memory", "config.compute.memory_gb"),
        ("", "config.name"),
    ],
)
def test_closest_means_the_setting_one_would_expect(path, meant):
    if path:
        assert config.closest(path) == meant
    assert config.closest(path).startswith("config.")


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("config.learnrate", "3", "unknown setting config.learnrate; did you mean config.sweep.learning_rate?"),
        ("config.student.batch.x", "3", "unknown setting config.student.batch.x; did you mean"),
        ("config.studnt.batch", "3", "unknown setting config.studnt.batch; did you mean config.student.batch?"),
        ("config.", "3", "unknown setting config.; did you mean"),
        ("config.student", "3", "config.student is a group of settings; set one of them, such as config.student.model"),
        ("config.student.batch", "many", "config.student.batch expects int >= 1, got 'many'"),
        ("config.student.batch", "", "config.student.batch expects int >= 1, got ''"),
        ("config.sweep.ipc", "(1, 2.5)", "config.sweep.ipc expects int >= 1, got 2.5"),
        ("config.protocol", "peper", "config.protocol expects one of sealed, paper, both, got 'peper'"),
    ],
)
def test_overrides_are_refused(path, text, message):
    assert refusal(override, path, text).startswith(message)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("config.sweep.ipc", "5"),
        ("config.sweep.ipc", "(1, 5)"),
        ("config.sweep.labels", "teacher(epoch=5)|topk(3)"),
        ("config.name", "(odd"),
        ("config.student.learning_rate", "1"),
        ("config.protocol", "paper"),
    ],
)
def test_overrides_pass(path, text):
    override(path, text)


def test_of_several_overrides_for_one_setting_the_last_counts():
    read = config.read_with({}, [("config.sweep.ipc", "1,2"), ("config.name", "a"), ("config.sweep.ipc", "5")])
    assert read.sweep.ipc == (5,) and read.name == "a"


def test_an_override_mends_what_a_file_left_open():
    tree = config.default()
    tree.student.batch = ml_collections.config_dict.required_placeholder(int)
    tree.teacher.epochs = 0
    assert refusal(config.read, tree).startswith("config.student.batch has no value: ")
    changes = [("config.student.batch", "7"), ("config.teacher.epochs", "3")]
    read = config.read_with(tree, changes)
    assert (read.student.batch, read.teacher.epochs) == (7, 3)


@pytest.mark.parametrize("freeze", [lambda tree: tree, lambda tree: tree.lock(), ml_collections.FrozenConfigDict])
def test_what_refers_to_an_overridden_setting_follows(freeze):
    tree = config.default()
    del tree["learned"]
    if freeze is not ml_collections.FrozenConfigDict:  # it holds no references
        tree.student.steps = tree.teacher.get_ref("epochs") * 10
    read = config.read_with(freeze(tree), [("config.teacher.epochs", "5"), ("config.learned.looks", "3")])
    assert (read.teacher.epochs, read.learned.looks) == (5, 3)
    assert read.student.steps == (400 if freeze is ml_collections.FrozenConfigDict else 50)


@pytest.mark.parametrize("tree", [{}, {"student": {"steps": 7}}, types.MappingProxyType({"sweep": {}})])
def test_plain_mappings_are_overridden_and_left_as_they_are(tree):
    before = repr(tree)
    read = config.read_with(tree, [("config.student.batch", "3"), ("config.sweep.ipc", "")])
    assert (read.student.batch, read.sweep.ipc) == (3, ()) and repr(tree) == before


@pytest.mark.parametrize("tree", [None, {"student": 3}])
def test_overrides_of_what_is_no_group_are_refused(tree):
    assert "expects a group of settings, got" in refusal(config.read_with, tree, [("config.student.batch", "3")])


@pytest.mark.parametrize(
    ("typed", "value", "other"),
    [
        ("student.learning_rate", "0.1", "sweep.learning_rate"),
        ("student.weight_decay", "0.1", "sweep.weight_decay"),
        ("student.steps", "3", "sweep.steps"),
        ("student.epochs", "3", "sweep.steps"),
        ("student.model", "mlp", "sweep.model"),
        ("student.loss", "kl", "sweep.loss"),
        ("student.optimizer", "adamw", "sweep.optimizer"),
        ("student.augment", "dsa", "sweep.augment"),
        ("teacher.model", "mlp", "teacher.models"),
        ("select", "random", "sweep.select"),
    ],
)
def test_an_override_that_another_setting_makes_vain_is_refused(typed, value, other):
    named = {"model": "mlp", "select": "random", "loss": "mse", "optimizer": "sgd", "augment": "dsa"}
    filled = [(f"config.{other}", next((value for name, value in named.items() if name in other), "3"))]
    message = refusal(config.read_with, {}, [*filled, (f"config.{typed}", value)])
    assert message == f"config.{typed} has no effect: config.{other} replaces it; change or empty that"
    config.read_with({}, [*filled, (f"config.{other}", ""), (f"config.{typed}", value)])


def test_the_students_network_matters_where_labels_are_learned():
    swept = [("config.sweep.model", "mlp"), ("config.student.model", "mlp")]
    config.read_with({}, [*swept, ("config.sweep.labels", "learned")])


def test_arguments_of_a_config_file():
    assert vars(config.parse_arg(None, quick=False, n=3, protocol="x")) == {"quick": False, "n": 3, "protocol": "x"}
    read = config.parse_arg("quick,n=5,protocol=a=b,rate=2", quick=False, n=3, protocol="x", rate=0.5)
    assert vars(read) == {"quick": True, "n": 5, "protocol": "a=b", "rate": 2.0}
    assert config.parse_arg("quick=true", quick=False).quick is True
    assert config.parse_arg("quick=false", quick=True).quick is False


@pytest.mark.parametrize(
    ("arg", "message"),
    [
        ("quik", "unknown config argument 'quik'; choices: quick, n"),
        ("quick=maybe", "config argument quick expects one of true, false, got 'maybe'"),
        ("n=many", "config argument n expects int, got 'many'"),
        ("n", "config argument n expects int, got ''"),
    ],
)
def test_arguments_of_a_config_file_are_refused(arg, message):
    assert refusal(config.parse_arg, arg, quick=False, n=3) == message


# Values that are wrong nearly everywhere, and some that are right now and then.
ODD = (
    -1, 0, 1, 2, 3, 10**9, 10**400, 0.5, 1e-9, 1e308, -0.0, float("nan"), float("inf"), True, None, "", " ", "hard",
    "teacher", "teacher(epoch=3)", "teacher(expert=7, epoch=1)", "teachers(2)|swap(1)", "hard|", "a.b(", "sgd(momentum=x)",
    "mlp(hidden=0)", "mlp(hidden=4)", "convnet(width=1e9)", "decile(i=3)", "decile", "nöne\0", "\ud800", "ipc labels",
    "__import__('os')", "(" * 300, "step(0.3, 4)", "paper", "zca", (), (1,), (1, 2), ("hard", "hard"), ("ipc",), ("",),
    ("ipc ipc",), ("seed ipc", "labels"), (None,), ((1,),), {}, {"batch": 3}, {1: 2}, [], [1, 2.5], b"x", object, 1j,
    lambda: 0, ml_collections.ConfigDict({"x": 1}),
)  # fmt: skip


def mutated(draw):
    """The default config with one to three places changed: a value, a key more, a group replaced."""
    tree = config.as_dict(config.Settings())
    tree["teacher"]["model"] = tree["student"]["model"] = "mlp(hidden=4)"
    for _ in range(draw.choice((1, 1, 2, 3))):
        group = draw.choice((tree, *(g for g in tree.values() if isinstance(g, dict))))
        if group:
            key = draw.choice(list(group)) if draw.random() < 0.95 else draw.choice(("", "lrr", "ipc", 3, None))
            like = [value for value in ODD if type(value) is type(group.get(key))]
            group[key] = draw.choice(like if like and draw.random() < 0.7 else ODD)
    return tree


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 20))])
def test_only_one_line_of_config_error_comes_out_of_a_mutated_config(seed):
    draw, passed = random.Random(seed), 0
    for _ in range(500):
        tree = mutated(draw)
        try:
            checks.check(config.read(tree))
            passed += 1
        except errors.ConfigError as problem:
            assert re.match(r"[^\n]*config\.\w+[^\n]*$", str(problem)), f"no key, or not one line: {problem}"
    assert 50 < passed < 450  # both ways out are taken often
