"""Run folders read back, and what a user is told when they are damaged."""

import json

import numpy as np
import pytest
import synthetic

from jaxsoft import errors
from jaxsoft.analysis.reading import read, results

GOOD = synthetic.row(5, "teacher(epoch=11)|topk(3)", 1, 0.5, epoch=11, member="0123456789ab")


def write(path, header, *lines):
    path.write_text("\n".join([",".join(header), *lines]) + "\n", encoding="utf-8")


def line(**changes):
    """The good row as a line, labels quoted because they may hold commas."""
    row = {k: "" if v is None else str(v) for k, v in {**GOOD, **changes}.items()}
    return ",".join(f'"{value}"' for value in row.values())


def test_values_come_back_as_they_were_written(tmp_path):
    rows = synthetic.rows(seeds=2, ipcs=(1, 5), epochs=(5,))
    rows[0].update(labels="teachers(n=3, epoch=11)|topk(3)", test_accuracy=0.1 + 0.2)
    rows[1].update(status="failed", val_accuracy=None, test_accuracy=None, first_bad_step=7)
    synthetic.write_csv(tmp_path / "results.csv", rows)
    assert results.read_results(tmp_path) == rows
    assert results.read_results(tmp_path / "results.csv") == rows


def test_a_hash_of_digits_stays_text_and_unknown_columns_find_their_type(tmp_path):
    write(tmp_path / "results.csv", [*GOOD, "noise", "selection"], line(member="000123456789") + ",0.25,easiest")
    (row,) = results.read_results(tmp_path)
    assert row["member"] == "000123456789"
    assert (row["noise"], row["selection"]) == (0.25, "easiest")
    assert type(row["teacher_epoch"]) is int


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"ipc": "1.5"}, "line 2: ipc expects an integer, got '1.5'"),
        ({"ipc": "0"}, "line 2: ipc expects an integer >= 1, got 0"),
        ({"seed": ""}, "line 2: seed is empty"),
        ({"test_accuracy": "97.1"}, "line 2: test_accuracy expects a fraction from 0 to 1, got '97.1'"),
        ({"test_accuracy": "nan"}, "line 2: test_accuracy is empty"),
        ({"test_accuracy": ""}, "line 2: test_accuracy is empty"),
        ({"learning_rate": "fast"}, "line 2: learning_rate expects a number, got 'fast'"),
        ({"status": "maybe"}, "line 2: status expects done or failed, got 'maybe'"),
        ({"protocol": "secret"}, "line 2: protocol expects sealed or paper or both, got 'secret'"),
    ],
)
def test_a_wrong_value_is_named_with_its_line(tmp_path, changes, message):
    write(tmp_path / "results.csv", GOOD, line(**changes))
    with pytest.raises(errors.DataError) as found:
        results.read_results(tmp_path)
    assert str(found.value) == f"{tmp_path / 'results.csv'} {message}"


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is empty"),
        (b"\xff\xfe\x00\x01", "is not UTF-8 text"),
        (b"a,b\n1,2\n", "lacks the columns member, dataset"),
        ((",".join(GOOD) + "\n").encode(), "holds no finished member yet"),
        ((",".join(GOOD) + "\n1,2\n").encode(), r"line 2 has 2 fields, the header has 19"),
        ((",".join(GOOD) + '\n"open\n').encode(), "cannot read .*unexpected end of data"),
        ((",".join(GOOD) + f"\n{line()}\n{line()}\n").encode(), "holds a member twice"),
    ],
)
def test_a_malformed_table_is_refused_in_one_line(tmp_path, content, message):
    (tmp_path / "results.csv").write_bytes(content)
    with pytest.raises(errors.DataError, match=message) as found:
        results.read_results(tmp_path)
    assert "\n" not in str(found.value)


def test_missing_results_and_folders_are_named(tmp_path):
    with pytest.raises(errors.DataError, match="no results at .*results.csv"):
        results.read_results(tmp_path)
    with pytest.raises(errors.DataError, match="no run folder at .*nowhere"):
        read.read_run(tmp_path / "nowhere")


