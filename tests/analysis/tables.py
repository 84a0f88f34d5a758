"""Random tables that a run, or somebody's script, may leave: ties, holes, failures, odd names, few or many of everything."""

import csv
import itertools
import json
import math
from pathlib import Path

import numpy as np

from jaxsoft.analysis.reading.read import Examples, LabelSample, Run

NASTY = (
    "$x^2$", "a_b^c", "$\\frac{1}{", "\\", "%d {}", "<script>alert(1)</script>", "<!--", "</table>", "&amp;&lt;", '"quoted\'',
    "`tick`", "``", "a|b", "|", "# title", "](javascript:alert(1))", "![x](file:///etc/passwd)", "**bold** _it_", "line\nbreak",
    "tab\there", "\x1b[31mred\x1b[0m", "nul\0l", "\udcff\udcfe", "\u202eright to left", "קטגוריה", "猫", "🦊🇦🇶", "é\u0301",
    "", " ", "-", "1", "nan", "None", "x" * 10_000, "../../etc/passwd", "C:\\con", "\ufeffbom", "\u2028", "=1+1",
)  # fmt: skip
"""Names of classes, datasets, models and folders as people, or attackers, have them."""

_EPOCHS = (0, 1, 2, 5, 11, 20, 40, 80)
_IPCS = (1, 2, 3, 5, 10, 20, 50, 1000)
_MODELS = ("mlp(width=16)", "convnet(depth=2)", "resnet18", "mlp", "$m_1^2$", "<b>")
_SELECTS = ("random", "hardest", "easiest", *(f"decile({i})" for i in range(10)))


def specs(rng: np.random.Generator, classes: int) -> list[str]:
    """A few label specs of the kinds that questions ask for, hard labels most of the time."""
    source = rng.choice(["teacher", "teachers(3)", "teacher(expert=1)", "teachers(2, pool=probabilities)"])
    dated = [_dated(source, epoch) for epoch in sorted(rng.choice(_EPOCHS, int(rng.integers(1, 6)), replace=False))]
    base = str(rng.choice(dated))
    kinds = {
        "plain": [],
        "cut": [f"{base}|topk({k})" for k in (1, 2, 3, 5) if k <= classes],
        "all cut": [f"{labels}|topk({k})" for k in (1, 2) for labels in dated],
        "swapped": [f"{base}|swap({i})" for i in (1, 2, 3, 7)[: rng.integers(1, 5)]],
        "shuffled": [f"{labels}|shuffle" for labels in dated],
        "heated": [f"{labels}|{how}" for labels in dated for how in ("temperature(2)", "temperature(0.5)", "power(0.25)")],
        "sources": ["hard|smooth(0.1)", "hard|smooth(0.5)", f"{_dated('teacher', 5)[:-1]}, views=4)"],
        "pooled": [f"teachers({n}, pool={pool}, epoch=5)" for n in (2, 3, 5) for pool in ("logits", "probabilities")],
        "dropped": [f"{base}|drop_class({c})" for c in range(min(classes, 3))],
        "experts": [f"teacher(expert={e}, epoch={p})" for e in range(3) for p in (5, 20)],
        "learned": ["learned", "teacher(accuracy=0.5)"],
    }  # fmt: skip
    taken = rng.choice(list(kinds), int(rng.integers(1, 3)), replace=False)
    found = [*dated, *itertools.chain.from_iterable(kinds[kind] for kind in taken)]
    kept = [labels for labels in found if rng.random() < 0.9] or found[:1]
    return list(dict.fromkeys((["hard"] if rng.random() < 0.8 else []) + kept))[:14]


def _dated(source: str, epoch: int) -> str:
    return f"{source[:-1]}, epoch={epoch})" if source.endswith(")") else f"{source}(epoch={epoch})"


def rows(rng: np.random.Generator, classes: int) -> list[dict]:
    """Members of a sweep with up to three further axes, and with what goes wrong in sweeps."""
    ipcs = sorted(rng.choice(_IPCS, int(rng.integers(1, 6)), replace=False).tolist())
    labels = specs(rng, classes)
    axes = {
        "model": list(rng.choice(_MODELS, int(rng.integers(1, 4)), replace=False)),
        "select": list(rng.choice(_SELECTS, int(rng.integers(1, 5)), replace=False)),
        "without": [None, *range(min(classes, int(rng.integers(1, 4))))],
        "learning_rate": [0.1, 0.01, 1e-9][: rng.integers(1, 4)],
        "steps": [10, 400][: rng.integers(1, 3)],
        "protocol": ["sealed", "paper", "both"],
    }
    varied = set(rng.choice(list(axes), int(rng.integers(0, 3)), replace=False))
    default = {"protocol": [str(rng.choice(axes["protocol"]))], "without": [None]}
    settings = {name: values if name in varied else default.get(name, values[:1]) for name, values in axes.items()}
    cells = itertools.product(ipcs, labels, units(rng), *settings.values())
    found = [_member(rng, ipc, text, unit, dict(zip(settings, given)), classes) for ipc, text, unit, *given in cells]
    kept = rng.permutation(len(found))[:160] if len(found) > 160 else range(len(found))
    found = [found[i] for i in kept]
    _accuracies(rng, found)
    _trouble(rng, found)
    for i, row in enumerate(found):
        row["member"] = f"{i:012x}"
    return found


