"""Users' own functions, from a config in a folder of its own: the page that tells of them is true, and keys know them."""

import csv
import re
import sys
from pathlib import Path

import pytest
import tiny_run as tiny

from jaxsoft import config
from jaxsoft.command import arguments
from jaxsoft.experiment import run
from jaxsoft.experiment.plan import checks

pytestmark = pytest.mark.usefixtures("kept_programs")

CODE = re.findall(r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "own.md").read_text(), re.DOTALL)
STUDY, MINE = CODE[0], "\n\n".join(CODE[1:])
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
    assert len(CODE) == 8 and all(len(code.splitlines()) <= 15 for code in CODE)
    found = rows(finished / "run")
    assert set(found) == {"hard", "teacher(epoch=5)|mine:floor(least=0.01)"}
    assert {(row["model"], row["select"], row["status"]) for row in found.values()} == {
        ("mine:Small(width=8)", "mine:shuffled", "done")
    }
    assert not any(str(finished) in entry for entry in sys.path)
    assert not list(finished.glob("__pycache__"))


def test_a_run_goes_on_from_another_folder_and_knows_what_was_edited(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert tiny.command(finished / "study.py", finished / "run") == 0
    assert "students: 0 of 2 left" in capsys.readouterr().out
    before = rows(finished / "run")
    written(finished, MINE.replace("row, least)", "row, 2 * least)").replace("def floor", "# a word\ndef floor"))
    assert tiny.command(finished / "study.py", finished / "run") == 0
    told = capsys.readouterr().out
    assert "edited since this run began: label operation mine:floor; students that use it are trained again" in told
    assert "students: 1 of 2 left" in told
    after = rows(finished / "run")
    assert {name for name in after if after[name] != before[name]} == {"teacher(epoch=5)|mine:floor(least=0.01)"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"student.optimizer": "mine:warmup"}, "config.student.optimizer: mine:warmup cannot be used as optimizer: it should take first learning_rate, weight_decay; it takes progress, share"),
        ({"student.optimizer": "bad:nothing"}, "config.student.optimizer: bad:nothing should return an optax.GradientTransformation, got NoneType"),
        ({"student.schedule": "mine:warmup(1)"}, None),
        ({"student.schedule": "mine:warmup(share=true)"}, "share expects float, got True; usage: mine:warmup(share: float=0.1)"),
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
        return checks.check_data(checks.check(settings()), run.load(settings()))
    with pytest.raises(config.errors.ConfigError) as caught:
        checks.check_data(checks.check(settings()), run.load(settings()))
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
"""
