"""One expert over the devices of a host, compiled for chips that are not here: what a step sends, and to whom."""

import re
from typing import Any

import chips
import jax
import numpy as np
import pytest

from jaxsoft.training.ensemble import Bucket, Program
from jaxsoft.training.fit import Bank, Member, Window
from jaxsoft.training.recipe import Recipe

SHAPE, BATCH = (16, 16, 3), 64
RECIPE = Recipe('convnet(depth=1, width=8, norm="batch")', 3, slots=256, batch=BATCH)


def array(*shape, kind: Any = np.float32) -> Any:
    return jax.ShapeDtypeStruct(shape, kind)


@pytest.mark.parametrize(("name", "count"), [("h100", 8), ("v5e", 4)])
def test_a_step_sends_its_gradient_once_and_statistics_twice(name, count, request):
    """The rest is one sum of the images of a window's steps; every sum is over all devices, and nothing is gathered."""
    request.getfixturevalue(name)
    devices = chips.devices(name, count)
    program = Program((Bucket(RECIPE, 1, 1, 4),), SHAPE, select=0, devices=devices, data=count)
    slots, whole, real = array(1, 256, kind=np.int32), array(1, kind=np.int32), array(1)
    who = Member(whole, slots, slots, whole, real, real, whole)
    bank = Bank(array(0, *SHAPE, kind=np.uint8), array(3), array(3), array(3, 3))
    window = Window(array(4, BATCH, *SHAPE, kind=np.uint8), array(4, BATCH, kind=np.int32))
    text = program.compiled("learn", bank, window, (who,), program.shapes((who,)), np.int32(0)).as_text() or ""
    sums = re.findall(r" all-reduce(?:-start)?\(.*?replica_groups=(\S+?\}\}|\S+),", text)
    assert len(sums) == 1 + 2 + 1, sums
    assert len({*sums}) == 1 and sums[0] == f"{{{{{','.join(map(str, range(count)))}}}}}"
    assert not re.search(r" (all-gather|all-to-all|collective-permute|reduce-scatter)(-start)?\(", text)