def units(rng: np.random.Generator) -> list[tuple[int, int]]:
    """Seeds and subsets: each with its own, all on one, or crossed."""
    seeds = range(int(rng.choice([1, 1, 2, 3, 6])))
    kind = rng.choice(["own", "one", "crossed"])
    if kind == "crossed":
        return list(itertools.product(seeds, range(int(rng.integers(1, 4)))))
    return [(seed, seed if kind == "own" else 0) for seed in seeds]


def _member(rng, ipc, labels, unit, settings, classes):
    epoch = labels.split("epoch=")[1].split(")")[0].split(",")[0] if "epoch=" in labels else None
    by_class = (
        " ".join(f"{a:.4g}" if rng.random() < 0.9 else "-" for a in rng.random(classes)) if classes < 50 else None
    )
    return {
        "member": "", "dataset": "digits", "fingerprint": "5f" * 32, "seed": unit[0], "subset_seed": unit[1], "ipc": int(ipc),
        "labels": labels, "teacher_epoch": None if epoch is None else int(epoch), "weight_decay": 0.0,
        "val_accuracy": None, "test_accuracy": None, "paper_accuracy": None, "accuracy_by_class": by_class,
        "status": "done", "first_bad_step": None, "wave": 0, "device": "cpu", **settings,
    }  # fmt: skip


def _accuracies(rng, found):
    """Fractions of one of several natures; validation goes with test or not."""
    nature = rng.choice(["normal", "zero", "one", "equal", "coarse", "same"])
    for row in found:
        truth = {"zero": 0.0, "one": 1.0, "equal": 0.5}.get(nature, 1 - 0.6 * row["ipc"] ** -0.3)
        noise = rng.normal(0, 0.05, 3) if nature in ("normal", "coarse", "same") else np.zeros(3)
        val, test, paper = np.clip(truth + noise, 0, 1).round(1 if nature == "coarse" else 6).tolist()
        row |= {"test_accuracy": test, "val_accuracy": test if nature == "same" else val}
        row["paper_accuracy"] = paper if row["protocol"] == "both" else None


def _trouble(rng, found):
    """Holes, failures, doubled cells, and columns that are empty here and there."""
    failed = rng.choice([0.0, 0.0, 0.2, 0.8, 1.0], p=[0.4, 0.2, 0.2, 0.1, 0.1])
    for row in found:
        if rng.random() < failed:
            row |= {"status": "failed", "first_bad_step": 3} | dict.fromkeys(
                ("val_accuracy", "test_accuracy", "paper_accuracy", "accuracy_by_class")
            )
    for name in ("val_accuracy", "paper_accuracy", "accuracy_by_class", "teacher_epoch"):
        share = rng.choice([0.0, 0.0, 0.0, 0.3, 1.0])
        for row in found:
            row[name] = None if rng.random() < share else row[name]
    holes = rng.choice([0.0, 0.1, 0.5])
    found[:] = [row for row in found if rng.random() >= holes] or found[:1]
    if rng.random() < 0.2:
        found += [dict(row) for row in found[:3]]
    if rng.random() < 0.1:
        for row in found:
            del row["select"]


def run(rng: np.random.Generator, folder: Path = Path("run")) -> Run:
    """A whole run in memory around a random table: its teachers' course and its images, under nasty names."""
    classes = int(rng.choice([2, 3, 10, 1000], p=[0.3, 0.3, 0.35, 0.05]))
    found = rows(rng, classes)
    for column in ("dataset", "device"):
        if rng.random() < 0.5:
            name = str(rng.choice(NASTY)) or "-"
            for row in found:
                row[column] = name
    examples = _examples(rng, classes) if rng.random() < 0.8 else None
    config = {str(rng.choice(NASTY)): {str(rng.choice(NASTY)): [str(rng.choice(NASTY)), None, 1e300]}}
    plan = {"members": [[0]] * int(rng.integers(0, 300))}
    env = {"versions": {"jax": str(rng.choice(NASTY))}, "device": str(rng.choice(NASTY)), "commit": None}
    return Run(folder, found, config, plan, env, {"stages": {"data": 0.1}}, _teachers(rng), examples)