def test_joining_takes_shared_members_once_and_fills_columns():
    a = [synthetic.row(1, "hard", 0, 0.5), synthetic.row(1, "hard", 1, 0.6)]
    b = [a[1], {**synthetic.row(1, "hard", 2, 0.7), "loss": 0.1}]
    rows = results.join_results([a, b], ["a", "b"])
    assert [(r["seed"], r["loss"]) for r in rows] == [(0, None), (1, None), (2, 0.1)]


@pytest.mark.parametrize("column, other", [("fingerprint", "ab" * 32), ("protocol", "paper"), ("dataset", "cifar10")])
def test_runs_of_different_data_or_protocol_are_not_joined_unasked(column, other):
    tables = [[synthetic.row(1, "hard", 0, 0.5)], [synthetic.row(1, "hard", 0, 0.5, **{column: other})]]
    with pytest.raises(errors.ConfigError, match=rf"the runs differ in {column} \(a: .*; b: {other[:12]}\); --mix"):
        results.join_results(tables, ["a", "b"])
    assert len(results.join_results(tables, ["a", "b"], mix=True)) == 2


def test_a_run_with_results_alone_is_a_run(tmp_path):
    synthetic.write_csv(tmp_path / "results.csv", [GOOD])
    run = read.read_run(tmp_path)
    assert (run.config, run.plan, run.env, run.timing, run.teachers, run.examples) == ({}, {}, {}, {}, {}, None)


def test_a_whole_run(tmp_path):
    synthetic.write_run(tmp_path, [GOOD], experts=2)
    run = read.read_run(tmp_path)
    assert run.config["student"]["steps"] == 400
    assert len(run.teachers["experts"]) == 2
    assert run.examples is not None
    assert run.examples.images.shape == (5, 8, 8, 1)
    assert run.examples.class_names == tuple("0123456789")
    np.testing.assert_allclose(run.examples.probabilities.sum(-1), 1, rtol=1e-5)


SAID = "; delete it and run the same command again"


@pytest.mark.parametrize(
    "content, said",
    [
        ('{"experts": [', "cannot read {}: not JSON"),
        ("", "cannot read {}: not JSON"),
        ('{"sha256": 3}', "cannot read {}: the record is not what was saved"),
        ("[1]", "{} should hold a JSON object, got list"),
    ],
)
def test_damaged_json_is_named_with_a_way_on(tmp_path, content, said):
    path = tmp_path / "learned.json"
    path.write_text(content)
    with pytest.raises(errors.DataError) as told:
        read.read_json(path)
    assert str(told.value) == said.format(path) + SAID


@pytest.mark.loses
@pytest.mark.parametrize(
    "name", ["config.json", "plan.json", "env.json", "timing.json", "teachers.json", "examples.npz"]
)
def test_what_decides_no_number_is_left_out_where_it_is_damaged(tmp_path, caplog, name):
    synthetic.write_run(tmp_path, [GOOD])
    whole = read.read_run(tmp_path)
    (tmp_path / name).write_bytes(b"{")
    run = read.read_run(tmp_path)
    assert run.damaged == (name,) and whole.damaged == () and run.rows == whole.rows
    assert not getattr(run, name.partition(".")[0])
    assert f"the report goes on without {name}: cannot read" in caplog.text and len(caplog.records) == 1


