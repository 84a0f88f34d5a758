"""Predicted bytes and operations against counts by hand and XLA's own plan; blocks that fit."""

import jax
import numpy as np
import pytest
import tiny

from jaxsoft import target
from jaxsoft.ops import conv
from jaxsoft.training import cost
from jaxsoft.training.recipe import Recipe

LINEAR = Recipe("mlp(layers=1)", 3, slots=8, batch=8, optimizer="sgd(momentum=0.9)")
WIDE = Recipe("convnet(depth=1, width=32)", 3, slots=4, batch=4)
DEEP = Recipe("convnet(depth=2, width=16)", 3, slots=10, batch=10)


def test_state_bytes_by_hand():
    """64 x 3 weights and 3 biases of 4 bytes, three times: parameters, momentum, best; and the first bad step."""
    assert cost.state_bytes(LINEAR, tiny.SHAPE) == 195 * 4 * 3 + 4
    assert cost.state_bytes(LINEAR._replace(optimizer="sgd"), tiny.SHAPE) == 195 * 4 * 2 + 4


def test_activation_bytes_by_hand():
    """Flattened images, product, bias as a row, sum; for a convolution the response, with four channels for the images' one."""
    assert cost.activation_bytes(LINEAR, tiny.SHAPE) == (8 * 64 * 4, (8 * 64 + 8 * 3 + 3 + 8 * 3) * 4)
    assert cost.activation_bytes(tiny.CONV, tiny.SHAPE)[0] == 4 * 64 * 4 * 4


@pytest.mark.parametrize(
    "recipe, products",
    [
        (LINEAR, 2 * (2 * 8 * 64 * 3)),  # forward and the gradient of the kernel
        # the first layer needs no gradient in its input, the others do
        (DEEP, 2 * 10 * (2 * 64 * 9 * 16 + 3 * 16 * 9 * 16 * 16 + 3 * 64 * 3)),
    ],
)
def test_step_flops_are_the_products_and_a_little_more(recipe, products):
    assert products <= cost.step_flops(recipe, tiny.SHAPE) <= 1.4 * products


def members_zero(program, recipe, count):
    """Members, and students of zeros: as good as any to compile for."""
    who = (tiny.members(range(count), recipe.slots),)
    return who, jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), program.shapes(who))


@pytest.mark.parametrize("recipe, block", [(WIDE, 2), (DEEP, 4)])
def test_training_bytes_are_near_what_xla_plans(recipe, block):
    program = tiny.program(recipe, block, select=1)
    who, students = members_zero(program, recipe, block)
    program.chunk(tiny.bank(), tiny.evals(2), who, students, 0)
    planned = program._compiled["chunk"].memory_analysis().temp_size_in_bytes
    predicted = cost.training_bytes(recipe, tiny.SHAPE, block, recipe.batch)
    assert planned / 1.2 < predicted < planned * 1.2, (predicted, planned)


def blocks(monkeypatch, most):
    """The chosen blocks for 1 to 40 members where `most` of them fit the cache."""
    monkeypatch.setattr(cost, "_BLOCK_BYTES", most * cost.activation_bytes(LINEAR, tiny.SHAPE)[0] + 1)
    return {m: cost.choose_block(LINEAR, tiny.SHAPE, m) for m in range(1, 41)}


@pytest.mark.parametrize("most", [0, 1, 4, 7, 100])
def test_blocks_fit_and_are_spread_evenly(monkeypatch, most):
    for members, block in blocks(monkeypatch, most).items():
        assert 1 <= block <= min(members, max(1, most))
        count = -(-members // block)
        assert count == -(-members // max(1, min(members, most))), "more blocks than needed"
        assert count == 1 or (block - 1) * count < members, "a smaller block would need no more of them"


def test_blocks_of_an_accelerator_follow_the_images_in_flight():
    with target.aimed(target.Target("gpu")):
        assert cost.choose_block(LINEAR._replace(batch=256), tiny.SHAPE, 64) == 10  # 2560 images; 7 blocks of 10
        assert cost.choose_block(LINEAR._replace(batch=10), tiny.SHAPE, 64) == 64
        assert cost.choose_block(LINEAR._replace(batch=5000), tiny.SHAPE, 64) == 1


def test_large_batches_of_an_accelerator_are_not_stacked_where_convolutions_follow_each_other():
    large = DEEP._replace(slots=256, batch=256)
    with target.aimed(target.Target("gpu")):
        assert cost.choose_block(large, tiny.SHAPE, 8) == 1
        assert cost.choose_block(large._replace(batch=100), tiny.SHAPE, 8) == 8
        assert cost.choose_block(large, tiny.SHAPE, 8, batch=100) == 8


def test_members_with_large_images_are_never_stacked_by_auto_on_an_accelerator():
    """At any batch, as no batch of them is small; in whatever order the axes before those of a frame come."""
    with target.aimed(target.Target("gpu")):
        assert [cost.choose_block(DEEP, (side, side, 3), 8) for side in (64, 128, 224)] == [8, 1, 1]
        assert cost.choose_block(DEEP, (224, 224, 3), 8, lowering="patches") == 8
        assert cost.choose_block(LINEAR, (224, 224, 3), 8) == 8, "no convolution, nothing that follows"
        assert [conv.stacked("auto", (16, side, side, 3)) for side in (112, 128)] == ["auto", "map"]
        assert conv.stacked("patches", (224, 224, 3)) == "patches"
    with target.aimed(target.Target("tpu")):
        assert conv.stacked("auto", (224, 224, 3)) == "auto", "which is map there at any size"


@pytest.mark.parametrize("blocks, products", [("18", 10.65e9), ("50", 24.30e9)])
def test_step_flops_of_networks_of_imagenet(blocks, products):
    """Thrice the 1.814 and 4.089 billion products of an image, but for the gradient in its pixels; none of zeros between."""
    recipe = Recipe(f"resnet{blocks}(stem=imagenet)", 1000, slots=4, batch=2, precision="bfloat16")
    with target.aimed(target.named("h100")):
        assert cost.step_flops(recipe, (224, 224, 3)) == pytest.approx(2 * products, rel=1e-3)


def test_members_whose_convolutions_follow_each_other_are_never_stacked():
    """Whoever forces `map` on an accelerator gets blocks of one; a lowering that does not need that gets whole blocks."""
    small, large = DEEP._replace(slots=100, batch=100), DEEP._replace(slots=256, batch=256)
    with target.aimed(target.Target("gpu")):
        assert cost.choose_block(small, tiny.SHAPE, 8, lowering="map") == 1
        assert cost.choose_block(small, tiny.SHAPE, 8, batch=100, lowering="map") == 1
        assert cost.choose_block(large, tiny.SHAPE, 8, lowering="kernel") == 8
        assert cost.choose_block(LINEAR, tiny.SHAPE, 8, lowering="map") == 8, "no convolution, nothing that follows"
