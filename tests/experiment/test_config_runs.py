"""Every experiment of configs/ really runs, quick and on digits, and its report answers the question that it asks."""

import importlib
from pathlib import Path

import pytest
import tiny_run as tiny

from jaxsoft.analysis.grid import finished
from jaxsoft.analysis.read import read_run

pytestmark = pytest.mark.usefixtures("kept_programs")

CONFIGS = Path(__file__).parents[2] / "configs"
QUESTIONS = {  # config -> the module of jaxsoft/analysis/questions that answers
    "cross_architecture": "architectures",
    "expert_ensemble": "pooling",
    "learned_labels": "learned",
    "learning_rate": "rates",
    "optimism": "optimism",
    "selection": "selection",
    "shuffle": "shuffle",
    "smoothing": "sources",
    "swap": "swap",
    "teacher_epoch": "epochs",
    "temperature": "temperature",
    "topk": "knowledge",
    "variance": "variance",
    "zero_shot": "zero_shot",
}
TITLES = {  # these two ask what every report answers
    "frontier": "of the teacher is chosen at every budget",
    "soft_vs_hard": "Soft labels win at",
}


def test_every_experiment_is_here():
    baselines = {"digits", "cifar10", "cifar100", "tiny_imagenet"}
    assert {path.stem for path in CONFIGS.glob("*.py")} - baselines == QUESTIONS.keys() | TITLES.keys()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Where all experiments find the experts that the first one trained."""
    return tmp_path_factory.mktemp("teachers")


@pytest.mark.parametrize("name", sorted(QUESTIONS | TITLES))
def test_a_quick_run_answers_its_question(name, store, tmp_path):
    assert tiny.command(f"{CONFIGS / name}.py:quick", tmp_path / name, f"--config.teacher.store={store}") == 0
    summary, run = (tmp_path / name / "summary.md").read_text(), read_run(tmp_path / name)
    assert len(run.rows) == len(finished(run.rows)) == len(run.plan["members"])
    if name in TITLES:
        assert TITLES[name] in summary
        return
    sections = importlib.import_module(f"jaxsoft.analysis.questions.{QUESTIONS[name]}").answer(run.rows, [run])
    assert sections and all(section.title in summary for section in sections)
    assert summary.partition("\n")[0] == f"# {sections[0].title}"


def test_experts_are_trained_once(store):
    """Cross-architecture has experts of its own; all others share theirs."""
    assert len([path for path in store.iterdir() if path.is_dir()]) == 2
