"""Does a sweep of many students cost more, student by student, than one of few, beside their training?

  python benchmarks/many_members.py [--size=toy|cpu|gpu] [--repeats=5]

A sweep of the real digits goes through all stages that go through its members, and nothing is trained: results are made up.
  plan      settings are checked, the plan is made, told and stored
  results   every row goes to the log, a thousand at a time; then the table is written
  resume    what the same command does before it trains: check, plan, compare with the stored plan, read the log, find what is left
  report    the report is written
The sweeps grow, so the most memory that the process ever had, JAX and all, is that of the largest sweep so far.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import measure
import numpy as np

from jaxsoft import config, data
from jaxsoft.analysis.report import write_report
from jaxsoft.experiment.plan import checks, stored
from jaxsoft.experiment.plan import make as planning
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store import results
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.experiment.students import outcomes
from jaxsoft.experiment.tell import describe
from jaxsoft.types import Dataset, Row

EPOCHS = 5
LABELS = ("hard", *(f"teacher(epoch={e})" for e in range(1, EPOCHS + 1)), *(f"teacher|topk({k})" for k in (1, 2, 4, 8)))

# `grids`: of so many budgets, label specs, seeds and learning rates; `rounds`: at most so many repeats.
GRIDS = ((10, 10, 20, 1), (10, 10, 100, 2), (10, 10, 500, 4))
SIZES: dict[str, dict[str, Any]] = {
    "toy": {"grids": ((2, 3, 3, 1),), "rounds": 1},
    "cpu": {"grids": GRIDS, "rounds": 1},
    "gpu": {"grids": GRIDS, "rounds": 1},
}
CURVE = {"step": list(range(40, 401, 40)), "train_loss": [0.123456] * 10, "val_accuracy": [0.654321] * 10}
LEFT, AT_ONCE = 3, 1000  # members that a resumed run would train; rows of a wave
CONTEXT = {"data": "0" * 64, "student": {"batch": 256, "optimizer": "sgd", "schedule": "constant", "augment": "none"}}


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    size, dataset = SIZES[args.size], data.load("digits", validation=0.2)
    for grid in size["grids"]:
        rounds = [measured(settings_of(*grid), dataset) for _ in range(min(args.repeats, size["rounds"]))]
        for stage in rounds[0]:
            what = {"stage": stage, "members": f"{np.prod(grid):,}"}
            seconds, most = zip(*(found[stage] for found in rounds))
            measure.tell("many_members", args.size, what, seconds, "s")
            measure.tell("many_members", args.size, what, most, "GB at most so far")


def measured(settings: config.Settings, dataset: Dataset) -> dict[str, tuple[float, float]]:
    """Of each stage its seconds, and the most memory of this process up to its end, in GB."""
    found = {}

    def stage(name: str, function: Callable[..., Any], *given: Any) -> Any:
        start = time.perf_counter()
        made = function(*given)
        found[name] = time.perf_counter() - start, most_memory() / 1e9
        return made

    with tempfile.TemporaryDirectory() as where:
        folder = RunFolder(where)
        plan = stage("plan", planned, settings, dataset, folder)
        stage("results", log, plan, made_up(plan, settings, dataset), folder)
        assert stage("resume", left, settings, dataset, folder) == list(plan.keys[-LEFT:])
        stage("report", write_report, [where])
    return found


def most_memory() -> int:
    """The most bytes that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def settings_of(budgets: int, labels: int, seeds: int, rates: int) -> config.Settings:
    """A sweep of all combinations."""
    model = "mlp(hidden=8)"
    sweep = {
        "ipc": tuple(range(1, budgets + 1)),
        "labels": LABELS[:labels],
        "teacher_epoch": (EPOCHS,) * any(label.startswith("teacher|") for label in LABELS[:labels]),
        "seed": tuple(range(seeds)),
        "learning_rate": tuple(0.1 * (i + 1) for i in range(rates)),
    }
    student = {"model": model, "steps": 20, "evaluations": 4}
    return config.read({"teacher": {"model": model, "epochs": EPOCHS}, "student": student, "sweep": sweep})


def made(settings: config.Settings, dataset: Dataset) -> Plan:
    """The plan, after all that is checked before."""
    checks.check(settings)
    checks.check_data(settings, dataset)
    history = [{"epoch": e, "val_accuracy": e / EPOCHS, "label_entropy": 2 - 0.3 * e} for e in range(EPOCHS + 1)]
    return planning.make(settings, dataset, [history], CONTEXT)


def planned(settings: config.Settings, dataset: Dataset, folder: RunFolder) -> Plan:
    """The plan of a new run, told and stored."""
    plan = made(settings, dataset)
    describe.plan_lines(plan, settings, len(dataset.validation) + len(dataset.test))
    folder.write_json("plan.json", plan.as_json())
    return plan


def made_up(plan: Plan, settings: config.Settings, dataset: Dataset) -> list[Row]:
    """A row for each member: accuracy grows with the budget, soft labels are a little better, and seeds differ."""
    shared = {"dataset": dataset.name, "fingerprint": dataset.fingerprint, "device": "made up"}
    random = np.random.default_rng(0)
    rows = {}
    for b, bucket in enumerate(plan.buckets):
        for i in bucket.members:
            member, by_class = plan.members[i], " ".join(f"{a:.4g}" for a in random.random(dataset.num_classes))
            about = 0.4 + 0.15 * np.log10(member.ipc) + 0.02 * (member.labels != "hard")
            seen = {name: float(about + 0.02 * random.standard_normal()) for name in outcomes.MEASURED}
            seen |= {"paper_accuracy": None, "accuracy_by_class": by_class}
            outcome = {"position": i, "bucket": b, "wave": 0, "bad_step": -1, "curve": CURVE, **seen}
            rows[i] = outcomes.row_of(plan, outcome, shared, settings)
    return [rows[i] for i in range(len(plan.members))]


def log(plan: Plan, rows: list[Row], folder: RunFolder) -> None:
    """Rows into the log, wave by wave, all but a few; and all of them into the table."""
    kept = results.open_log(folder.path / "results.jsonl")
    for start in range(0, len(rows) - LEFT, AT_ONCE):
        kept.append(rows[start : min(start + AT_ONCE, len(rows) - LEFT)])
    kept.close()
    results.write_csv(rows, folder.path / "results.csv", order=plan.keys)


def left(settings: config.Settings, dataset: Dataset, folder: RunFolder) -> list[str]:
    """The members that a resumed run has still to train."""
    plan = stored.repeated(made(settings, dataset), folder.read_json("plan.json"), folder)
    describe.plan_lines(plan, settings, len(dataset.validation) + len(dataset.test))
    kept = results.open_log(folder.path / "results.jsonl")
    finished = kept.finished
    kept.close()
    return [key for key in plan.keys if key not in finished]


if __name__ == "__main__":
    main()
