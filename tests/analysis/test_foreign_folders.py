"""Run folders that are damaged, foreign or hostile: a report of what can be read, or one line that names the file."""

import csv
import errno
import json
import os
import random

import numpy as np
import pytest
import synthetic

from jaxsoft import errors, files
from jaxsoft.analysis import report
from jaxsoft.analysis.reading import read, results

NAMES = (
    "results.csv",
    "config.json",
    "plan.json",
    "env.json",
    "timing.json",
    "teachers.json",
    "learned.json",
    "examples.npz",
)
STORY = {
    "model": "mlp",
    "subsets": [
        {
            "ipc": 1, "hard_val_accuracy": 0.5, "references": [{"labels": "teacher", "val_accuracy": 0.6, "entropy": 0.3}],
            "looks": [
                {"outer_step": step, "val_accuracy": 0.5, "entropy": 0.2, "divergence": {"teacher": 0.1}} for step in (0, 5)
            ],
        }
    ] * 3,
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A small run folder: the content of each of its files."""
    folder = tmp_path_factory.mktemp("whole")
    synthetic.write_run(folder, synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(5, 20)))
    synthetic.write_samples(folder / "examples.npz", train=20, validation=20)
    (folder / "learned.json").write_text(json.dumps(STORY))
    return {name: (folder / name).read_bytes() for name in NAMES}


def altered(content, rng):
    """The content with a few bytes changed, cut off, doubled, or with one JSON value in the place of another."""
    kind = rng.choice(["bytes", "cut", "swap", "type", "type"])
    if kind == "type" and content[:1] == b"{":
        return json.dumps(_retyped(json.loads(content), rng)).encode()
    if kind == "cut":
        return content[: rng.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 10])):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    if kind == "swap":
        a, b = sorted(rng.randrange(len(content)) for _ in range(2))
        changed[a:b] = changed[a:b][::-1]
    return bytes(changed)


def _retyped(value, rng):
    """One value of a document, at any depth, replaced by something of another type, or taken away."""
    if isinstance(value, (dict, list)) and value and rng.random() < 0.85:
        key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
        if rng.random() < 0.1:
            del value[key]
        else:
            value[key] = _retyped(value[key], rng)
        return value
    return rng.choice([None, True, -1, 0, 1e308, float("nan"), "x", "", [], [1], {}, {"a": []}, 10**30, "\x1b[2J"])


def survive(folder, whole, tries, seed=0):
    """Alter each file in turn; return how many reports were written, and how many refused in a line."""
    rng, written, refused = random.Random(seed), 0, 0
    for turn in range(tries):
        for name, content in whole.items():
            (folder / name).write_bytes(content)
        name = NAMES[turn % len(NAMES)]
        (folder / name).write_bytes(altered(whole[name], rng))
        try:
            report.write_report([folder])
            written += 1
        except errors.JaxsoftError as problem:
            assert "\n" not in str(problem) and str(problem).isprintable(), (seed, turn)
            refused += 1
    return written, refused


@pytest.mark.loses
def test_a_damaged_file_is_refused_in_a_line_or_left_out(tmp_path, whole, no_drawing, few_draws):
    written, refused = survive(tmp_path, whole, 40)
    assert written > 25 and refused > 1  # results alone are needed


@pytest.mark.long
@pytest.mark.loses
def test_damaged_files_by_the_thousand(tmp_path, whole, no_drawing, few_draws):
    written, refused = survive(tmp_path, whole, 8000, seed=1)
    print(f"{written} reports written, {refused} refused")
    assert written > 5000 and refused > 250


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.loses
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, whole, no_drawing, few_draws, caplog, name, kind):
    for other, content in whole.items():
        (tmp_path / other).write_bytes(content)
    (tmp_path / name).unlink()
    if kind == "pipe":
        os.mkfifo(tmp_path / name)
    elif kind == "device":
        (tmp_path / name).symlink_to("/dev/zero")
    else:
        (tmp_path / name).mkdir()
    if name == "results.csv":
        with pytest.raises(errors.DataError, match=f"cannot read .*{name}: it is a .*, not a regular file"):
            report.write_report([tmp_path])
        return
    text = (report.write_report([tmp_path]).parent / "summary.md").read_text(encoding="utf-8")
    if name == "learned.json":  # a question reads it, and alone is left out
        assert "## This question could not be answered" in text and "not a regular file" in text
    else:
        assert f"Left out, because it is damaged in the run folder: `{name}`." in text
        assert f"(`{name}`)" not in text  # it is not said to be missing
        assert f"without {name}: cannot read" in caplog.text and "not a regular file" in caplog.text


@pytest.mark.loses
def test_what_a_question_stumbles_over_costs_that_question_alone(tmp_path, no_drawing, few_draws, monkeypatch, caplog):
    from jaxsoft.analysis.questions import prediction

    def fail(rows, runs):
        raise KeyError("`<b>\x1b[2J")

    synthetic.write_run(tmp_path, synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(5, 20)))
    monkeypatch.setattr(prediction, "answer", fail)
    text = (report.write_report([tmp_path]).parent / "summary.md").read_text(encoding="utf-8")
    assert "## This question could not be answered" in text and "\x1b" not in text
    assert "## Each budget in numbers" in text and "## How these numbers were made" in text
    assert "the question of prediction" in caplog.text and len(caplog.records) == 1


def test_every_part_may_fail_by_itself():
    lost = []
    assert report._tried("it", lost, "instead", lambda: "made") == "made" and not lost
    with pytest.raises(KeyboardInterrupt):
        report._tried("it", lost, "instead", lambda: (_ for _ in ()).throw(KeyboardInterrupt))


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("nothing", ["", "nan", "NaN", "<NA>"])
@pytest.mark.parametrize("counter", ["", "Unnamed: 0", "index"])
def test_a_table_that_a_data_frame_wrote_means_the_same(tmp_path, ending, nothing, counter):
    members = synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5,))
    members[0].update(status="failed", test_accuracy=None, val_accuracy=None, first_bad_step=3)

    def text(name, value, i):
        if value is None:
            return nothing
        return f"{float(value)}" if name in ("ipc", "seed", "steps", "teacher_epoch", "first_bad_step") else str(value)

    names = sorted(members[0], reverse=True)
    with open(tmp_path / "results.csv", "w", newline="", encoding="utf-8-sig") as file:
        table = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=ending)
        table.writerow([counter, *names, "flag"])
        table.writerows([i, *(text(name, row[name], i) for name in names), "True"] for i, row in enumerate(members))
    found = results.read_results(tmp_path)
    assert [{name: row[name] for name in members[0]} for row in found] == members
    assert {row["flag"] for row in found} == {"True"} and set(found[0]) == {*members[0], "flag"}
    assert all(type(row["ipc"]) is int for row in found)


@pytest.mark.parametrize("value", ["1.5", "inf", "1e400", "three", "nan"])
def test_a_number_that_is_no_integer_is_refused(tmp_path, value):
    members = synthetic.rows(seeds=1, ipcs=(1,), epochs=(5,))
    synthetic.write_csv(tmp_path / "results.csv", [{**row, "ipc": value} for row in members])
    with pytest.raises(errors.DataError, match="line 2: ipc (expects an integer, got|is empty)"):
        results.read_results(tmp_path)


@pytest.mark.parametrize("labels", ["<script>", "teacher(", "a b", "\x1b[2J"])
def test_a_label_spec_that_is_none_is_refused(tmp_path, labels):
    synthetic.write_csv(tmp_path / "results.csv", [synthetic.row(1, labels, 0, 0.5)])
    with pytest.raises(errors.DataError, match="line 2: labels expects a label spec") as found:
        results.read_results(tmp_path)
    assert str(found.value).isprintable()


def test_every_distinct_start_of_a_run_is_told(tmp_path, whole, no_drawing, few_draws):
    for name, content in whole.items():
        (tmp_path / name).write_bytes(content)
    starts = [
        {"device": "cpu", "commit": "aaa"},
        {"device": "cpu", "commit": "aaa"},
        {"device": "gpu", "commit": "bbb"},
    ]
    (tmp_path / "env.json").write_text(json.dumps(files.seal({"starts": starts})))
    text = (report.write_report([tmp_path]).parent / "summary.md").read_text(encoding="utf-8")
    assert text.count("Versions and device (`env.json`)") == 2
    assert text.count("`aaa`") == text.count("`bbb`") == 1 and "sha256" not in text


def test_learned_labels_of_nonsense_are_refused(tmp_path):
    from jaxsoft.analysis.reading import stories

    for change in (
        {"looks": []},
        {"hard_val_accuracy": "x"},
        {"ipc": 0},
        {"references": 3},
        {"hard_val_accuracy": float("nan")},
    ):
        story = {"model": "mlp", "subsets": [STORY["subsets"][0] | change]}
        (tmp_path / "learned.json").write_text(json.dumps(story))
        with pytest.raises(errors.DataError, match="cannot read .*learned.json"):
            stories.read_stories(tmp_path)


@pytest.fixture
def written(tmp_path, whole, no_drawing, few_draws):
    """A run folder with its report."""
    folder = tmp_path / "run"
    folder.mkdir()
    for name, content in whole.items():
        (folder / name).write_bytes(content)
    report.write_report([folder])
    return folder


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.is_symlink()}


def test_plots_that_are_a_link_are_not_followed(written, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for path in (written / "plots").iterdir():
        path.unlink()
    (written / "plots").rmdir()
    (written / "plots").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(errors.CheckpointError, match="cannot write the report to .*: plots is a link"):
        report.write_report([written])
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_file_in_the_place_of_plots_is_named(written, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "plots").write_text("mine")
    with pytest.raises(errors.CheckpointError, match="cannot write the report to .*out: File exists"):
        report.write_report([written], tmp_path / "out")


def test_links_in_the_place_of_files_are_replaced(written, tmp_path):
    (tmp_path / "victim").write_text("mine")
    for name in ("summary.md", "report.html", "plots/accuracy.png"):
        (written / name).unlink()
        (written / name).symlink_to(tmp_path / "victim")
    report.write_report([written])
    assert (tmp_path / "victim").read_text() == "mine" and not (written / "summary.md").is_symlink()


@pytest.mark.parametrize("turn", [0, 2])
def test_a_full_disk_leaves_the_earlier_report_whole(written, monkeypatch, turn):
    before, turns, whole = contents(written), iter(range(100)), files.replace

    def full(path, content):
        if next(turns) >= turn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        whole(path, content)

    synthetic.write_csv(written / "results.csv", synthetic.rows(seeds=3, ipcs=(1, 5), epochs=(5,)))
    before |= {p: c for p, c in contents(written).items() if p.name == "results.csv"}
    monkeypatch.setattr(files, "replace", full)
    with pytest.raises(errors.CheckpointError, match="cannot write the report to .*: No space left"):
        report.write_report([written])
    assert contents(written) == before


def test_figures_of_an_earlier_report_are_taken_away_and_others_left(written):
    (written / "plots" / "mine.png").write_bytes(b"")
    before = {p.name for p in (written / "plots").iterdir()}
    synthetic.write_csv(written / "results.csv", synthetic.rows(seeds=3, ipcs=(1, 5), epochs=()))
    report.write_report([written])
    after = {p.name for p in (written / "plots").iterdir()}
    assert "mine.png" in after and "difference.png" in before - after and "accuracy.png" in after


def test_an_archive_of_examples_that_would_fill_the_memory_is_refused(tmp_path, whole):
    np.savez_compressed(tmp_path / "examples.npz", images=np.zeros(2**29, np.uint8))
    with pytest.raises(errors.DataError, match="examples.npz: it unpacks to"):
        read.read_examples(tmp_path / "examples.npz")
