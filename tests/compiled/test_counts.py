"""What training programs do on chips that are not here: counts of two small ones that may fall and must not rise."""

import account
import programs
import pytest

from jaxsoft import target
from jaxsoft.training import cost
from jaxsoft.training.ensemble import Bucket
from jaxsoft.training.recipe import Recipe

SIDE, STEPS = 16, 4
SMALL = {"one by one": (128, 2), "together": (10, 16)}
"""Batch and members: convolutions of one member after the other, and of all in a block."""
VECTOR = 16 * (27 * 32 + 9 * 32 * 32 + 4 * 32 + 2 * 32 + 16 * 32 * 10 + 10)
"""Parameters of the members of a block."""


def program(how, chip, device):
    batch, members = SMALL[how]
    shape = (SIDE, SIDE, 3)
    recipe = Recipe(
        "convnet(depth=2, width=32)", 10, 2 * batch, batch, "sgd(momentum=0.9)", "constant", "dsa", "bfloat16"
    )
    with target.aimed(target.named(chip)):
        bucket = Bucket(recipe, members, cost.choose_block(recipe, shape, members), STEPS, batch)
        return programs.of_bucket(bucket, shape, device, look=16)


@pytest.fixture(scope="module")
def small(h100):
    """For each of `SMALL` what it does, and the kernels of one call."""
    asked = {how: program(how, "h100", h100) for how in SMALL}
    return {how: (one, account.kernels(one.lowered.compile().as_text())) for how, one in asked.items()}


@pytest.mark.parametrize(("how", "most"), [("one by one", 37), ("together", 2.3)])
def test_kernels_of_a_step(small, how, most):
    asked, kernels = small[how]
    found = sum(kernel.times for kernel in kernels if kernel.trains) / asked.steps
    assert 0.4 * most < found <= most


@pytest.mark.parametrize(("how", "most"), [("one by one", 97_000), ("together", 190_000)])
def test_bytes_of_an_image(small, how, most):
    asked, kernels = small[how]
    found = sum(kernel.times * kernel.bytes for kernel in kernels if kernel.trains) / asked.images
    assert 0.4 * most < found <= most


@pytest.mark.parametrize("how", SMALL)
def test_there_is_no_loop_inside_a_step(small, how):
    assert account.loops_in_steps(small[how][1]) == []


@pytest.mark.parametrize("how", SMALL)
def test_the_response_of_the_first_block_is_never_written(small, how):
    """Of one member where they follow each other, of all where they are together; in no type, not as a mask either."""
    batch, members = SMALL[how]
    whole = batch * SIDE * SIDE * 32 * (members if how == "together" else 1)
    written = [size for k in small[how][1] if k.trains for _, size in account.shapes(k.kind)]
    assert max(written) < whole and whole // 4 in written, "what is pooled is written"


@pytest.mark.parametrize(("how", "kind", "most"), [(how, kind, 1) for how in SMALL for kind in ("f32", "pred")])
def test_maps_of_a_whole_batch_are_neither_float32_nor_masks(small, how, kind, most):
    """Of the second block."""
    batch, members = SMALL[how]
    whole = batch * SIDE * SIDE * 8 * (members if how == "together" else 1)
    found = [k.name for k in small[how][1] if k.trains for one in account.shapes(k.kind) if one == (kind, whole)]
    assert len(found) < most, found


@pytest.fixture(scope="module")
def on_a_tpu(v5e):
    asked = program("one by one", "v5e", v5e)
    return asked, asked.lowered.compile()


def test_a_tpu_has_no_loop_inside_a_step_either(on_a_tpu):
    kernels = account.kernels(on_a_tpu[1].as_text())
    assert sum(kernel.times for kernel in kernels if kernel.trains)
    assert account.loops_in_steps(kernels) == []


def test_a_tpu_reads_no_pixel_alone(on_a_tpu):
    """A gather of pixels reads a tile of 4 kB for each: 50 MB an image here. XLA counts the body of a loop once."""
    asked, compiled = on_a_tpu
    found = compiled.cost_analysis()["bytes accessed"] / SMALL["one by one"][0]
    assert 500_000 < found <= 1_300_000


def test_an_update_and_its_check_pass_so_often_over_the_parameters(small):
    """What the check needs of the update it computes again, where the update would read it from memory."""
    own = [k for k in small["together"][1] if k.step >= 0 and ("f32", VECTOR) in account.shapes(k.kind)]
    assert 4 < sum(kernel.times * kernel.bytes for kernel in own) / (4 * VECTOR * STEPS) < 9.6
