"""A run folder as a finished run would leave it, with accuracies drawn around a known truth."""

import csv
import functools
import hashlib
import json
import math
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from jaxsoft.analysis import questions
from jaxsoft.analysis.statistics import groups

IPCS = (1, 2, 5, 10, 20, 50)
EPOCHS = (5, 11, 20, 40, 80, 150)
# Soft minus hard in points by epoch and IPC: early teachers help small budgets and hurt large ones.
GAIN = np.array(
    [
        [+3.1, -0.5, -4.6, -6.9, -9.5, -12.4],
        [+2.6, +1.9, +0.8, -1.6, -3.0, -5.0],
        [+1.8, +2.2, +2.8, +1.0, -0.7, -1.6],
        [+1.4, +1.9, +2.3, +1.5, +0.3, -0.2],
        [+1.0, +1.3, +1.6, +1.1, +0.6, +0.2],
        [+0.8, +0.9, +0.6, +0.5, +0.2, +0.1],
    ]
)


def ask(module, rows, runs=()):
    """The sections of one question, as a report would show them."""
    return questions.ask(module, functools.partial(groups.groups, groups.tidy(rows)), runs)


def hard_accuracy(ipc):
    return 1 - (0.02 + 0.47 * ipc**-0.62)


def row(ipc, labels, seed, accuracy, *, epoch=None, **other):
    """One member; `other` overrides its columns."""
    line = {
        "member": "",
        "dataset": "digits",
        "fingerprint": "5f" * 32,
        "model": "convnet(depth=2, width=16)",
        "seed": seed,
        "subset_seed": seed,
        "ipc": ipc,
        "labels": labels,
        "teacher_epoch": epoch,
        "learning_rate": 0.002,
        "weight_decay": 0.01,
        "steps": 400,
        "protocol": "sealed",
        "val_accuracy": accuracy,
        "test_accuracy": accuracy,
        "status": "done",
        "first_bad_step": None,
        "wave": 0,
        "device": "cpu",
        **other,
    }
    line["member"] = line["member"] or hashlib.sha256(repr(line).encode()).hexdigest()[:12]
    return line


def rows(seeds=10, ipcs=IPCS, epochs=EPOCHS, hard=True, seed=0, **other):
    """Members of a sweep over IPC, teacher epoch and seed; subsets shared by treatments, so differences are paired."""
    rng = np.random.default_rng(seed)
    found = []
    for ipc in ipcs:
        i = np.argmin(np.abs(np.log(np.array(IPCS) / ipc)))
        for s in range(seeds):
            subset = rng.normal(0, 0.045 / math.sqrt(ipc))
            if hard:
                found.append(_member(rng, ipc, "hard", s, hard_accuracy(ipc) + subset, None, other))
            for epoch in epochs:
                gain = np.interp(epoch, EPOCHS, GAIN[:, i]) / 100
                truth = hard_accuracy(ipc) + subset + gain
                found.append(_member(rng, ipc, f"teacher(epoch={epoch})", s, truth, epoch, other))
    return found


def _member(rng, ipc, labels, seed, truth, epoch, other):
    noise = 0.018 / math.sqrt(ipc)
    test, val = np.clip(truth + rng.normal(0, noise, 2), 0, 1).round(4).tolist()
    return row(ipc, labels, seed, test, epoch=epoch, val_accuracy=val, **other)


def write_csv(path, members):
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, members[0])
        table.writeheader()
        table.writerows(members)


