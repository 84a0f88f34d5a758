"""Whether kernels of our own may be taken on a device is asked of that device, once, and a wrong one is found."""

import functools

import jax
import jax.numpy as jnp
import pytest

from jaxsoft import target
from jaxsoft.command import doctor
from jaxsoft.ops import block, checked, conv, kernels, narrow
from jaxsoft.ops.lowerings import Geometry

SMALL = ((Geometry((3, 3), (3, 3), 1, 1), 1, 17, 16),), ((Geometry((5, 4), (3, 3), 1, 1), 2, 1, 5),)


@pytest.fixture(autouse=True)
def fresh():
    checked._found.cache_clear()
    yield
    checked._found.cache_clear()


@pytest.fixture
def gpu(monkeypatch):
    """A GPU that is here, as far as anybody asks."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with target.aimed(target.Target("gpu")):
        yield


whole = checked.cases


@pytest.mark.parametrize("dtype, sizes", [("float32", ((), SMALL[1])), ("bfloat16", (SMALL[0], ()))])
def test_kernels_that_are_right_pass(gpu, dtype, sizes, monkeypatch):
    """Interpreted on the CPU: a GPU is asked larger ones."""
    monkeypatch.setattr(checked, "cases", lambda platform, dtype: whole("cpu", dtype, *sizes))
    monkeypatch.setattr(checked, "MOST", {dtype: checked.MOST[dtype]})
    assert checked.fault() == "" and conv.takes_kernels()


def off_by_a_hundredth(function):
    return lambda *args: jax.tree.map(lambda a: a * 1.01, function(*args))


@pytest.mark.parametrize(
    "module, wrong, named",
    [
        (kernels, "forward", "a convolution"),
        (kernels, "input_gradient", "a gradient in images"),
        (kernels, "kernel_gradient", "a gradient in a kernel"),
        (narrow, "gradient", "a block"),
    ],
)
def test_a_kernel_that_is_wrong_is_found(gpu, module, wrong, named, monkeypatch):
    sizes = (SMALL[0], ()) if module is kernels else ((), SMALL[1])
    monkeypatch.setattr(checked, "cases", lambda platform, dtype: whole("cpu", dtype, *sizes))
    monkeypatch.setattr(module, wrong, off_by_a_hundredth(getattr(module, wrong)))
    assert checked.fault().startswith(f"{named} differs by 0.01 of its largest number in float32")
    assert not conv.takes_kernels()


def test_what_is_no_number_is_wrong():
    nothing = lambda a: a * jnp.nan  # noqa: E731
    case = "one", nothing, lambda a: a, (jnp.ones((2, 3)),)
    assert [*checked.differing("float32", iter([case]))] == [
        "one differs by nan of its largest number in float32, more than 1e-05"
    ]


def test_what_does_not_compile_is_told_and_asked_once(gpu, monkeypatch):
    asked = []

    def refuse(*_):
        asked.append(1)
        raise NotImplementedError("no such instruction\nat line 3")

    monkeypatch.setattr(checked, "cases", refuse)
    assert {checked.fault() for _ in range(3)} == {"they do not compile here: no such instruction"} and len(asked) == 1
    assert [*doctor._kernels()] == [("warning", checked.told(checked.fault()))]


def test_the_question_is_asked_outside_of_what_is_traced(gpu, monkeypatch):
    case = "one", jnp.sin, jnp.sin, (jnp.ones((2, 3)),)
    monkeypatch.setattr(checked, "cases", lambda *_: iter([case]))

    def traced(a):
        assert checked.fault() == ""
        return a

    jax.make_jaxpr(jax.vmap(jax.grad(lambda a: traced(a).sum())))(jnp.ones((2, 3)))
    assert [*doctor._kernels()][0][0] == "ok"


def test_devices_that_are_only_described_are_asked_nothing(monkeypatch):
    monkeypatch.setattr(checked, "cases", None)
    for described in (target.Target("gpu"), target.named("h100")):
        with target.aimed(described):
            assert conv.takes_kernels()
    assert not conv.takes_kernels(), "a CPU"
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    with target.aimed(target.named("h100")):
        assert conv.takes_kernels(), "another GPU than the one that is here"


def taken(images, members, channels, dtype):
    """The ways of the three maps of a layer's convolution."""
    used = {}

    def way(name, how):
        used[name] = how
        return lambda g, a, b: jnp.zeros(_shape(name, g, a, b), a.dtype)

    def learn(x, k):
        return jax.grad(lambda x, k: conv.conv2d(x, k, 1, 1).sum(), (0, 1))(x, k)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "_way", way)
        conv._batchable.cache_clear()
        shapes = (members, images, 4, 4, channels), (members, 3, 3, channels, 16)
        jax.eval_shape(jax.vmap(learn), *(jax.ShapeDtypeStruct(s, dtype) for s in shapes))
        conv._batchable.cache_clear()
    return used


def _shape(name, g, a, b):
    response, image = (a.shape[0], *g.response(), b.shape[-1]), (a.shape[0], *g.size, b.shape[-2])
    return {"forward": response, "input_gradient": image, "kernel_gradient": (*g.window, a.shape[-1], b.shape[-1])}[
        name
    ]


@pytest.mark.parametrize(
    "images, members, channels, dtype, fault, way",
    [
        (10, 4, 16, jnp.bfloat16, "", "kernel"),
        (10, 4, 16, jnp.float32, "", "kernel"),
        (10, 4, 16, jnp.float16, "", "patches"),
        (10, 4, 8, jnp.bfloat16, "", "patches"),
        (10, 4, 16, jnp.bfloat16, "wrong", "patches"),
        (10, 1, 16, jnp.bfloat16, "", "map"),
        (conv.FULL_BATCH, 4, 16, jnp.bfloat16, "", "map"),
    ],
)
def test_auto_on_a_gpu(gpu, images, members, channels, dtype, fault, way, monkeypatch):
    monkeypatch.setattr(checked, "_found", functools.cache(lambda: fault))
    assert set(taken(images, members, channels, dtype).values()) == {way}


@pytest.mark.parametrize("fault, own", [("", 1), ("wrong", 0)])
@pytest.mark.parametrize("images", [2, conv.FULL_BATCH])
def test_a_block_of_few_inputs_on_a_gpu(gpu, fault, own, images, monkeypatch):
    monkeypatch.setattr(checked, "_found", functools.cache(lambda: fault))
    result = jnp.zeros((images, 2, 2, 8))
    monkeypatch.setattr(block, "_block", lambda *args: (result + 1, None))
    monkeypatch.setattr(block, "_parts", lambda *args: result)
    args = jnp.zeros((images, 4, 4, 3)), jnp.zeros((3, 3, 3, 8)), jnp.zeros(8), jnp.zeros(8)
    assert block.conv_norm_relu_pool(*args).max() == own
