"""The label spec: what it reads, what it refuses and how it says so."""

import dataclasses
import inspect

import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import errors, spec
from jaxsoft.labels import ops, sources
from jaxsoft.labels.spec import LabelSpec

HISTORIES = [
    [
        {"epoch": 0, "val_accuracy": 0.10, "label_entropy": 2.3},
        {"epoch": 5, "val_accuracy": 0.34999999, "label_entropy": 1.8},
        {"epoch": 11, "val_accuracy": 0.62, "label_entropy": 0.9},
        {"epoch": 20, "val_accuracy": 0.60, "label_entropy": 0.4},
    ],
    [
        {"epoch": 0, "val_accuracy": 0.10, "label_entropy": 2.1},
        {"epoch": 5, "val_accuracy": 0.21, "label_entropy": 2.0},
        {"epoch": 11, "val_accuracy": 0.40, "label_entropy": 1.5},
        {"epoch": 20, "val_accuracy": 0.70, "label_entropy": 0.6},
    ],
]


def refusal(function, *args):
    with pytest.raises(errors.ConfigError) as caught:
        function(*args)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("text", "canonical", "experts"),
    [
        ("hard", "hard", ()),
        (" hard() ", "hard", ()),
        ("hard|smooth", "hard|smooth(0.1)", ()),
        ("hard|smooth(amount=0.2)", "hard|smooth(0.2)", ()),
        ("teacher", "teacher", (0,)),
        ("teacher(0)", "teacher", (0,)),
        ("teacher(expert=2)", "teacher(expert=2)", (2,)),
        ("teacher(2, 11)", "teacher(expert=2, epoch=11)", (2,)),
        ("teacher(epoch=11)|temperature(2)|topk(10)", "teacher(epoch=11)|temperature(2)|topk(10)", (0,)),
        ("teacher( epoch = 11 )|temperature( t=2.0 )", "teacher(epoch=11)|temperature(2)", (0,)),
        ("teacher(accuracy=0.35)", "teacher(accuracy=0.35)", (0,)),
        ("teacher(accuracy=1)", "teacher(accuracy=1)", (0,)),
        ("teacher(entropy=2.4)|swap(1)", "teacher(entropy=2.4)|swap(1)", (0,)),
        ("teachers", "teachers(3)", (0, 1, 2)),
        ("teachers(2, pool=probabilities)", "teachers(2, pool=probabilities)", (0, 1)),
        ("teachers(2, pool='logits', epoch=0)", "teachers(2, epoch=0)", (0, 1)),
        ("teachers(1, pool=probabilities, epoch=3)", "teacher(epoch=3)", (0,)),
        ("teacher|hard", "teacher|hard", (0,)),
        ("teacher|mix(0.5)|drop_class(c=3)|power(2.5)", "teacher|mix(0.5)|drop_class(3)|power(2.5)", (0,)),
    ],
)
def test_one_meaning_has_one_text(text, canonical, experts):
    parsed = LabelSpec.parse(text)
    assert str(parsed) == canonical
    assert parsed.experts == experts and parsed.needs_teacher == bool(experts)
    again = LabelSpec.parse(canonical)
    assert again == parsed and hash(again) == hash(parsed)


def test_the_parts_of_a_spec_have_names():
    parsed = LabelSpec.parse("teachers(2, views=3, accuracy=0.5)|smooth|topk(4)")
    assert (parsed.source, parsed.views, parsed.when) == ("teachers", 3, {"accuracy": 0.5})
    assert parsed.operations == (spec.Call("smooth", (0.1,)), spec.Call("topk", (4,)))
    assert [LabelSpec.parse(text).source for text in ("hard", "learned", "teacher")] == ["hard", "learned", "teacher"]
    assert (
        str(dataclasses.replace(parsed, operations=parsed.operations[1:]))
        == "teachers(2, accuracy=0.5, views=3)|topk(4)"
    )
    assert str(dataclasses.replace(parsed, accuracy=None, experts=(0,), operations=())) == "teacher(views=3)"


def test_specs_that_differ_are_not_equal():
    texts = ["hard", "teacher", "teacher(1)", "teacher(epoch=0)", "teacher(accuracy=1)", "teacher(entropy=1)"]
    texts += ["teachers(2)", "teachers(2, pool=probabilities)", "teacher|topk(1)", "teacher|topk(2)", "hard|topk(1)"]
    assert len({LabelSpec.parse(text) for text in texts}) == len(texts) == len(set(texts))


def test_sources_can_be_made_in_python():
    assert LabelSpec(**sources.hard()) == LabelSpec.parse("hard")
    assert LabelSpec(**sources.teacher(epoch=11)) == LabelSpec.parse("teacher(epoch=11)")
    assert LabelSpec(**sources.teachers(2, entropy=1.5)) == LabelSpec.parse("teachers(2, entropy=1.5)")