def write_run(folder, members, *, experts=1):
    """A whole run folder: results and all other artefacts."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(folder / "results.csv", members)
    history = [
        {
            "epoch": e,
            "train_loss": None if e == 0 else 2.3 * math.exp(-e / 8),
            "val_accuracy": round(0.985 - 0.88 * math.exp(-e / 6), 4),
            "label_entropy": round(2.29 * math.exp(-e / 14) + 0.01, 4),
        }
        for e in range(151)
    ]
    jitter = [[{**h, "val_accuracy": h["val_accuracy"] - 0.01 * k} for h in history] for k in range(experts)]
    documents = {
        "teachers": {
            "teacher": {"key": "0f3a", "model": "convnet(depth=2, width=16)"},
            "experts": [{"expert": k, "history": h} for k, h in enumerate(jitter)],
            "resolved": {"teacher(accuracy=0.9)": "teacher(epoch=20)"},
        },
        "config": {
            "data": {"name": "digits", "validation": 0.1},
            "student": {"model": "convnet(depth=2, width=16)", "optimizer": "adamw", "steps": 400, "batch": 64},
            "sweep": {"ipc": list(IPCS), "labels": ["hard", "teacher"], "seed": list(range(10))},
        },
        "plan": {"chunks": 4, "waves": [[[0, 420]]], "members": [{"member": m["member"]} for m in members]},
        "env": {"jax": "0.10.2", "python": "3.12.3", "platform": "Linux", "device": "cpu", "commit": "a1b2c3d"},
        "timing": {"stages": {"data": 0.4, "teachers": 21.5, "students": 58.2}, "students_per_second": 7.2},
    }
    for name, content in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    write_examples(folder / "examples.npz")


def write_examples(path, epochs=(0, 5, 20, 150)):
    """Real digits under labels that sharpen with the epoch; a digit resembles its neighbours."""
    digits = load_digits()
    pick = [int(np.flatnonzero(digits.target == k)[3]) for k in (3, 8, 1, 9, 5)]
    labels = digits.target[pick].astype(np.int32)
    images = (digits.images[pick] * 255 / 16).astype(np.uint8)[..., None]
    rng = np.random.default_rng(0)
    likeness = 3.0 * np.eye(10)[labels] + rng.normal(0, 0.8, (len(pick), 10))
    logits = np.array([likeness * sharpness for sharpness in (0.05, 0.7, 1.6, 4.0)])
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.savez(
        path,
        images=images,
        labels=labels,
        epochs=np.array(epochs, np.int32),
        probabilities=probabilities.astype(np.float32),
        class_names=np.array([str(k) for k in range(10)]),
    )


# How sharp the labels of `write_samples` are at each epoch: from nearly uniform to nearly one-hot.
SHARPNESS = (0.1, 0.8, 2.0, 6.0)


def likeness(classes=10):
    """How much each class resembles each other one: its neighbours on a ring, and less so on one side."""
    places = np.arange(classes)
    away = (places[None] - places[:, None]) % classes
    return np.where(away == 0, 3.0, np.where(away == 1, 1.5, np.where(away == classes - 1, 1.0, 0.0)))


def label_sample(n, sharpness, classes=10, noise=0.8, seed=0):
    """Labels of n images of cycling classes, [P, n, K], and the classes: softmax of likeness and noise, times sharpness."""
    rng = np.random.default_rng(seed)
    labels = (np.arange(n) % classes).astype(np.int32)
    logits = (likeness(classes)[labels] + rng.normal(0, noise, (n, classes))) * np.array(sharpness)[:, None, None]
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True), labels


def write_samples(path, train=400, validation=300, noise=(0.3, 1.2)):
    """Examples with samples of labels; a teacher is surer, and right more often, on the images that it has seen."""
    write_examples(path)
    with np.load(path) as z:
        arrays = dict(z)
    for i, (split, n) in enumerate({"train": train, "validation": validation}.items()):
        probabilities, labels = label_sample(n, SHARPNESS, noise=noise[i], seed=i)
        arrays |= {f"{split}_probabilities": probabilities.astype(np.float16), f"{split}_labels": labels}
    np.savez(path, **arrays)
    return arrays


def crossed(rng, levels, sds, rest):
    """One value for each combination of levels: a normal effect of each factor, and a residual of its own."""
    values = rng.normal(0, rest, levels)
    for axis, (size, sd) in enumerate(zip(levels, sds)):
        values += rng.normal(0, sd, size).reshape([-1 if a == axis else 1 for a in range(len(levels))])
    return values


def one_group(rows):
    """The members as the one group that a question is asked of."""
    (found,) = groups.groups(groups.tidy(rows))
    return found
