"""How a TPU lays arrays out, as XLA told of the arguments and loops of programs that it compiled for a v5e."""

import pytest

from jaxsoft import target
from jaxsoft.training import cost, tiles
from jaxsoft.training.ensemble import Bucket
from jaxsoft.training.recipe import Recipe

SHAPE = (8, 8, 1)


def recipe(precision="bfloat16"):
    return Recipe("convnet(depth=2, width=16)", 10, 50, 50, "adamw", precision=precision)


def test_arguments_lie_with_the_axes_that_pad_least():
    """Of `compare`, `feature_labels`, `gift`, `zero_shot` and `cifar100`."""
    compiled = {
        (360, 3, 3, 16, 16): 3_538_944,  # members are columns
        (40, 64, 10): 204_800,  # channels are
        (40, 64, 64): 1_310_720,
        (40, 10010): 1_617_920,
        (10, 3, 3, 3, 128): 184_320,  # three lines of channels take four
        (360,): 2048,
        (1280,): 8192,
        (40,): 512,
        (): 4,
    }
    assert {shape: 4 * tiles.lying(shape) for shape in compiled} == compiled


def test_loops_write_each_member_in_tiles_of_its_own():
    """Of `zero_shot`: sixteen channels take the columns of 128, and one channel a line of four or one; of `cifar10`."""
    compiled = {(3, 3, 16, 16): 94_371_840, (64, 10): 41_943_040, (16,): 655_360, (2048, 10): 1280 * 131_072}
    assert {shape: 1280 * 4 * tiles.inside(shape) for shape in compiled} == compiled


def test_what_has_room_in_the_chips_own_memory_counts_for_nothing():
    with target.aimed(target.named("v5e")):
        one = Bucket(recipe(), 360, 1, 1, 50)
        of = tiles.held(one, 360, SHAPE)
        room = tiles.OWN_BYTES - of.waiting - of.making - of.asked
        assert of.making + of.asked > 0 < room

        def held(copied=0, temporary=0):
            return tiles.students_bytes([one], 1, SHAPE, copied, temporary, temporary)

        alone = held()
        assert 0 < alone - of.given < 2_000_000
        assert held(0, room) == alone and held(0, room + 1000) == alone + 1000
        assert held(of.asked + room) == alone and held(of.asked + room + 1000) == alone + 1000
        assert held(0, 10**9) == held(0, 10**10) == alone + of.waiting + of.making + of.asked


def test_two_buckets_wait_together_and_are_written_one_after_the_other():
    with target.aimed(target.named("v5e")):
        one, other = Bucket(recipe(), 400, 1, 1, 50), Bucket(recipe()._replace(slots=10), 100, 1, 1, 50)
        of = [tiles.held(b, b.members, SHAPE) for b in (one, other)]
        full = tiles.students_bytes([one, other], 1, SHAPE, 10**9, tiles.OWN_BYTES, 0)
        given, waiting = sum(h.given for h in of), sum(h.waiting for h in of)
        assert 0 < full - given - waiting - of[0].making - 10**9 < 4_000_000
        spread = tiles.students_bytes([one._replace(members=800)], 2, SHAPE)
        assert spread == tiles.students_bytes([one], 1, SHAPE)


@pytest.mark.parametrize("precision, share", [("bfloat16", 2), ("float32", 4)])
def test_networks_are_evaluated_in_the_precision_of_products(precision, share):
    with target.aimed(target.named("v5e")):
        of = tiles.held(Bucket(recipe(precision), 40, 40, 1, 50), 40, SHAPE)
        state = cost.student(recipe(), SHAPE)
        lying = sum(tiles.lying((40, *leaf.shape)) for leaf in tiles.jax.tree.leaves(state.variables))
        assert of.asked == share * lying and (of.making, of.loops) == (0, 0)