OPERATIONS_FILE = "(all of them: jaxsoft/labels/ops.py)"
REFUSED = {
    "techer": "unknown label source 'techer'; closest: teacher, teachers, committee (all of them: jaxsoft/labels/sources.py)",
    "topk(3)": "a label spec starts with a source (hard, learned, array, teacher, teachers, committee, imported, distilled), got the operation 'topk' (in 'topk(3)')",
    "teacher|tempratur(2)": "unknown label operation 'tempratur'; closest: temperature, topk, renormalize "
    + OPERATIONS_FILE,
    "teacher|swop(2)": "unknown label operation 'swop'; closest: swap, topk, smooth " + OPERATIONS_FILE,
    "teacher|_require(2)": "unknown label operation '_require'; closest: renormalize, centre, stored "
    + OPERATIONS_FILE,
    "hard|teachers(2)": "'teachers' is a source of labels and can only come first (in 'hard|teachers(2)')",
    "hard(3)": "hard(3) in 'hard(3)': too many positional arguments; usage: hard()",
    "teacher|topk": "topk in 'teacher|topk': missing a required argument: 'k'; usage: topk(k: int)",
    "teacher|topk(1.5)": "topk(1.5) in 'teacher|topk(1.5)': k expects int, got 1.5; usage: topk(k: int)",
    "teacher|topk(True)": "topk(true) in 'teacher|topk(True)': k expects int, got True; usage: topk(k: int)",
    "teacher|hard(label=3)": "hard(label=3) in 'teacher|hard(label=3)': got an unexpected keyword argument 'label'; "
    "usage: hard()",
    "teacher(epoch=1.5)": "teacher(epoch=1.5) in 'teacher(epoch=1.5)': epoch expects int, got 1.5; "
    "usage: teacher(expert: int=0, epoch: int=None, accuracy: float=None, entropy: float=None, views: int=0, "
    "mix: str='', online: bool=false, statistics: str=running, features: int=None)",
    "teacher(epoch=-1)": "epoch must be 0 or more, got -1 (in 'teacher(epoch=-1)')",
    "teacher(-1)|topk(2)": "teacher: expert must be 0 or more, got -1 (in 'teacher(-1)|topk(2)')",
    "teacher(accuracy=35)": "accuracy must be a fraction in (0, 1], got 35.0 (in 'teacher(accuracy=35)')",
    "teacher(accuracy=0)": "accuracy must be a fraction in (0, 1], got 0.0 (in 'teacher(accuracy=0)')",
    "teacher(entropy=-0.5)": "entropy must be 0 nats or more, got -0.5 (in 'teacher(entropy=-0.5)')",
    "teacher(epoch=3, entropy=2)": "give one of epoch, accuracy and entropy, got 'epoch and entropy' "
    "(in 'teacher(epoch=3, entropy=2)')",
    "teachers(0)": "teachers: n must be in 1..1000, got 0 (in 'teachers(0)')",
    "teachers(10000000000)": "teachers: n must be in 1..1000, got 10000000000 (in 'teachers(10000000000)')",
    "teachers(pool=mean)": "teachers: pool must be logits or probabilities, got 'mean' (in 'teachers(pool=mean)')",
    "teacher||topk(2)": "cannot read spec 'teacher||topk(2)'; expected name(arguments)|..., "
    "such as 'hard', 'teacher(epoch=5)|topk(3)'",
}


@pytest.mark.parametrize("text", REFUSED)
def test_mistakes_are_refused_in_one_line(text):
    assert refusal(LabelSpec.parse, text) == REFUSED[text]


def test_check_finds_what_only_the_number_of_classes_shows():
    LabelSpec.parse("teacher|topk(10)|swap(9)|drop_class(9)|shuffle|mix(0.5)").check(10)
    LabelSpec.parse("hard|smooth").check(2)
    wanted = {
        "teacher|topk(11)": "topk: k must be in 1..10, the number of classes, got 11 (in 'teacher|topk(11)')",
        "teacher|swap(10)": "swap: i must be in 1..9, the number of classes less one, got 10 (in 'teacher|swap(10)')",
        "hard|drop_class(10)": "drop_class: c must be in 0..9, the classes, got 10 (in 'hard|drop_class(10)')",
        "hard|smooth(2)": "smooth: amount must be in [0, 1], got 2.0 (in 'hard|smooth(2)')",
        "teacher|temperature(1e30)": "temperature: t must be in [1e-6, 1e6], got 1e+30 (in 'teacher|temperature(1e+30)')",
    }
    for text, message in wanted.items():
        assert refusal(LabelSpec.parse(text).check, 10) == message


def random_call(generator):
    """An operation with arguments that are often, and not always, legal for ten classes."""
    name = str(generator.choice(sorted(spec.public_functions(ops))))
    wanted = [p.annotation for p in inspect.signature(getattr(ops, name)).parameters.values()]
    values = {int: lambda: int(generator.integers(0, 11)), float: lambda: round(float(generator.uniform(-0.2, 1.4)), 2)}
    return str(spec.Call(name, tuple(values[kind]() for kind in wanted if kind in values)))


