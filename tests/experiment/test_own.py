"""Users' own functions, from a config in a folder of its own: the page that tells of them is true, and keys know them."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_run as tiny

from jaxsoft import config
from jaxsoft.command import arguments
from jaxsoft.experiment import run

CODE = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "own.md").read_text(), re.DOTALL)
STUDY, MINE, SCRIPT = CODE[0], "\n\n".join(CODE[1:-1]), CODE[-1]
SMALL = tiny.TINY | {"teacher.epochs": 5, "sweep.ipc": (2,), "sweep.seed": (0,)}


def written(folder, mine=MINE, changes=()):
    """The page's config and module in a folder, for the tiny experiment."""
    small = dict(SMALL) | dict(changes)
    lines = "\n".join(
        line for line in STUDY.splitlines() if not any(f"config.{key} =" in line for key in dict(changes))
    )
    (folder / "study.py").write_text(
        lines.replace("= default()\n", f"= default()\n    config.update_from_flattened_dict({small!r})\n")
    )
    (folder / "mine.py").write_text(mine)
    return folder / "study.py"


def rows(folder):
    with open(folder / "results.csv", newline="") as file:
        return {row["labels"]: row for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The page's study and the folder of its run."""
    base = tmp_path_factory.mktemp("own")
    assert tiny.command(written(base), base / "run") == 0
    return base


def test_the_page_is_true_for_every_kind(finished):
    assert len(CODE) == 12 and all(len(code.splitlines()) <= 16 for code in CODE[:-1])
    found = rows(finished / "run")
    rows_of_mine = next(labels for labels in found if labels.startswith("array('mine:nearest', rows=x"))
    assert set(found) == {"hard", "teacher(epoch=5)|mine:floor(least=0.01)", rows_of_mine}
    assert {(row["model"], row["select"], row["status"]) for row in found.values()} == {
        ("mine:Small(width=8)", "mine:shuffled", "done")
    }
    assert not any(str(finished) in entry for entry in sys.path)
    best = max(found, key=lambda labels: float(found[labels]["test_accuracy"]))
    assert float((finished / "run/logs/best.txt").read_text().split()[-1]) == float(found[best]["test_accuracy"])
    assert not list(finished.glob("__pycache__"))


def test_a_run_goes_on_from_another_folder_and_knows_what_was_edited(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert tiny.command(finished / "study.py", finished / "run") == 0
    assert "students: 0 of 3 left" in capsys.readouterr().out
    before = rows(finished / "run")
    written(finished, MINE.replace("row, least)", "row, 2 * least)").replace("def floor", "# a word\ndef floor"))
    assert tiny.command(finished / "study.py", finished / "run") == 0
    told = capsys.readouterr().out
    assert "edited since this run began: label operation mine:floor; students that use it are trained again" in told
    assert "students: 1 of 3 left" in told
    after = rows(finished / "run")
    assert {name for name in after if after[name] != before[name]} == {"teacher(epoch=5)|mine:floor(least=0.01)"}


def test_the_script_is_true_in_another_folder_and_another_process_knows_its_members(tmp_path):
    assert len(SCRIPT.splitlines()) <= 30
    call = re.search(r"jaxsoft\.train_students\(.*?\)", SCRIPT)
    assert call
    members = f"found = {call[0]}\n{SCRIPT.splitlines()[-1].replace(call[0], 'found')}\nprint(*(row['member'] for row in found))"
    (tmp_path / "script.py").write_text("\n".join([*SCRIPT.splitlines()[:-1], members]))
    root = Path(config.__file__).parents[2]
    told = []
    for seed in "12":
        env = os.environ | {"PYTHONPATH": str(root), "PYTHONHASHSEED": seed}
        done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        told.append(done.stdout)
    assert told[0] == told[1]
    assert "object:Net_width_16_x" in told[0] and "object:lambda_x" in told[0] and "array(rows)" in told[0]


HANDED = """import functools
import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxsoft.config import default


class Flat(nn.Module):
    @nn.compact
    def __call__(self, images, train=False):
        return nn.Dense(10)(images.reshape(len(images), -1))


def even(images, labels):
    return jnp.full((len(labels), 10), 0.1)


def get_config():
    config = default()
    config.update_from_flattened_dict(SMALL)
    config.teacher.model = Flat()
    config.student.model = Flat()
    config.student.loss = lambda logits, row: -(row * jax.nn.log_softmax(logits)).sum()
    config.sweep.labels = ("hard", "teacher(epoch=5)", even)
    return config
"""


def test_a_config_file_hands_over_the_things_themselves_and_its_run_goes_on(tmp_path, capsys):
    file = tmp_path / "handed.py"
    file.write_text(HANDED.replace("SMALL", repr(SMALL)))
    assert tiny.command(file, tmp_path / "run") == 0
    found = rows(tmp_path / "run")
    assert {re.sub("_x[0-9a-f]{12}$", "", row["model"]) for row in found.values()} == {"object:Flat"}
    assert (
        re.sub("x[0-9a-f]{12}", "x", " ".join(sorted(found))) == "array('object:even_x', rows=x) hard teacher(epoch=5)"
    )
    assert tiny.command(file, tmp_path / "run") == 0
    assert "students: 0 of 3 left" in capsys.readouterr().out
    file.write_text(file.read_text().replace("-(row *", "-2 * (row *"))
    assert tiny.command(file, tmp_path / "run") == 4
    assert re.search(r'config.student.loss is "object:lambda_x\w{12}" there, "object:lambda_x', capsys.readouterr().err)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"student.optimizer": "mine:warmup"}, "config.student.optimizer: mine:warmup cannot be used as optimizer: it should take first learning_rate, weight_decay; it takes progress, share"),
        ({"student.optimizer": "bad:nothing"}, "config.student.optimizer: bad:nothing should return an optax.GradientTransformation, got NoneType"),
        ({"student.schedule": "mine:warmup(1)"}, None),
        ({"student.schedule": "mine:warmup(share=true)"}, "share expects float, got True; usage: mine:warmup(share: float=0.1)"),
        ({"student.loss": "mine:focal(gamma=no)"}, "config.student.loss: mine:focal(gamma=no) in 'mine:focal(gamma=no)': gamma expects float, got 'no'; usage: "),
        ({"student.loss": "mine:warmup"}, "config.student.loss: loss 'mine:warmup' takes progress, share; wanted logits, and of the label row or label_logits, with"),
        ({"student.loss": "soft_crossentropy"}, "config.student.loss: unknown loss 'soft_crossentropy'; closest: soft_cross_entropy"),
        ({"student.loss": "bad:each"}, "config.student.loss: bad:each should give float32 [], got float32 [10]"),
        ({"student.loss": "bad:logarithm"}, "config.student.loss: bad:logarithm should be finite, with its gradient, at logits of 0; it is not for [1. 0. ... 0. 0.]"),
        ({"sweep.labels": ("bad:few",)}, "config.sweep.labels: the rows of bad:few holds float64, shape 3; wanted N x K numbers"),
        ({"sweep.labels": ("bad:falls",)}, "config.sweep.labels: bad:falls: FOLDER/bad.py, line 26: ZeroDivisionError: "),
        ({"sweep.labels": ("mine:warmup|topk(1)",)}, "config.sweep.labels: mine:warmup cannot be used as label source: it should take first images, labels; it takes progress, share"),
        ({"student.schedule": "bad:branch"}, "config.student.schedule: bad:branch: FOLDER/bad.py, line 5: TracerBoolConversionError: "),
        ({"student.schedule": "bad:pair"}, "config.student.schedule: bad:pair should give float32 [], got float32 [2]"),
        ({"student.augment": "bad:cut"}, "config.student.augment: bad:cut should give float32 [8, 8, 1], got float32 [7, 8, 1]"),
        ({"sweep.labels": ("hard|bad:shorter",)}, "config.sweep.labels: bad:shorter should return 10 floats, got float32 of shape (9,)"),
        ({"select": "bad:first"}, "config.select: bad:first should return images of class k in row k"),
        ({"select": "bad:anew"}, "config.select: bad:anew should return for ipc=1 the first columns of ipc=2"),
        ({"student.model": "bad:missing"}, "config.student.model: module bad has no function 'missing'; it has: "),
        ({"student.model": "bad:wide"}, "config.student.model: model 'bad:wide' failed on images (2, 8, 8, 1): FOLDER/bad.py, line 22: TypeError: "),
        ({"student.model": "nowhere:net"}, "config.student.model: module nowhere not found beside FOLDER/study.py nor on sys.path"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_in_one_line(changes, told, tmp_path):
    file = written(tmp_path, changes=changes)
    (tmp_path / "bad.py").write_text(BAD)
    settings = lambda: arguments.settings([f"--config={file}"])[0]  # noqa: E731
    if told is None:
        run._checked(settings())
        return
    with pytest.raises((config.errors.ConfigError, config.errors.DataError)) as caught:
        run._checked(settings())
    assert told.replace("FOLDER", str(tmp_path)) in str(caught.value)
    assert "\n" not in str(caught.value)


BAD = """import numpy as np
import jax.numpy as jnp
from jaxsoft.training.augment import Augmentation
def branch(progress):
    return 1.0 if progress > 0.5 else 0.5
def pair(progress):
    return jnp.ones(2)
def nothing(learning_rate, weight_decay):
    return None
def cut():
    return Augmentation(0, lambda image, u, step_u: image[1:])
def shorter(row):
    return row[1:]
def first(labels, ipc, key):
    return np.arange(ipc * 10).reshape(10, ipc)
def anew(labels, ipc, key):
    return np.stack([np.flatnonzero(labels == c)[ipc : 2 * ipc] for c in range(10)])
import flax.linen as nn
class wide(nn.Module):
    num_classes: int
    def __call__(self, x, **_):
        return x + "a"
def few(images, labels):
    return np.ones(3)
def falls(images, labels, class_names):
    return len(class_names) / 0
def each(logits, row):
    return logits * row
def logarithm(logits, row):
    return (row * jnp.log(row) - row * logits).sum()
"""
