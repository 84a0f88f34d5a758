"""Bytes: the budget, what members share, and the prediction against XLA's own figure."""

import jax
import numpy as np
import pytest

from jaxsoft import config, target, types
from jaxsoft.experiment.machine import memory
from jaxsoft.experiment.plan import make
from jaxsoft.training import evaluate
from jaxsoft.training.ensemble import Program
from jaxsoft.training.evaluate import eval_set
from jaxsoft.training.fit import Bank, Member


def settings(**groups):
    return config.read({"student": {"model": "convnet(depth=2, width=16)", "batch": 32, "steps": 8}, **groups})


def world(train, look, side):
    """A dataset of empty images of ten classes."""

    def split(count):
        labels = np.resize(np.arange(10, dtype=np.int32), count)
        return types.Split(np.zeros((count, side, side, 1), np.uint8), labels)

    names = tuple("abcdefghij")
    return types.Dataset("made", names, split(train), split(look), split(look), "f" * 64, "nowhere", "none")


def test_the_budget_is_what_was_asked_for_or_most_of_all_devices(monkeypatch):
    assert memory.budget_bytes(settings(compute={"memory_gb": 2.5})) == 2_500_000_000

    class Device:
        def memory_stats(self):
            return {"bytes_limit": 1000}

    monkeypatch.setattr(jax, "local_devices", lambda: [Device()])
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    assert memory.budget_bytes(settings()) == 1600  # 80% of both


@pytest.mark.parametrize("limit, share", [("4000000\n", 2_000_000), ("max\n", None), (None, None)])
def test_a_container_has_less_memory_than_its_machine(monkeypatch, tmp_path, limit, share):
    file = tmp_path / "memory.max"
    if limit is not None:
        file.write_text(limit)
    monkeypatch.setattr(memory, "_CONTAINER_LIMIT", file)
    physical = memory.os.sysconf("SC_PAGE_SIZE") * memory.os.sysconf("SC_PHYS_PAGES")
    assert memory.budget_bytes(settings()) == (share or physical // 2)


def test_a_tpu_keeps_a_padded_copy_of_what_steps_gather_from():
    """As XLA compiled gathers for a v5e: a copy where it adds little, or little for its size; none in the chip's own memory."""
    cases = {
        ((45_000, 32, 32, 3), 1): 552_960_000,
        ((25_000, 16, 16, 3), 1): 0,  # more than 6 times as large, and 128 MiB more
        ((35_000, 32, 32, 1), 1): 143_360_000,
        ((100_000, 32, 32, 1), 1): 0,
        ((500, 2, 128, 256, 3), 1): 0,  # 98 MB
        ((700, 2, 128, 256, 3), 1): 700 * 2 * 128 * 256 * 3,
        ((180_000, 100), 4): 180_000 * 4 * 4,  # 92 MB
        ((450_000, 50), 4): 450_000 * (6 + 128) * 4,
        ((500_000, 50), 4): 500_000 * 6 * 4,
        ((1_000_000, 10), 4): 1_000_000 * 6 * 4,
    }
    with target.aimed(target.named("v5e")):
        assert {case: memory.gathered_bytes(case)[0] for case in cases} == cases
        sweep = {"ipc": (3,), "labels": ("hard",), "seed": (0,)}
        made, data = make.make(settings(sweep=sweep), world(500, 40, 8), None, {}), world(500, 40, 8)
        there = make.shared_bytes(settings(), made.members, data)
    here = make.shared_bytes(settings(), made.members, data)
    assert there - here == 30 * 6 * 4 and memory.gathered_bytes(((45_000, 32, 32, 3), 1)) == (0, 0)


def test_the_chips_own_memory_takes_the_smallest_copies():
    """Those of `smoothing` have room there, of `clips` the label rows have none."""
    smoothing = ((1038, 8, 8, 1), 1), ((214_228, 10), 4)
    clips = ((212_156, 20), 4), ((1039, 8, 8, 8, 1), 1)
    with target.aimed(target.named("v5e")):
        assert memory.gathered_bytes(*smoothing) == (214_228 * 6 * 4, 1038 * 8 * 128 + 214_228 * 128 * 4)
        assert memory.gathered_bytes(*clips) == (212_156 * (4 + 128) * 4, 1039 * 8 * 8 * 128)


def test_a_large_test_split_is_on_a_device_in_pieces(monkeypatch):
    """But where every look is at it."""
    sweep = {"ipc": (1,), "labels": ("hard",), "seed": (0,)}
    data = world(500, 40, 8)
    members = make.make(settings(sweep=sweep), data, None, {}).members
    whole = {which: make.shared_bytes(settings(protocol=which), members, data) for which in ("sealed", "both")}
    monkeypatch.setattr(evaluate, "PIECE_BYTES", 1000)  # of 2,560: three pieces of 14 images
    cut = {which: make.shared_bytes(settings(protocol=which), members, data) for which in whole}
    assert cut == {"sealed": whole["sealed"] - (40 - 14) * 68, "both": whole["both"]}


def test_shared_bytes_by_hand():
    """Two subsets of 3 x 10 images, two label specs; 40 images of the test and validation split each, with labels."""
    sweep = {"ipc": (1, 3), "labels": ("hard", "teacher(epoch=3)"), "seed": (0, 1)}
    made = make.make(settings(sweep=sweep), world(500, 40, 8), None, {})
    assert make.shared_bytes(settings(), made.members, world(500, 40, 8)) == 60 * 64 + 2 * 60 * 40 + 80 * 68
    few = make.shared_bytes(settings(), made.members, world(30, 40, 8))
    assert few == 30 * 64 + 2 * 30 * 40 + 80 * 68, "a subset has no more images than there are"


@pytest.mark.parametrize("side, ipc, seeds", [(8, (1, 5, 10), 8), (16, (1, 4), 3), (16, (8,), 12)])
def test_the_prediction_is_within_a_fifth_of_what_xla_plans(side, ipc, seeds):
    how = settings(sweep={"ipc": ipc, "labels": ("hard",), "seed": tuple(range(seeds))})
    data = world(2000, 300, side)
    made = make.make(how, data, None, {})
    program = Program(made.buckets_of(), made.image_shape, select=1)
    members = tuple(
        Member(*(np.zeros((b.members, *shape), kind) for shape, kind in fields(b.recipe.slots)))
        for b in made.buckets_of()
    )
    used = min(2000, seeds * max(ipc) * 10)
    one = np.ones(1, np.float32)
    bank = Bank(np.zeros((used, side, side, 1), np.uint8), one, one, np.zeros((used, 10), np.float32))
    looks = (eval_set(data.validation.images, data.validation.labels, made.evaluation_batch()),)
    students = jax.tree.map(lambda a: np.zeros(a.shape, a.dtype), program.shapes(members))
    program.chunk(bank, looks, members, students, 0)
    test_set = data.test.images.nbytes + data.test.labels.nbytes  # waits on the device, too
    predicted, planned = made.bytes(), program.bytes() + test_set
    assert planned / 1.2 < predicted < planned * 1.2, (predicted, planned)


def fields(slots):
    whole, real = np.int32, np.float32
    return ((), whole), ((slots,), whole), ((slots,), whole), ((), whole), ((), real), ((), real), ((), whole)
