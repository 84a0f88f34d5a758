"""What XLA makes of a whole training program on CPU: convolutions that its fast library can run inside a loop."""

import re

import jax
import numpy as np
import pytest
import tiny

from jaxsoft.training.recipe import Recipe

MODELS = [
    ("convnet(depth=1, width=4)", (8, 8, 1), 4),
    ("convnet(depth=3, width=8)", (8, 8, 3), 5),  # the last maps are smaller than the window
    ("convnet(depth=2, width=4)", (16, 16, 3), 40),  # a batch whose response is too large to be a window
    ("convnet(depth=2, width=4, norm=batch, pooling=max)", (8, 8, 1), 4),
    ("resnet18", (8, 8, 3), 2),
]


@pytest.mark.parametrize("model, shape, batch, block", [*((*m, 1) for m in MODELS), (*MODELS[0], 2), (*MODELS[1], 2)])
def test_every_convolution_is_in_canonical_form(model, shape, batch, block):
    """XLA:CPU runs any other form inside a loop by a naive one, up to a hundred times slower."""
    recipe = Recipe(model, tiny.CLASSES, slots=batch, batch=batch, optimizer="sgd(momentum=0.9)", augment="dsa")
    program = tiny.ensemble.Program((tiny.Bucket(recipe, 2, block, 2),), shape, select=1, devices=jax.devices()[:1])
    who = (tiny.members([0, 1], slots=batch),) if batch <= tiny.IMAGES else (tiny.members([0, 1], slots=4),)
    who = (who[0]._replace(images=np.zeros((2, batch), np.int32), rows=np.zeros((2, batch), np.int32)),)
    students = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), program.shapes(who))
    bank = tiny.bank()._replace(images=np.zeros((4, *shape), np.uint8), scale=np.ones(shape[-1:], np.float32))
    bank = bank._replace(shift=np.zeros(shape[-1:], np.float32))
    look = (tiny.eval_set(np.zeros((3, *shape), np.uint8), np.zeros(3, np.int32)),)
    program.chunk(bank, look, who, students, 0)
    text = program._compiled["chunk"].as_text()
    found = [line for line in text.splitlines() if " convolution(" in line]
    assert found, "nothing to look at: were convolutions renamed?"
    odd = [line for line in found if not canonical(line)]
    assert not odd, odd[0].strip()


def canonical(line):
    forbidden = re.search(r"rhs_reversal|feature_group_count=(?!1\b)|batch_group_count=(?!1\b)", line)
    return "dim_labels=b01f_01io->b01f" in line and not forbidden


def test_the_check_sees_a_form_that_is_not():
    """The gradient of a grouped convolution, which plain `vmap` would give."""
    assert canonical("%c = f32[1,8,8,4] convolution(%a, %b), window={size=3x3 pad=1_1x1_1}, dim_labels=b01f_01io->b01f")
    assert not canonical("%c = f32[4] convolution(%a, %b), dim_labels=f01b_i01o->01bf")
    assert not canonical("%c = f32[4] convolution(%a, %b), dim_labels=b01f_01io->b01f, feature_group_count=2")
