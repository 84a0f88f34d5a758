"""What Python hands over: its path says what it is, the same wherever it is built, and another one for another thing."""

import collections
import dataclasses
import functools
import importlib
import os
import re
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from flax import nnx

from jaxsoft import Learned, Student, Sweep, Teacher, config, errors, imports, models, objects, spec
from jaxsoft.config import Settings
from jaxsoft.training import augment, fit

ROOT = str(Path(objects.__file__).parents[1])
RATE = 2.0
SOURCE = '''
import functools
import jax
import numpy as np
from flax import linen as nn
from flax import nnx
import equinox as eqx
from jaxsoft import objects
from jaxsoft.training import augment

RATE = 2.0
ROWS = {"a": np.arange(3.0)}


class Net(nn.Module):
    """A network."""
    width: int = 8
    act: object = nn.relu
    names: frozenset = frozenset(("a", "b", "c"))

    @nn.compact
    def __call__(self, images, train=False):
        return self.head(nn.Dense(self.width)(images.reshape(len(images), -1)))

    def head(self, hidden):
        return nn.Dense(3)(self.act(hidden))


class Nnx(nnx.Module):
    def __init__(self, num_classes, rngs):
        self.out = nnx.Linear(4, num_classes, rngs=rngs)

    def __call__(self, images):
        return self.out(images.reshape(len(images), -1))


class Eqx(eqx.Module):
    out: eqx.nn.Linear

    def __init__(self, key):
        self.out = eqx.nn.Linear(4, 3, key=key)

    def __call__(self, image):
        return self.out(image.ravel()) if image.shape[0] in {"x", "y", 1} else None


def helper(x):
    return x * RATE


def loss(logits, row, scale=1.0):
    """A loss."""
    return helper((logits * row).sum()) * scale + ROWS["a"].sum()  # a word


def closed(weights):
    return lambda logits, row: (weights * logits * row).sum()


@jax.jit
def compiled(logits, row):
    return (logits * row).sum()


def ruled(slope):
    @jax.custom_jvp
    def loss(logits, row):
        return (logits * row).sum()

    loss.defjvp(lambda primals, tangents: (loss(*primals), slope * tangents[0].sum()))
    return loss


def joined():
    return augment.compose("flip")


GIVEN = {
    "Net()": (Net(), "model"), "Net": (Net, "model"), "Net(16)": (Net(16), "model"), "tanh": (Net(act=nn.tanh), "model"),
    "Nnx": (Nnx, "model"), "filled": (functools.partial(Nnx, 3), "model"), "Eqx": (Eqx, "model"),
    "factory": (lambda rngs: Nnx(3, rngs), "model"), "pair": ((lambda key, x: {}, lambda v, x: x), "model"),
    "loss": (loss, "loss"), "scaled": (functools.partial(loss, scale=2.0), "loss"), "compiled": (compiled, "loss"),
    "closed": (closed(np.ones(3)), "loss"), "other": (closed(np.zeros(3)), "loss"), "key": (closed(jax.random.key(0)), "loss"),
    "made": (ruled(1.0), "loss"), "ruled": (ruled(2.0), "loss"), "one": (lambda logits, row: 1.0, "loss"), "two": (lambda logits, row: 2.0, "loss"), "true": (lambda logits, row: True, "loss"),
    "joined": (joined, "augment"), "noise": (augment.Augmentation(1, lambda image, u, step_u: image + u[0]), "augment"),
}
'''  # fmt: skip


def built(*edits):
    """The paths of what the source gives, after replacements."""
    text = SOURCE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new)
    scope = {"__name__": "of_nobody"}
    exec(compile(text, "/nowhere/mine.py", "exec"), scope)
    return {name: objects.named(*given) for name, given in scope["GIVEN"].items()}


@pytest.fixture(scope="module")
def paths():
    return built()


def test_every_thing_has_a_path_of_its_own_that_says_what_it_is(paths):
    assert len(set(paths.values())) == len(paths)
    shown = {name: re.sub("x[0-9a-f]{12}$", "", path) for name, path in paths.items()}
    assert shown["Net(16)"] == "object:Net_width_16_" and shown["Nnx"] == "object:Nnx_"
    assert shown["scaled"] == "object:loss_scale_2_0_" and shown["noise"] == shown["one"] == "object:lambda_"
    assert all(spec.parse_one(path).name == path for path in paths.values())


