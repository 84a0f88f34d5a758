"""The memory that a plan predicts for an accelerator, against what the compiler for it plans."""

import jax
import numpy as np
import pytest

from jaxsoft import target
from jaxsoft.training import cost
from jaxsoft.training.ensemble import Bucket, Program
from jaxsoft.training.evaluate import EvalSet
from jaxsoft.training.fit import Bank, Member
from jaxsoft.training.recipe import Recipe

SHAPE, IMAGES, LOOK = (32, 32, 3), 1000, 256
NET = "convnet(depth=3)"


def arguments(recipe, members):
    shape, whole, real = jax.ShapeDtypeStruct, np.int32, np.float32
    bank = Bank(
        shape((IMAGES, *SHAPE), np.uint8),
        shape((3,), real),
        shape((3,), real),
        shape((IMAGES, recipe.num_classes), real),
    )
    looks = (EvalSet(shape((1, LOOK, *SHAPE), np.uint8), shape((1, LOOK), whole)),)
    tables = [shape((members, *rest), whole) for rest in ((), (recipe.slots,), (recipe.slots,), ())]
    rates = [shape((members,), real)] * 2
    return bank, looks, (Member(*tables, *rates, shape((members,), whole)),)


@pytest.mark.parametrize(
    "batch, members, lowering", [(256, 8, "auto"), (100, 24, "auto"), (10, 256, "auto"), (100, 24, "patches")]
)
def test_the_prediction_is_within_a_fifth_of_what_is_compiled(h100, batch, members, lowering):
    """One by one by the library's convolutions, blocks by our own kernels, and a block by patches."""
    recipe = Recipe(NET, 10, 10 * batch, batch, "sgd(momentum=0.9)", precision="bfloat16")
    with target.aimed(target.of([h100])):
        block = cost.choose_block(recipe, SHAPE, members, lowering=lowering)
    program = Program((Bucket(recipe, members, block, 4, batch, lowering),), SHAPE, select=1, devices=[h100])
    bank, looks, who = arguments(recipe, members)
    program.compiled("chunk", bank, looks, who, program.shapes(who), jax.ShapeDtypeStruct((), np.int32))
    with target.aimed(target.of([h100])):
        held = max(
            cost.training_bytes(recipe, SHAPE, block, batch, lowering),
            cost.evaluation_bytes(recipe, SHAPE, members, LOOK, lowering),
        )
        state = cost.copies(members // block) * members * cost.state_bytes(recipe, SHAPE)
    predicted, planned = held + state + cost._bytes((bank, looks)), program.bytes()
    assert planned / 1.2 < predicted < planned * 1.2, (predicted, planned)
