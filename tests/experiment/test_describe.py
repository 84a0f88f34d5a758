"""What is said of teachers that are not what was wanted."""

import json

import numpy as np
import pytest
import tiny_run as tiny

from jaxsoft import errors
from jaxsoft.experiment import run
from jaxsoft.experiment.plan import checks
from jaxsoft.experiment.store.folder import FREE
from jaxsoft.experiment.teach import experts
from jaxsoft.experiment.tell import describe

LABELS = np.repeat(np.arange(10), 20)  # 200 validation images: chance is 10%, and luck goes to 16.4%


def history(*accuracies):
    return [{"epoch": i, "train_loss": 1.0, "val_accuracy": a, "label_entropy": 1.0} for i, a in enumerate(accuracies)]


def warnings(changes, *histories, labels=LABELS):
    return describe.warning_lines(tiny.settings(changes), histories, labels)


def test_an_expert_at_chance_is_named():
    told = warnings({"teacher.experts": 3}, history(0.1, 0.9), history(0.1, 0.9, 0.16), history(0.1, 0.165))
    assert told == [
        "warning: expert 1 knows nothing: 16.0% validation accuracy after epoch 2, and up to 16.4% is chance; "
        "change config.teacher.learning_rate or config.teacher.epochs, or look at the data"
    ]


def test_chance_is_the_share_of_the_largest_class():
    labels = np.repeat([0, 1], [180, 20])
    assert warnings({}, history(0.5, 0.96), labels=labels) and not warnings({}, history(0.5, 0.97), labels=labels)


EXPECTED = {
    "teacher.expected": ("1:0.56", "2:0.65", "3:0.75"),
    "teacher.experts": 2,
    "sweep.labels": ("hard", "teacher(epoch=1)|topk(2)", "teacher(epoch=1)", "teachers(2, epoch=2)", "teacher(1, 3)"),
}


def test_a_teacher_far_from_what_the_config_was_written_for_is_told_once():
    told = warnings(EXPECTED, history(0.1, 0.421, 0.6, 0.75), history(0.1, 0.3, 0.69, 0.81))
    assert told == [
        "warning: teacher(epoch=1) has 42.1% validation accuracy, and this config was written for 56.0%: expect other "
        "numbers than its own, or name the teacher by accuracy=0.56 in config.sweep.labels",
        "warning: teacher(expert=1, epoch=3) has 81.0% validation accuracy, and this config was written for 75.0%: "
        "expect other numbers than its own, or name the teacher by accuracy=0.75 in config.sweep.labels",
    ]
    assert warnings(EXPECTED, history(0.1, 0.52, 0.6, 0.75), history(0.1, 0.3, 0.69, 0.79)) == []


USED = {"teacher.experts": 3, "sweep.labels": ("hard", "teachers(3, epoch=2)|topk(2)", "teacher(expert=1, epoch=3)")}
GOOD = (0.1, 0.8, 0.9, 0.95)


def test_an_expert_that_falls_at_an_epoch_that_labels_use_is_named():
    told = warnings(USED, history(0.1, 0.8, 0.69, 0.95), history(0.1, 0.85, 0.9, 0.79), history(0.1, 0.3, 0.69, 0.4))
    assert told == [
        "warning: expert 0 has 69.0% validation accuracy after epoch 2, which labels use, against 80.0% at its best "
        "before; lower config.teacher.learning_rate, or use another epoch",
        "warning: expert 1 has 79.0% validation accuracy after epoch 3, which labels use, against 90.0% at its best "
        "before; lower config.teacher.learning_rate, or use another epoch",
    ]


def test_an_expert_far_behind_the_others_is_named_but_not_beside_another_architecture():
    late = history(0.1, 0.5, 0.69, 0.95)
    (told,) = warnings(USED, history(*GOOD), late, history(*GOOD))
    assert (
        told.startswith("warning: expert 1 has 69.0% validation accuracy after epoch 2") and "90.0% of others" in told
    )
    other = USED | {"teacher.models": ("mlp", "mlp(hidden=8)", "mlp")}
    assert warnings(other, history(*GOOD), late, history(*GOOD)) == []


