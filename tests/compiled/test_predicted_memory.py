"""The memory that a plan predicts for an accelerator, against what the compiler for it plans."""

import jax
import numpy as np
import pytest

from jaxsoft import target
from jaxsoft.training import cost, tiles
from jaxsoft.training.ensemble import Bucket, Program
from jaxsoft.training.evaluate import EvalSet
from jaxsoft.training.fit import Bank, Member
from jaxsoft.training.recipe import Recipe

SMALL, LARGE = (32, 32, 3), (224, 224, 3)
NET, RESNET = "convnet(depth=3)", "resnet18(stem=imagenet, width=16)"


def arguments(recipe, image_shape, members, look):
    shape, whole, real = jax.ShapeDtypeStruct, np.int32, np.float32
    bank = Bank(
        shape((recipe.slots, *image_shape), np.uint8),
        shape(image_shape[-1:], real),
        shape(image_shape[-1:], real),
        shape((recipe.slots, recipe.num_classes), real),
    )
    looks = (EvalSet(shape((1, look, *image_shape), np.uint8), shape((1, look), whole)),)
    tables = [shape((members, *rest), whole) for rest in ((), (recipe.slots,), (recipe.slots,), ())]
    rates = [shape((members,), real)] * 2
    return bank, looks, (Member(*tables, *rates, shape((members,), whole)),)


@pytest.mark.parametrize(
    "net, shape, batch, members, lowering, block",
    [
        (NET, SMALL, 256, 8, "auto", 1),
        (NET, SMALL, 100, 24, "auto", 24),
        (NET, SMALL, 10, 256, "auto", 256),
        (NET, SMALL, 100, 24, "patches", 24),
        (RESNET, LARGE, 20, 3, "auto", 1),
    ],
)
def test_the_prediction_is_within_a_fifth_of_what_is_compiled(h100, net, shape, batch, members, lowering, block):
    """One by one by the library's convolutions, blocks by our own kernels, a block by patches; and large images."""
    slots, look = (10 * batch, 256) if shape == SMALL else (2 * batch, batch)
    recipe = Recipe(net, 10, slots, batch, "sgd(momentum=0.9)", precision="bfloat16")
    with target.aimed(target.of([h100])):
        assert cost.choose_block(recipe, shape, members, lowering=lowering) == block
    program = Program((Bucket(recipe, members, block, 4, batch, lowering),), shape, select=1, devices=[h100])
    bank, looks, who = arguments(recipe, shape, members, look)
    program.compiled("chunk", bank, looks, who, program.shapes(who), jax.ShapeDtypeStruct((), np.int32))
    with target.aimed(target.of([h100])):
        held = max(
            cost.training_bytes(recipe, shape, block, batch, lowering),
            cost.evaluation_bytes(recipe, shape, members, look, lowering),
        )
        state = cost.copies(members // block) * members * cost.state_bytes(recipe, shape)
    predicted, planned = held + state + cost._bytes((bank, looks)), program.bytes()
    assert planned / 1.2 < predicted < planned * 1.2, (predicted, planned)


@pytest.mark.parametrize("members", [360, 1280])
def test_so_it_is_for_small_networks_on_a_tpu(v5e, members):
    """They lie in tiles that are seven eighths padding: of few members in the chip's own memory, of more in main memory."""
    recipe, shape = Recipe("convnet(depth=2, width=16)", 10, 50, 50, "adamw", precision="bfloat16"), (8, 8, 1)
    bucket = Bucket(recipe, members, 1, 40, 50)
    program = Program((bucket,), shape, select=1, devices=[v5e])
    bank, looks, who = arguments(recipe, shape, members, 256)
    program.compiled("chunk", bank, looks, who, program.shapes(who), jax.ShapeDtypeStruct((), np.int32))
    with target.aimed(target.of([v5e])):
        held = cost.training_bytes(recipe, shape, 1, 50), cost.evaluation_bytes(recipe, shape, members, 256)
        state = tiles.students_bytes([bucket], 1, shape, 0, *held)
    predicted, planned = max(held) + state + cost._bytes((bank, looks)), program.bytes()
    assert planned / 1.2 < predicted < planned * 1.2, (predicted, planned)