def _teachers(rng):
    experts = []
    for expert in range(int(rng.integers(0, 4))):
        epochs = sorted(rng.choice(100, int(rng.integers(0, 8)), replace=False).tolist())
        history = [
            {"epoch": e, "val_accuracy": float(rng.random()), "label_entropy": float(rng.random())} for e in epochs
        ]
        for record in history:
            for name in ("val_accuracy", "label_entropy"):
                if rng.random() < 0.2:
                    record[name] = None
        experts.append({"expert": expert, "history": history})
    models = list(rng.choice(_MODELS[:4], int(rng.integers(0, 4))))
    resolved = {str(rng.choice(NASTY)): str(rng.choice(NASTY))} if rng.random() < 0.5 else {}
    return {"teacher": {"key": "0f3a", "models": models}, "experts": experts, "resolved": resolved}


def _examples(rng, classes):
    n, epochs = int(rng.integers(1, 6)), sorted(rng.choice(200, int(rng.integers(1, 5)), replace=False).tolist())
    names = tuple(str(rng.choice(NASTY)) for _ in range(classes))
    images = rng.integers(0, 256, (n, 8, 8, int(rng.choice([1, 3]))), dtype=np.uint8)
    samples = [_sample(rng, len(epochs), classes) if rng.random() < 0.7 else None for _ in range(2)]
    labels, probabilities = rng.integers(0, classes, n).astype(np.int32), _probabilities(rng, len(epochs), n, classes)
    return Examples(images, labels, np.array(epochs, np.int32), probabilities.astype(np.float32), names, *samples)


def _sample(rng, epochs, classes):
    n = int(rng.choice([1, 2, 5, 40]))
    probabilities = _probabilities(rng, epochs, n, classes).astype(np.float16)
    return LabelSample(probabilities, rng.integers(0, classes, n).astype(np.int32))


def _probabilities(rng, epochs, n, classes):
    kind = rng.choice(["soft", "one-hot", "uniform"])
    if kind == "uniform":
        return np.full((epochs, n, classes), 1 / classes)
    weights = np.exp(rng.normal(0, 2 if kind == "soft" else 300, (epochs, n, classes)).clip(-300, 300))
    return weights / weights.sum(-1, keepdims=True)


def stories(rng: np.random.Generator) -> dict:
    """A `learned.json` that is odd but whole."""
    references = [f"teachers({n})" for n in range(1, int(rng.integers(1, 4)))]
    look = lambda step: {  # noqa: E731
        "outer_step": step, "val_accuracy": float(rng.random()), "entropy": float(rng.random()),
        "divergence": {name: float(rng.random()) for name in references},
        **({"smoothed_divergence": {name: float(rng.choice([math.nan, 0.0, 0.1])) for name in references}}),
    }  # fmt: skip
    steps = list(range(int(rng.integers(1, 5))))
    subsets = [
        {
            "ipc": ipc, "looks": [look(step) for step in steps], "hard_val_accuracy": float(rng.random()),
            "references": [{"labels": name, "val_accuracy": float(rng.random()), "entropy": 0.0} for name in references],
        }
        for ipc in (1, 5)[: rng.integers(1, 3)] for _ in range(int(rng.integers(1, 4)))
    ]  # fmt: skip
    return {"model": str(rng.choice(NASTY)), "subsets": subsets}


def write(folder: Path, rng: np.random.Generator) -> None:
    """A random run as a folder."""
    made = run(rng, folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = [{name: _text(value) for name, value in row.items()} for row in made.rows]
    with open(folder / "results.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, lines[0], lineterminator=str(rng.choice(["\n", "\r\n"])))
        table.writeheader()
        table.writerows(lines)
    for name in ("config", "plan", "env", "timing", "teachers"):
        (folder / f"{name}.json").write_text(json.dumps(getattr(made, name)))
    if rng.random() < 0.3:
        (folder / "learned.json").write_text(json.dumps(stories(rng)))
    if made.examples is not None:
        _write_examples(folder / "examples.npz", made.examples)


def _text(value):
    """A value as a line of UTF-8 may hold it."""
    return value.encode("utf-8", "backslashreplace").decode().replace("\0", "") if isinstance(value, str) else value


def _write_examples(path, examples):
    samples = {"train": examples.train, "validation": examples.validation}
    arrays = {name: getattr(examples, name) for name in ("images", "labels", "epochs", "probabilities", "class_names")}
    for split, sample in samples.items():
        if sample is not None:
            arrays |= {f"{split}_probabilities": sample.probabilities, f"{split}_labels": sample.labels}
    np.savez(path, **arrays)