def test_what_check_accepts_runs_and_what_it_refuses_does_not():
    generator = np.random.default_rng(0)
    row, scalar = jnp.array(generator.dirichlet(np.ones(10)), jnp.float32), jnp.array(1)
    accepted = refused = 0
    for _ in range(40):
        parsed = LabelSpec.parse("teacher|" + "|".join(random_call(generator) for _ in range(3)))
        try:
            parsed.check(10)
        except errors.ConfigError:
            refused += 1
            with pytest.raises(errors.ConfigError):
                parsed.treat(row, scalar, scalar)
        else:
            accepted += 1
            treated = parsed.treat(row, scalar, scalar)
            assert np.isfinite(treated).all() and (treated >= 0).all(), str(parsed)
    assert accepted > 8 and refused > 8


def test_an_open_epoch_is_filled_and_any_other_is_kept():
    assert LabelSpec.parse("teacher(1)|swap(2)").has_open_epoch
    assert str(LabelSpec.parse("teacher(1)|swap(2)").with_epoch(7)) == "teacher(expert=1, epoch=7)|swap(2)"
    for text in ("hard", "teacher(epoch=3)", "teacher(accuracy=0.5)", "teachers(2, entropy=1)"):
        assert not LabelSpec.parse(text).has_open_epoch
        assert LabelSpec.parse(text).with_epoch(7) == LabelSpec.parse(text)


@pytest.mark.parametrize(
    ("text", "resolved"),
    [
        ("teacher(accuracy=0.35)|topk(3)", "teacher(epoch=5)|topk(3)"),  # float32 of 0.35 is a little less
        ("teacher(accuracy=0.36)", "teacher(epoch=11)"),
        ("teacher(expert=1, accuracy=0.36)", "teacher(expert=1, epoch=11)"),
        ("teacher(accuracy=0.1)", "teacher(epoch=0)"),
        ("teacher(entropy=1.8)", "teacher(epoch=5)"),
        ("teacher(expert=1, entropy=1.8)", "teacher(expert=1, epoch=11)"),
        ("teachers(2, accuracy=0.5)", "teachers(2, epoch=11)"),  # means .10 .28 .51 .65
        ("teachers(2, accuracy=0.52, pool=probabilities)", "teachers(2, pool=probabilities, epoch=20)"),
        ("teachers(2, entropy=1.2)", "teachers(2, epoch=11)"),  # means 2.2 1.9 1.2 .5
        ("teacher(epoch=3)", "teacher(epoch=3)"),
        ("teacher", "teacher"),
        ("hard|smooth", "hard|smooth(0.1)"),
    ],
)
def test_resolve_takes_the_first_epoch_that_reaches_it(text, resolved):
    assert str(LabelSpec.parse(text).resolve(HISTORIES)) == resolved
    assert str(LabelSpec.parse(text).resolve(dict(enumerate(HISTORIES)))) == resolved


def test_resolve_pools_only_epochs_that_all_experts_have():
    second = [record for record in HISTORIES[1] if record["epoch"] != 11]
    assert LabelSpec.parse("teachers(2, accuracy=0.5)").resolve([HISTORIES[0], second]).epoch == 20


def test_resolve_says_what_could_be_reached():
    def say(text, histories=HISTORIES):
        return refusal(LabelSpec.parse(text).resolve, histories)

    never = "no epoch reaches"
    assert (
        say("teacher(accuracy=0.9)")
        == f"label spec 'teacher(accuracy=0.9)': {never} accuracy 0.9; best is 0.62 at epoch 11"
    )
    assert (
        say("teacher(entropy=0.1)")
        == f"label spec 'teacher(entropy=0.1)': {never} entropy 0.1; lowest is 0.4 at epoch 20"
    )
    assert (
        say("teachers(2, accuracy=0.9)|topk(1)")
        == f"label spec 'teachers(2, accuracy=0.9)|topk(1)': {never} accuracy 0.9; best is 0.65 at epoch 20"
    )
    assert (
        say("teachers(accuracy=0.5)")
        == "label spec 'teachers(3, accuracy=0.5)' needs val_accuracy of experts (0, 1, 2)"
    )
    nan = [[{"epoch": 0, "val_accuracy": float("nan")}]]
    assert say("teacher(accuracy=0.5)", nan).endswith("no epoch of experts (0,) has a finite val_accuracy")


def test_resolve_passes_over_epochs_that_are_not_finite():
    broken = [{"epoch": 0, "val_accuracy": float("nan")}, {"epoch": 1, "val_accuracy": 0.5}]
    assert LabelSpec.parse("teacher(accuracy=0.5)").resolve([broken]).epoch == 1
