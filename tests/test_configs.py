"""Every file of configs/ says what it claims, and is a config that a run would accept for every dataset."""

import ast
import functools
import re
import runpy
from pathlib import Path

import pytest

from jaxsoft import config, data, errors, presets
from jaxsoft.experiment.plan import checks, sweep

FOLDER = Path(__file__).parents[1] / "configs"
FILES = sorted(FOLDER.glob("*.py"))
BASELINES = (
    "digits",
    "cifar10",
    "cifar100",
    "tiny_imagenet",
    "imagenet",
    "imagenet64",
)  # one dataset each; the others take `data=`
EXPERIMENTS = [path for path in FILES if path.stem not in BASELINES]
each = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
each_experiment = pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)


@functools.cache
def get_config(path):
    return runpy.run_path(str(path))["get_config"]


@functools.cache
def settings(path, argument=None):
    return config.read(get_config(path)(argument))


@functools.cache
def least_steps(read):
    """Of all students together, if an epoch were one step."""
    return sum(member.steps or member.epochs for member in sweep.expand(read))


def test_there_are_configs():
    assert set(BASELINES) < {path.stem for path in FILES}
    assert len(EXPERIMENTS) == 26


@each
def test_the_header_says_what_is_claimed_and_how_to_see_it(path):
    header = ast.get_docstring(ast.parse(path.read_text())) or ""
    words = dict(re.findall(r"^ *([A-Z][a-z]+)  +(\S.*)$", header, re.MULTILINE))
    assert {"Claim", "Command", "Expected", "Quick"} < set(words)
    assert path.stem in (*BASELINES[1:], "survey") or re.match(r"[0-9.]+ min on (moving_)?digits", words["Time"])
    assert ("Figure" in words) != ("Table" in words)
    assert f"jaxsoft run {path.stem}" in words["Command"]
    assert len(path.read_text().splitlines()) <= 45


@each
@pytest.mark.parametrize("argument", [None, "quick"])
def test_a_run_would_accept_it(path, argument):
    checks.check(settings(path, argument))


@each_experiment
@pytest.mark.parametrize("name", [*BASELINES[1:], "tfds:letters"])
@pytest.mark.parametrize("quick", ["", ",quick"])
def test_a_run_would_accept_it_for_other_data(path, name, quick):
    read = settings(path, f"data={name},classes={'26' if ':' in name else '0'},seeds=1{quick}")
    assert read.data.name == name and read.name == path.stem + "-{data}" + "-quick" * bool(quick)
    checks.check(read)


@each
def test_quick_is_less_work(path):
    whole, quick = settings(path), settings(path, "quick")
    assert quick.teacher.epochs < whole.teacher.epochs
    assert least_steps(quick) < least_steps(whole)
    assert max(quick.sweep.ipc) <= max(whole.sweep.ipc) and len(set(quick.sweep.ipc)) <= len(set(whole.sweep.ipc))
    assert settings(path, "quick=false") == whole


@each_experiment
def test_it_fits_digits_and_takes_minutes(path):
    read = settings(path)
    checks.check_data(settings(path, "seeds=1"), builtin(read.data.name))
    assert 25_000 <= least_steps(read) <= 1_200_000  # 672_000 take 3.3 min on two cores


@functools.cache
def builtin(name):
    return data.load(name, validation=0.2)


@pytest.mark.parametrize("name", BASELINES)
def test_the_experiments_of_a_dataset_share_their_experts(name):
    alone = {"committee", "cross_architecture"}  # have experts of their own
    teachers = {settings(p, f"data={name},experts=5").teacher for p in EXPERIMENTS if p.stem not in alone}
    assert len(teachers) == 1
    assert teachers.pop().store == presets.STORE


@each
def test_an_unknown_argument_is_refused_with_the_choices(path):
    with pytest.raises(errors.ConfigError, match=r"^unknown config argument 'quik'; choices: quick"):
        get_config(path)("quik")


@pytest.mark.parametrize("path", [p for p in FILES if p.stem != "digits"], ids=lambda path: path.stem)
def test_the_papers_protocol_can_be_asked_for(path):
    assert settings(path, "protocol=paper").protocol == "paper"
    with pytest.raises(errors.ConfigError, match=r"^config\.protocol expects one of sealed, paper, both, got 'test'$"):
        settings(path, "protocol=test")


@pytest.mark.parametrize("name", ["swap", "topk", "zero_shot"])
def test_what_depends_on_the_number_of_classes_asks_for_it(name):
    with pytest.raises(errors.ConfigError, match=r"^config argument classes expects .* of tfds:letters, such as"):
        settings(FOLDER / f"{name}.py", "data=tfds:letters")
    assert "|swap(25)" in settings(FOLDER / "swap.py", "data=tfds:letters,classes=26").sweep.labels[-1]