def test_what_labels_do_not_use_may_fall():
    assert warnings(USED, *[history(0.1, 0.9, 0.85, 0.95)] * 2, history(0.1, 0.9, 0.85, 0.3)) == []
    assert warnings(USED, *[history(0.1, 0.9)] * 3) == []  # a dry run asks before that epoch is there


def test_an_open_epoch_is_looked_at_too():
    changes = EXPECTED | {"sweep.labels": ("teacher",), "sweep.axes": (), "sweep.teacher_epoch": (1, 2)}
    (told,) = warnings(changes, history(0.1, 0.421, 0.65, 0.75), history(0.1, 0.3, 0.69, 0.81))
    assert told.startswith("warning: teacher(epoch=1) has 42.1%")


def test_a_teacher_far_above_the_accuracy_that_it_was_named_by_is_told():
    changes = {"sweep.labels": ("hard", "teacher(accuracy=0.56)|topk(2)", "teacher(accuracy=0.9)")}
    told = warnings(changes, history(0.1, 0.7, 0.92))
    assert told == [
        "warning: teacher(accuracy=0.56) is teacher(epoch=1), with 70.0% validation accuracy: no epoch lies between; "
        "lower config.teacher.learning_rate for a finer choice"
    ]


def test_what_an_accuracy_stands_for_is_told_with_what_was_reached():
    settings = tiny.settings({"sweep.labels": ("hard", "teacher(accuracy=0.56)|topk(2)")})
    (told,) = describe.resolved_lines(settings, [history(0.1, 0.5, 0.583)])
    assert told == "  teacher(accuracy=0.56)|topk(2) resolves to teacher(epoch=2)|topk(2), 58.3% validation accuracy"


@pytest.mark.parametrize("text", ["20", "a:0.5", "3:1.5", "-1:0.5", "3:nan"])
def test_an_expectation_that_is_none_is_refused(text):
    with pytest.raises(
        errors.ConfigError, match=r"^config\.teacher\.expected expects epoch:accuracy, such as 11:0.192"
    ):
        checks.check(tiny.settings({"teacher.expected": (text,)}))


def test_a_run_warns_and_its_report_and_dry_run_too(tmp_path, capsys, kept_programs):
    few = {"sweep.ipc": (1,), "sweep.seed": (0,), "teacher.epochs": 1, "sweep.labels": ("hard", "teacher(epoch=1)")}
    file = tiny.config_file(tmp_path, few | {"teacher.learning_rate": 1e-9, "teacher.expected": ("1:0.9",)})
    assert tiny.command(file, tmp_path / "run") == 0
    told = json.loads((tmp_path / "run" / "teachers.json").read_text())["warnings"]
    assert [line.split(" has")[0].split(" knows")[0] for line in told] == [
        "warning: expert 0",
        "warning: teacher(epoch=1)",
    ]
    shown = capsys.readouterr().out
    assert all(line in shown for line in told)
    assert all(line in (tmp_path / "run" / "summary.md").read_text() for line in told)
    settings = tiny.settings(few | {"teacher.learning_rate": 1e-9, "teacher.expected": ("1:0.9",)})
    assert all(line in run.dry_run(settings, tmp_path / "run") for line in told)


def test_of_experts_that_were_not_validated_nothing_is_warned():
    settings = tiny.settings({"sweep.labels": ("hard", "teacher(epoch=0)"), "teacher.expected": ("0:0.9",)})
    history = [{"epoch": 0, "val_accuracy": None, "label_entropy": None}]
    assert describe.warning_lines(settings, [history], np.arange(10)) == []


def test_expectations_change_no_number_and_no_identity():
    data = run.load(tiny.settings())
    keys = {
        experts.teacher_key(tiny.settings(changes).teacher, data, "none", "float32")
        for changes in ({}, EXPECTED)
        if not changes or changes.pop("teacher.experts")
    }
    assert len(keys) == 1
    assert "config.teacher.expected".startswith(FREE)


def test_a_plan_above_the_memory_that_is_allowed_says_that_it_is_tried(tmp_path):
    told = "MB allowed, which no smaller wave would keep; it is tried all the same"
    assert told in run.dry_run(tiny.settings({"compute.memory_gb": 1e-6}), tmp_path / "run")
    assert "no smaller wave" not in run.dry_run(tiny.settings(), tmp_path / "run")
