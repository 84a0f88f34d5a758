"""The little language: round trips, refusals and binding."""

import functools
import types

import pytest

from jaxsoft import errors, spec
from jaxsoft.spec import Call


def convnet(x: object, depth: int, width: int = 128, rate: float = 0.5, norm: str = "instance", bias: bool = True):
    """A function with every kind of argument."""


def refusal(function, *args, **kwargs):
    with pytest.raises(errors.ConfigError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("hard", (Call("hard"),)),
        ("hard()", (Call("hard"),)),
        ("  a | b|c ", (Call("a"), Call("b"), Call("c"))),
        ("teacher(epoch=11)|topk(10)", (Call("teacher", (), {"epoch": 11}), Call("topk", (10,)))),
        ("f(1, -2, 0.5, 1e-3, x=True)", (Call("f", (1, -2, 0.5, 1e-3), {"x": True}),)),
        ("pool(probabilities)", (Call("pool", ("probabilities",)),)),
        ("f('two words', a='b')", (Call("f", ("two words",), {"a": "b"}),)),
        ("f((1, 2), k=())", (Call("f", ((1, 2),), {"k": ()}),)),
        ("f(\n  1,\n)", (Call("f", (1,)),)),
    ],
)
def test_parse_reads_and_render_writes_it_back(text, calls):
    assert spec.parse(text) == calls
    assert spec.parse(spec.render(calls)) == calls
    assert [type(a) for call in spec.parse(text) for a in call.args] == [type(a) for call in calls for a in call.args]


def test_render_is_canonical():
    assert spec.render(spec.parse(" f( 1 ,a = 'b' )| g ( ) ")) == "f(1, a=b)|g"


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "|",
        "a|",
        "a||b",
        "a b",
        "a(",
        "a)",
        "3",
        "'a'",
        "a.b",
        "a.b(1)",
        "a + b",
        "a or b",
        "a[0]",
        "(a, b)",
        "a; b",
        "a = 3",
        "f(1)(2)",
        "f(*x)",
        "f(**x)",
        "f(a=1, a=2)",
        "f(None)",
        "f([1])",
        "f({1: 2})",
        "f(b'x')",
        "f(1j)",
        "f(1 + 1)",
        "f(g(1))",
        "f(__import__('os'))",
        "lambda: 0",
        "f(x for x in y)",
        "f(a := 1)",
        "f('\0')",
        "f(\ud800)",
        "(" * 300 + "a" + ")" * 300,
        "|".join("a" * 20_000),
    ],
)
def test_anything_else_is_refused_without_a_traceback(text):
    message = refusal(spec.parse, text)
    assert message.startswith(f"cannot read spec {text!r}; expected name(arguments)|...")


def test_parse_one_refuses_a_pipeline():
    assert spec.parse_one("sgd(0.1)") == Call("sgd", (0.1,))
    assert refusal(spec.parse_one, "a|b") == "expected one name(arguments) without '|', got 'a|b'"


def test_bind_names_the_arguments_given_and_widens_whole_numbers():
    bound = spec.bind(spec.parse_one("convnet(3, rate=1)"), convnet, given=("x",))
    assert bound == {"depth": 3, "rate": 1.0}
    assert type(bound["rate"]) is float
    everything = spec.parse_one("convnet(3, 64, 0.1, none, bias=False)")
    assert spec.bind(everything, convnet, ("x",)) == {
        "depth": 3,
        "width": 64,
        "rate": 0.1,
        "norm": "none",
        "bias": False,
    }


def test_bind_lets_keyword_only_parameters_be_positional():
    def f(row, *, k: int):
        return row, k

    assert spec.bind(Call("f", (2,)), f, ("row",)) == {"k": 2}


USAGE = "usage: convnet(depth: int, width: int=128, rate: float=0.5, norm: str=instance, bias: bool=true)"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("convnet", "missing a required argument: 'depth'"),
        ("convnet(1, 2, 3, a, True, 6)", "too many positional arguments"),
        ("convnet(3, deep=4)", "got an unexpected keyword argument 'deep'"),
        ("convnet(3, depth=4)", "multiple values for argument 'depth'"),
        ("convnet(3, x=1)", "got an unexpected keyword argument 'x'"),
        ("convnet(3.0)", "depth expects int, got 3.0"),
        ("convnet(True)", "depth expects int, got True"),
        ("convnet(3, rate=True)", "rate expects float, got True"),
        ("convnet(3, rate=fast)", "rate expects float, got 'fast'"),
        ("convnet(3, norm=1)", "norm expects str, got 1"),
        ("convnet(3, bias=1)", "bias expects bool, got 1"),
    ],
)
def test_bind_refuses_what_does_not_fit_and_shows_the_usage(text, problem):
    call = spec.parse_one(text)
    assert refusal(spec.bind, call, convnet, ("x",)) == f"{call}: {problem}; {USAGE}"
    assert refusal(spec.bind, call, convnet, ("x",), f"{text}|more") == f"{call} in '{text}|more': {problem}; {USAGE}"


def test_public_functions_are_those_that_the_module_defines_itself():
    module = types.ModuleType("shop")
    exec("def b(): pass\ndef a(): pass\ndef _hidden(): pass\nclass C: pass\nx = 3\nf = lambda: 0", module.__dict__)
    module.__dict__["borrowed"] = convnet
    assert list(spec.public_functions(module)) == ["b", "a", "f"]


def test_resolve_fills_in_the_arguments_and_leaves_the_given_ones_open():
    def times(x, n: int = 3):
        return x * n

    assert spec.resolve("times(2)", {"times": times}, "thing", "here", ("x",))("ab") == "abab"
    assert spec.resolve("times", {"times": times}, "thing", "here", ("x",))(x=5) == 15


def test_resolve_refuses_unknown_names_and_wrong_arguments():
    functions = {"convnet": convnet, "resnet": convnet, "mlp": convnet, "vit": convnet}
    say = functools.partial(
        refusal, spec.resolve, functions=functions, kind="model", where="jaxsoft/models", given=("x",)
    )
    assert say("convnt(3)") == "unknown model 'convnt'; closest: convnet, vit, resnet (all of them: jaxsoft/models)"
    assert say("convnet(1.5)") == f"convnet(1.5) in 'convnet(1.5)': depth expects int, got 1.5; {USAGE}"
    assert say("mlp|vit").startswith("expected one name(arguments) without '|'")


@pytest.mark.parametrize("text", ["f({[]: 1})", "f({[]})", "f(1e999)", f"f({10**400})", "f((None, [1]))", "f(None)"])
def test_values_that_cannot_be_written_back_are_refused(text):
    with pytest.raises(errors.ConfigError, match="cannot read spec"):
        spec.parse(text)


def test_a_string_that_looks_like_a_keyword_stays_a_string():
    calls = spec.parse("f('True')")
    assert spec.parse(spec.render(calls)) == calls == (spec.Call("f", ("True",)),)


def test_a_parameter_without_annotation_takes_any_value():
    assert spec.bind(spec.parse_one("f(3)"), lambda x: x) == {"x": 3}
    assert refusal(spec.bind, spec.parse_one("f"), lambda x: x).endswith("; usage: f(x: value)")
