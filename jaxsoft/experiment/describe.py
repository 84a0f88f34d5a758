"""What a run says in words: versions at the start, the plan, and where things are at the end."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxsoft import config
from jaxsoft.experiment import memory
from jaxsoft.experiment import plan as planning
from jaxsoft.experiment.folder import environment
from jaxsoft.experiment.waves import Plan
from jaxsoft.labels.history import History
from jaxsoft.ops import conv
from jaxsoft.training import cost
from jaxsoft.types import Dataset, Row


def versions() -> str:
    """One line: versions and device."""
    seen = environment()
    packages = ", ".join(f"{name} {v}" for name, v in seen["versions"].items() if name in ("jaxsoft", "jax", "python"))
    return f"{packages}; {seen['device_count']} x {seen['device']}"


def settings_lines(settings: config.Settings) -> list[str]:
    """Every resolved setting, one a line."""
    return [f"config.{key} = {value!r}" for key, value in _flat(config.as_dict(settings))]


def data_lines(dataset: Dataset) -> list[str]:
    """Sizes of the splits and the fingerprint."""
    sizes = f"{len(dataset.train)} train, {len(dataset.validation)} validation, {len(dataset.test)} test"
    height, width, channels = dataset.image_shape
    return [
        f"data: {dataset.name}, {sizes} images of {height}x{width}x{channels}, {dataset.num_classes} classes, "
        f"fingerprint {dataset.fingerprint[:12]}"
    ]


def plan_lines(plan: Plan, settings: config.Settings) -> list[str]:
    """Members, buckets, waves, executables, bytes, estimated time."""
    buckets = plan.buckets()
    lines = [f"plan: {len(plan.members)} students in {len(buckets)} buckets, {len(plan.waves)} waves of equal shape"]
    for bucket, group in zip(buckets, plan.groups):
        r = bucket.recipe
        lines.append(
            f"  {len(group.members):5d} x {r.model}: {'up to ' if r.slots > r.batch else ''}{r.slots} images, "
            f"batch {r.batch}, {group.steps} steps, blocks of {bucket.block}, {r.precision}"
            + (f", {group.tile} images at a time" if group.tile < r.batch else "")
            + ("" if group.lowering == "auto" else f", convolutions {conv.summary(group.lowering)}")
        )
    seconds = cost.estimated_seconds(plan.flops())
    budget = memory.budget_bytes(settings)
    return [
        *lines,
        "  executables: 1 for training (all buckets), 1 to initialise, 1 for the test",
        f"  useful image slots: {plan.useful_share():.1%}",
        f"  memory: {plan.bytes() / 1e6:,.0f} MB predicted for a wave, {budget / 1e6:,.0f} MB allowed",
        f"  students: about {_duration(seconds)} (rough; from the measured rate of matrix products)",
    ]


def ending(rows: Sequence[Row], workdir: Path, seconds: Mapping[str, float]) -> str:
    """What was done, how long it took, where the report is, and what to do next."""
    status = Counter(row["status"] for row in rows)
    failed = f", {status['failed']} failed (loss or update not finite)" if status["failed"] else ""
    times = ", ".join(f"{name} {_duration(s)}" for name, s in seconds.items())
    return "\n".join(
        [
            f"{status['done']} students done{failed}; {times}",
            f"report: {workdir / 'report.html'}   table: {workdir / 'results.csv'}",
            f"next: open the report, or check the files with: jaxsoft verify {workdir}",
        ]
    )


def resolved_lines(
    settings: config.Settings, histories: Sequence[History] | None, subjects: Sequence[int] = ()
) -> list[str]:
    """What label specs that name an accuracy, an entropy or a subject by rank stand for."""
    words = ("accuracy=", "entropy=", *(("drop_class",) if settings.subjects == "accuracy" else ()))
    named = [text for text in dict.fromkeys(settings.sweep.labels) if any(word in text for word in words)]
    if histories is None:
        return [f"  {text}: resolved to an epoch once the experts are trained" for text in named]
    return [f"  {text} resolves to {planning.resolved(text, histories, subjects)}" for text in named]


def _flat(settings: Mapping, prefix: str = "") -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = []
    for key, value in settings.items():
        rows += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return rows


def _duration(seconds: float) -> str:
    """Seconds in the unit that reads best.

    >>> _duration(5.25), _duration(130), _duration(9000)
    ('5.2 s', '2.2 min', '2.5 h')
    """
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
