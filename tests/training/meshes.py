"""What devices do together, told as JSON by a process with devices of its own: `meshes.py one`, or `meshes.py I/2 PORT`."""

import functools
import json
import re
import sys

import jax
import numpy as np
import tiny

from jaxsoft.training import mesh
from jaxsoft.training.ensemble import Bucket, Program
from jaxsoft.training.fit import Window

MEMBERS, STEPS, CHUNKS = 4, 4, 5  # 22 images in batches of 8: every third batch has 6, so that one device of 8 has none
NET = 'convnet(depth=1, width=4, norm="batch")'
RECIPE = tiny.CONV._replace(model=NET, slots=22, batch=8, precision="float64")
SMALL = tiny.MLP._replace(slots=22, batch=8, precision="float64")
COLLECTIVES = "all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter"


def wide(tree):
    """Numbers in float64, so that what differs is not rounding."""
    return jax.tree.map(lambda a: np.asarray(a, np.float64 if np.asarray(a).dtype == np.float32 else None), tree)


def program(recipe, groups, data, devices=None):
    bucket = Bucket(recipe, MEMBERS, MEMBERS // groups, STEPS)
    return Program((bucket,), tiny.SHAPE, select=0, devices=(devices or jax.devices())[: groups * data], data=data)


def who(recipe):
    return (wide(tiny.members(range(MEMBERS), recipe.slots, steps=STEPS * CHUNKS)),)


@functools.cache
def begun(recipe):
    """Before the first step, on the host."""
    return wide(jax.device_get(program(recipe, 1, 1, jax.local_devices()).initialize(who(recipe))))


def taught(recipe, groups, data):
    """Twenty steps on images that lie on the devices: state, last report, collectives of one step and of the rest."""
    made, students, reports = program(recipe, groups, data), begun(recipe), None
    for index in range(CHUNKS):
        students, reports = made.chunk(wide(tiny.bank()), wide(tiny.evals(11)), who(recipe), students, index)
    text = made.compiled("chunk").as_text() or ""
    counts = {kind: len(re.findall(rf" {kind}(?:-start)?\(", text)) for kind in COLLECTIVES}
    return jax.device_get((students[0].state, reports)), counts


def first_steps(groups, data):
    """Four steps in float32: state and report."""
    recipe = RECIPE._replace(precision="float32")
    made, members = program(recipe, groups, data), (tiny.members(range(MEMBERS), recipe.slots, steps=STEPS),)
    return jax.device_get(made.chunk(tiny.bank(), tiny.evals(11), members, made.initialize(members), 0))


def window(steps, rows=slice(None)):
    """Some batches, of which the last but one is partial and the last is all padding."""
    random = np.random.default_rng(3)
    images = random.integers(0, 256, (steps, 8, *tiny.SHAPE), dtype=np.uint8)
    labels = random.integers(0, tiny.CLASSES, (steps, 8)).astype(np.int32)
    labels[-2, 3:], labels[-1] = -1, -1
    return Window(images[:, rows], labels[:, rows])


def learned(recipe, groups, data, devices=None):
    """A window learned and judged, of which this process gives its part."""
    made, bank = program(recipe, groups, data, devices), wide(tiny.bank(rows=tiny.CLASSES))
    bank = bank._replace(scale=bank.scale / 64, shift=bank.shift - 1)
    part, parts = made.share
    own = window(5, slice(part * 8 // parts, (part + 1) * 8 // parts))
    students, (loss,) = made.learn(bank, own, who(recipe), begun(recipe), 0)
    return mesh.fetch((students[0].state, loss, made.judge(bank, own, students)[0]))


def apart(a, b):
    """The largest difference of two trees."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return max(float(np.abs(np.asarray(x, np.float64) - np.asarray(y, np.float64)).max()) for x, y in pairs)


def one_process():
    """By case, how far several devices are from one, and their collectives."""
    told, counts = {"float32": apart(first_steps(2, 4), first_steps(1, 1))}, {}
    single, _ = taught(RECIPE, 1, 1)
    told["training"] = apart(single[0], begun(RECIPE)[0].state)
    for groups, data in ((1, 8), (2, 4), (4, 2)):
        several, counts[f"{groups}x{data}"] = taught(RECIPE, groups, data)
        told[f"{groups}x{data}"] = apart(single, several)
    told["own statistics"] = apart(single[0], taught(RECIPE._replace(batch_norm="device(8)"), 1, 8)[0][0])
    parts, _ = taught(RECIPE._replace(accumulate=2), 1, 1)
    told["accumulated, of one"] = apart(single[0], parts[0])
    told["accumulated"] = apart(parts, taught(RECIPE._replace(accumulate=2), 2, 4)[0])
    counts["no norm"] = taught(SMALL, 1, 8)[1]
    told["window"] = apart(*(learned(RECIPE, *way) for way in ((1, 1), (2, 4))))
    return {"apart": told, "collectives": counts}


def two_processes():
    """How far two processes with two devices each are from one device; data over both, then members over both."""
    alone = learned(RECIPE, 1, 1, jax.local_devices())
    shares = [program(RECIPE, *way).share for way in ((1, 4), (2, 2))]
    return {"apart": [apart(alone, learned(RECIPE, *way)) for way in ((1, 4), (2, 2))], "shares": shares}


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    if sys.argv[1] == "one":
        print(json.dumps(one_process()))
    else:
        jax.distributed.initialize(f"127.0.0.1:{sys.argv[2]}", 2, int(sys.argv[1][0]))
        print(json.dumps(two_processes()))