def test_the_same_built_again_has_the_same_path_whatever_does_not_count(paths):
    assert built() == paths
    assert built(("  # a word", ""), ('"""A loss."""', '"""Words."""'), ('"""A network."""', "")) == paths
    assert built(("RATE = 2.0", "\n\nOTHER = 1\nRATE = 2.0")) == paths


@pytest.mark.parametrize("seed", ("1", "2"))
def test_another_process_gives_the_same_paths(paths, seed, tmp_path):
    (tmp_path / "mine.py").write_text(SOURCE + "\nif __name__ == '__main__':\n    for given in GIVEN.values():\n        print(objects.named(*given))\n")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "mine.py"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": ROOT, "PYTHONHASHSEED": seed},
    )
    assert done.stdout.split() == list(paths.values()), done.stderr


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("RATE = 2.0", "RATE = 3.0", "loss scaled"),
        ("return x * RATE", "return RATE - x", "loss scaled"),
        ("np.arange(3.0)", "np.arange(3)", "loss scaled"),
        ("scale=1.0", "scale=1", "loss scaled"),
        ("nn.Dense(3)(self.act", "nn.Dense(3)(nn.tanh", "Net() Net Net(16) tanh"),
        ("width: int = 8", "width: int = 9", "Net() Net Net(16) tanh"),
        ("eqx.nn.Linear(4, 3", "eqx.nn.Linear(4, 2", "Eqx"),
        ("nnx.Linear(4, num", "nnx.LinearGeneral(4, num", "Nnx filled factory"),
        ('compose("flip")', 'compose("crop")', "joined"),
        ("weights * logits * row", "weights + logits * row", "closed other key"),
        ("image + u[0]", "image - u[0]", "noise"),
        ("{}, lambda v, x: x)", "{}, lambda v, x: -x)", "pair"),
    ],
)
def test_an_edit_changes_what_it_reaches_and_nothing_else(paths, old, new, changed):
    other = built((old, new))
    assert {name for name in paths if paths[name] != other[name]} == set(changed.split())


def test_what_is_given_is_what_is_built(paths):
    images, keys = jnp.ones((2, 2, 2, 1)), jax.random.key(0)
    for name in ("Net()", "Net", "Net(16)", "Nnx", "filled", "factory", "Eqx"):
        network = models.build(paths[name], 3)
        assert network.apply(network.init(keys, images), images).shape == (2, 3)
        assert objects.named(paths[name]) == paths[name]  # whatever was built of it
    assert augment.build(paths["noise"]).draws == 1 and augment.build(paths["joined"]).draws == 3
    loss = fit.Recipe("", 3, 1, 1, loss=paths["scaled"]).build_loss()
    assert loss(jnp.ones(3), jnp.ones(3)) == 2 * 3 * 2 + 3


def test_settings_have_the_path_of_what_they_are_given_and_a_config_file_may_give_it_too():
    loss = lambda logits, row: RATE * logits.sum()  # noqa: E731
    student = Student(model=nn.Dense(3), loss=loss, optimizer=optax.adamw)
    assert re.fullmatch(r"object:Dense_features_3_x\w{12} object:lambda_x\w{12} object:adamw_x\w{12}", f"{student.model} {student.loss} {student.optimizer}")  # fmt: skip
    assert Teacher(models=(nn.Dense(3), "mlp")).models == (student.model, "mlp")
    assert Sweep(model=(nn.Dense(3),), labels=("hard", loss)).labels == ("hard", student.loss)
    assert Settings(select=loss).select == Learned(augment=loss).augment == student.loss
    tree = config.default()
    tree.student.model, tree.student.loss, tree.sweep.model = nn.Dense(3), loss, [nn.Dense(3), nnx.Linear]
    read = config.read(tree)
    assert (read.student.model, read.student.loss) == (student.model, student.loss)
    assert read.sweep.model == (student.model, objects.named(nnx.Linear, "model"))


