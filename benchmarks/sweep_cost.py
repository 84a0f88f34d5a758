"""How long would the paper's largest sweep take on this device?

  python benchmarks/sweep_cost.py [--size=toy|cpu|gpu] [--repeats=5]
  python benchmarks/sweep_cost.py --for=h200     what `jaxsoft run --dry_run --for=h200` would say of this sweep; measures nothing

The sweep of data against knowledge on TinyImageNet: 550 students for one teacher epoch, 11 budgets, ten label treatments
and five seeds (`configs/topk.py`). It is planned by the planner, without the data, which makes 15.2 million student-steps;
of each different step (a whole subset, or a batch of 256 out of a larger one) one short chunk is timed, and the rates give
the hours. That is a projection: nothing is trained to the end, and looks at validation images, below 1% of the work, are
left out. Beside it stands the same number of steps taken one after the other at the pace of the authors' scripts.
"""

from typing import Any

import measure
import numpy as np
import sweeps

from jaxsoft import data, numerics, target
from jaxsoft.experiment.plan import make as planning
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.tell import forecast

EPOCH = 11
AUTHORS_MS = (21.0, 27.0)  # a step of one student on one data-centre GPU, whatever the batch

# `model`: in the place of the config's, or its own; `members` and `steps` of a timed chunk; `rounds`: at most so many repeats.
SIZES: dict[str, dict[str, Any]] = {
    "toy": {"model": "convnet(depth=1, width=4)", "side": 8, "members": 2, "steps": 1, "rounds": 3},
    "cpu": {"model": "", "side": 64, "members": 2, "steps": 1, "rounds": 3},
    "gpu": {"model": "", "side": 64, "members": 50, "steps": 8, "rounds": 5},
}


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__, elsewhere=True)
    if args.elsewhere:
        print("\n".join(forecasted(args.elsewhere)))
        return
    size = SIZES[args.size]
    plan, shape = planned(size["model"], size["side"]), (size["side"], size["side"], 3)
    work: dict[tuple, int] = {}
    shapes = {}
    for bucket in plan.buckets:
        kind = (bucket.recipe.batch, bucket.recipe.batch == bucket.recipe.slots)
        shapes[kind] = bucket.recipe  # the last has the largest subset
        work[kind] = work.get(kind, 0) + len(bucket.members) * bucket.steps
    cases = {kind: measure.training(recipe, shape, size["members"], size["steps"]) for kind, recipe in shapes.items()}
    took = measure.interleaved([case.chunk for case in cases.values()], min(args.repeats, size["rounds"]))
    rates = {kind: case.rates(seconds) for (kind, case), seconds in zip(cases.items(), took)}
    for kind, case in cases.items():
        what = {"model": case.bucket.recipe.model, "side": size["side"], "batch": kind[0], "members": case.members}
        measure.tell("sweep_cost", args.size, what, rates[kind], "student-steps/s", block=case.bucket.block)
    steps, seconds = sum(work.values()), np.sum([work[kind] / rates[kind] for kind in work], axis=0)
    sweep = {"sweep": f"{len(plan.members)} students, {steps / 1e6:.1f} million steps"}
    composition = {"buckets": len(plan.buckets), "student_steps": steps, "useful_share": plan.useful_share()}
    measure.tell("sweep_cost", args.size, sweep, seconds / 3600, "hours, projected", **composition)
    for pace in AUTHORS_MS:
        what, slow = {**sweep, "the authors' scripts on one GPU": f"{pace:g} ms a step"}, steps * pace / 1e3
        measure.tell("sweep_cost", args.size, what, [slow / 3600], "hours, arithmetic")
        measure.tell("sweep_cost", args.size, what, slow / seconds, "x of the projected hours")


def forecasted(chip: str) -> list[str]:
    """The least time of the sweep on a chip that need not be here, and what it goes to."""
    with numerics.pinned(), target.aimed(target.named(chip)):
        plan, settings = planned("", 64), sweeps.settings("topk", "data=tiny_imagenet")
        stand_in = data.stand_in("tiny_imagenet")
        assert stand_in
        steps = sum(len(bucket.members) * bucket.steps for bucket in plan.buckets)
        return [
            f"{len(plan.members)} students, {steps / 1e6:.1f} million steps",
            *forecast.lines(plan, settings, stand_in),
        ]


def planned(model: str, side: int) -> Plan:
    """The plan of the sweep, for images that are not there: the planner needs only their number and shape."""
    sweep = sweeps.settings("topk", "data=tiny_imagenet").sweep
    points = list(zip(sweep.ipc, sweep.labels, sweep.learning_rate, strict=True))
    epoch = {ipc for ipc, labels, _ in points if f"epoch={EPOCH})" in labels}
    chosen = [p for p in points if f"epoch={EPOCH})" in p[1] or (p[1] == "hard" and p[0] in epoch)]
    changes: dict[str, Any] = {f"sweep.{k}": v for k, v in zip(("ipc", "labels", "learning_rate"), zip(*chosen))}
    changes["compute.memory_gb"] = 1e6  # one wave
    if model:
        changes["student.model"] = changes["teacher.model"] = model
    stand_in = data.stand_in("tiny_imagenet", side=side)
    assert stand_in
    return planning.make(sweeps.settings("topk", "data=tiny_imagenet", changes), stand_in, None, {})


if __name__ == "__main__":
    main()