@pytest.mark.parametrize("name", ["config.json", "results.jsonl"])
def test_a_run_that_has_not_finished_is_told(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(errors.DataError, match="has not finished: it has no results.csv; run the same command again"):
        read.read_run(tmp_path)


@pytest.mark.parametrize(
    "teachers",
    [
        {"experts": 3},
        {"experts": [1]},
        {"experts": [{"expert": 0}]},
        {"experts": [{"expert": 0, "bytes": 0, "history": []}]},
        {"experts": [{"expert": 0, "bytes": "10", "history": []}]},
        {"experts": [{"history": [{"epoch": "first"}]}]},
        {"experts": [{"history": [{"epoch": 0, "val_accuracy": "high"}]}]},
        {"resolved": [1]},
    ],
)
def test_teachers_that_are_not_a_runs_are_refused(tmp_path, teachers):
    (tmp_path / "teachers.json").write_text(json.dumps(teachers))
    with pytest.raises(errors.DataError, match=f"teachers.json does not hold the experts of a run .*{SAID}"):
        read.read_teachers(tmp_path / "teachers.json")


def damage(arrays, name):
    if name == "label out of range":
        arrays["labels"] = arrays["labels"] + np.int32(10)
    if name == "shapes":
        arrays["probabilities"] = arrays["probabilities"][:, :2]
    if name == "NaN":
        arrays["probabilities"] = np.full_like(arrays["probabilities"], np.nan)
    if name == "dtype":
        arrays["images"] = arrays["images"].astype(np.float32)
    if name == "no pickle":
        arrays["class_names"] = np.array([{"a": 1}] * 10, object)
    if name == "missing":
        del arrays["epochs"]
    if name == "nothing":
        arrays["images"], arrays["labels"] = arrays["images"][:0], arrays["labels"][:0]
        arrays["probabilities"] = arrays["probabilities"][:, :0]
    if name == "sample of another type":
        arrays["train_probabilities"] = arrays["train_probabilities"].astype(np.float32)
    if name == "sample above 1":
        arrays["validation_probabilities"] = arrays["validation_probabilities"] * np.float16(2)
    if name == "sample of other epochs":
        arrays["validation_probabilities"] = arrays["validation_probabilities"][1:]
    if name == "half a sample":
        del arrays["train_probabilities"]
    if name == "experts below 0":
        arrays["experts"] = np.array([-1], np.int32)
    return arrays


DAMAGES = ["label out of range", "shapes", "NaN", "dtype", "no pickle", "missing", "nothing"]
DAMAGES += ["sample of another type", "sample above 1", "sample of other epochs", "half a sample", "experts below 0"]


@pytest.mark.parametrize("name", DAMAGES)
def test_damaged_examples_are_refused(tmp_path, name):
    arrays = damage(synthetic.write_samples(tmp_path / "examples.npz"), name)
    np.savez(tmp_path / "examples.npz", **arrays)
    with pytest.raises(errors.DataError, match="cannot read .*examples.npz"):
        read.read_examples(tmp_path / "examples.npz")


def test_samples_of_labels_come_back_and_old_runs_have_none(tmp_path):
    synthetic.write_examples(tmp_path / "old.npz")
    old = read.read_examples(tmp_path / "old.npz")
    assert old is not None and old.train is None and old.validation is None
    arrays = synthetic.write_samples(tmp_path / "new.npz")
    new = read.read_examples(tmp_path / "new.npz")
    assert new is not None and new.train is not None and new.validation is not None
    np.testing.assert_array_equal(new.train.probabilities, arrays["train_probabilities"])
    np.testing.assert_array_equal(new.validation.labels, arrays["validation_labels"])


def test_a_file_that_claims_to_be_examples_and_is_not(tmp_path):
    (tmp_path / "examples.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(errors.DataError, match="cannot read .*examples.npz"):
        read.read_examples(tmp_path / "examples.npz")


SET = {"class_names": ["a"], "image_shape": [2, 2, 1], "images": 3, "bytes": {"images": 12, "labels": 3}}


def test_the_records_of_imported_sets(tmp_path):
    assert read.read_sets(tmp_path / "sets.json") == {}
    (tmp_path / "sets.json").write_text(json.dumps({"x01": SET}))
    assert read.read_sets(tmp_path / "sets.json") == {"x01": SET}


@pytest.mark.parametrize(
    "wrong", [{"bytes": {"images": -1}}, {"images": "3"}, {"class_names": None}, {"bytes": 3}, None]
)
def test_records_that_a_run_does_not_write_are_refused(tmp_path, wrong):
    (tmp_path / "sets.json").write_text(json.dumps({"x01": wrong and {**SET, **wrong}}))
    with pytest.raises(errors.DataError, match=r"sets.json does not hold the imported sets of a run"):
        read.read_sets(tmp_path / "sets.json")