def test_a_global_that_changed_makes_another_of_the_same_function(monkeypatch):
    before = Student(loss=lambda logits, row: RATE * logits.sum())
    monkeypatch.setitem(globals(), "RATE", 5.0)
    after = config.read({"student": {"loss": before.loss}}).student
    assert after.loss != before.loss
    assert fit.Recipe("", 3, 1, 1, loss=after.loss).build_loss()(jnp.ones(3), jnp.ones(3)) == 15


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Student(loss=functools.partial(max, (x for x in "a"))), "config.student.loss: max holds a builtins.generator, which nothing tells from another one; write a function that makes it"),
        (lambda: Teacher(model=functools.partial(nn.Dense, threading.Lock())), "config.teacher.model: Dense holds a _thread.lock, which nothing tells"),
        (lambda: config.read(config.as_dict(Settings(student=Student(loss=3)))), "config.student.loss expects the text of a spec, or in Python the function or network itself, got 3"),
        (lambda: config.read(config.as_dict(Settings(student=Student(optimizer=optax.sgd(0.1))))), "config.student.optimizer expects the text of a spec, or in Python the function"),
        (lambda: imports.function("object:focal_x0123456789ab"), "object:focal_x0123456789ab was handed over in Python, to another process: hand it over again"),
        (lambda: models.build(objects.named(eqx.nn.Linear(4, 3, key=jax.random.key(0)), "model"), 3), "a model expects a flax.linen module, make(rngs)"),
        (lambda: models.build(objects.named(nnx.Linear(4, 3, rngs=nnx.Rngs(0)), "model"), 3), "a model expects a flax.linen module, make(rngs)"),
        (lambda: fit.Recipe("", 3, 1, 1, loss=objects.named(lambda x, y: x)).build_loss(), "cannot be used as loss: it should take first logits; it takes x, y"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(make, told):
    with pytest.raises(errors.ConfigError) as caught:
        make()
    assert told in str(caught.value) and "\n" not in str(caught.value)


def test_a_class_that_holds_itself_and_a_list_that_does():
    class Knot:
        def again(self):
            return Knot

        def __call__(self, logits, row):
            return logits.sum()

    assert objects.named(Knot()) == objects.named(Knot())
    knot: list = []
    knot.append(knot)
    with pytest.raises(errors.ConfigError, match="holds itself; write"):
        objects.named(functools.partial(textwrap.dedent, knot))


@dataclasses.dataclass
class Scaled:
    name: str = "one"
    rate: float = 1.0

    @functools.cached_property
    def factor(self):
        return self.rate * len(self.name)

    def __call__(self, logits, row):
        return self.factor * logits.sum()


class Ranked(dict):
    pass


def closing(held):
    return lambda logits, row: logits.sum() * held[0]


def importing(logits, row):
    from beside_it import scaled

    return scaled(logits)


def seen(made, names):
    """What `made` became after it was given attributes."""
    vars(made).update(names)
    return made


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: Scaled("one"), lambda: Scaled("two")),
        (lambda: Scaled(), lambda: seen(Scaled(), {"more": 1})),
        (lambda: closing(collections.deque([1])), lambda: closing(collections.deque([2]))),
        (lambda: closing(collections.defaultdict(int)), lambda: closing(collections.defaultdict(float))),
        (lambda: closing(Ranked(a=1)), lambda: closing(seen(Ranked(a=1), {"more": 1}))),
        (lambda: closing(np.ma.array([1, 2], mask=[0, 1])), lambda: closing(np.ma.array([1, 2], mask=[1, 0]))),
        (lambda: closing(re.compile("a")), lambda: closing(re.compile("b"))),
        (lambda: closing(library("lambda x: x")), lambda: closing(library("lambda x: -x"))),
    ],
)
def test_what_differs_in_anything_that_it_holds_has_another_path(one, other):
    assert objects.named(one()) == objects.named(one()) != objects.named(other())


def library(text):
    """A function without a name, of an installed module."""
    return eval(text, {"__name__": "numpy"})


def test_what_was_computed_and_the_order_of_words_do_not_count():
    used = Scaled()
    assert used(jnp.ones(2), jnp.ones(2)) == 6
    assert objects.named(used) == objects.named(Scaled())
    one, other = functools.partial(max, key=len, default=1), functools.partial(max, default=1, key=len)
    assert objects.named(one) == objects.named(other)


def test_a_module_that_is_imported_inside_of_a_function_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "beside_it.py").write_text("RATE = 1\ndef scaled(x):\n    return x.sum() * RATE\n")
    before = objects.named(importing)
    module = importlib.import_module("beside_it")
    assert objects.named(importing) == before
    monkeypatch.setattr(module, "RATE", 2)
    assert objects.named(importing) != before
    monkeypatch.delitem(sys.modules, "beside_it")
