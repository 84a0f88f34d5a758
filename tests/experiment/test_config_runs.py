"""Every experiment of configs/ really runs, quick and on digits, and its report answers the question that it asks."""

import functools
import importlib
from pathlib import Path

import pytest
import tiny_run as tiny

from jaxsoft.analysis import questions
from jaxsoft.analysis.reading.read import read_run
from jaxsoft.analysis.statistics import groups

CONFIGS = Path(__file__).parents[2] / "configs"
QUESTIONS = {  # config -> the modules of jaxsoft/analysis/questions that answer
    "committee": ("committee",),
    "cross_architecture": ("architectures",),
    "expert_ensemble": ("pooling",),
    "feature_labels": ("feature_labels",),
    "gift": ("optimizers",),
    "imagenet": ("architectures",),
    "hard_truths": ("coresets", "selection"),
    "label_bytes": ("label_bytes",),
    "learned_labels": ("learned",),
    "learning_rate": ("rates",),
    "clips": ("clips",),
    "compare": ("compare",),
    "loss": ("losses", "rates"),
    "optimism": ("optimism",),
    "selection": ("selection",),
    "shuffle": ("shuffle",),
    "smoothing": ("sources", "pooling"),
    "survey": ("swap", "shuffle", "temperature", "pooling", "zero_shot"),
    "swap": ("swap",),
    "teacher_epoch": ("epochs",),
    "teachers_apart": ("teachers_apart", "temperature"),
    "temperature": ("temperature",),
    "topk": ("knowledge",),
    "variance": ("variance",),
    "zero_shot": ("zero_shot",),
}
# These two ask what every report answers; a frontier of few budgets is told epoch by epoch.
PICTURES = {"frontier": "epochs", "soft_vs_hard": "difference"}


def test_every_experiment_is_here():
    baselines = {"digits", "cifar10", "cifar100", "tiny_imagenet", "imagenet64"}
    assert {path.stem for path in CONFIGS.glob("*.py")} - baselines == QUESTIONS.keys() | PICTURES.keys()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Where all experiments find the experts that the first one trained."""
    return tmp_path_factory.mktemp("teachers")


@pytest.mark.parametrize("name", sorted(QUESTIONS.keys() | PICTURES.keys()))
def test_a_quick_run_answers_its_question(name, store, tmp_path):
    assert (
        tiny.command(f"{CONFIGS / name}.py:quick", tmp_path / name, f"--config.teacher.store={store}", pictures=True)
        == 0
    )
    summary, run = (tmp_path / name / "summary.md").read_text(), read_run(tmp_path / name)
    assert {row["status"] for row in run.rows} == {"done"} and len(run.rows) == len(run.plan["members"])
    assert name not in PICTURES or f"plots/{PICTURES[name]}.png" in summary
    split = functools.partial(groups.groups, groups.tidy(run.rows))
    for question in QUESTIONS.get(name, ()):
        sections = questions.ask(importlib.import_module(f"jaxsoft.analysis.questions.{question}"), split, [run])
        assert sections and all(section.title in summary for section in sections)


def test_experts_are_trained_once(store):
    """Committees, cross-architecture and imagenet have experts of their own, of two architectures, feature labels and clips of one;
    all others share theirs."""
    assert len([path for path in store.iterdir() if path.is_dir()]) == 2 + 2 + 2 + 1 + 1 + 1
