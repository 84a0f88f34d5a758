"""Shares of a sweep: trained by processes that never meet, and joined to what one process would have left."""

import dataclasses
import json
import shutil
from pathlib import Path
from unittest import mock

import pytest
import test_plan
import tiny_run as tiny

from jaxsoft import errors, main
from jaxsoft.analysis.showing import drawing
from jaxsoft.command import shares as command
from jaxsoft.console import Console
from jaxsoft.experiment import join, run
from jaxsoft.experiment.plan import make
from jaxsoft.experiment.store import folder, manifest, results, shares
from jaxsoft.experiment.students import kept
from jaxsoft.results import Results

CHANGES = {"sweep.seed": (0, 1, 2), "keep.students": "best"}  # 6 members in each of two buckets
SAME = "results.csv", "curves.npz", "plan.json", "teachers.json", "examples.npz"


def joined(*words):
    """`jaxsoft join`; its exit code. Pictures of the report are named and not drawn."""
    with mock.patch.object(drawing, "png", lambda chart: chart.name.encode()):
        return main.main(["join", *map(str, words)])


# Who trains what.


@pytest.mark.parametrize("counts", [(7, 5), (12, 1), (2, 2)])
@pytest.mark.parametrize("parts", [2, 3, 4])
def test_parts_are_together_the_plan_in_its_shapes_and_hold_the_same_members_whatever_the_memory(counts, parts):
    whole = test_plan.by_hand(counts=counts, waves=(tuple((0, n) for n in counts),), block=1)
    large, small = (make.cut(whole, budget, parts) for budget in (10**12, 1))
    assert len(small.waves) > len(large.waves) == parts or counts == (2, 2)
    for plan in (large, small):
        pieces = [plan.part(i, parts) for i in range(parts)]
        assert sum((piece.waves for piece in pieces), ()) == plan.waves
        assert sorted(sum((piece.trained for piece in pieces), ())) == sorted(plan.keys)
        assert {piece.buckets_of(0) for piece in pieces} == {plan.buckets_of()}
        assert [piece.first for piece in pieces] == [i * len(plan.waves) // parts for i in range(parts)]
    assert [large.part(i, parts).trained for i in range(parts)] == [small.part(i, parts).trained for i in range(parts)]


def test_a_whole_plan_is_its_own_only_part_and_one_of_other_parts_is_refused():
    plan = test_plan.by_hand()
    assert plan.part(0, 1) is plan and plan.trained == plan.keys and plan.part(0, 0).trained == ()
    with pytest.raises(errors.CheckpointError, match=f"has {len(plan.waves)} waves, which 7 shares cannot have"):
        plan.part(0, 7)


# One sweep in three shares, in one folder, and as one process does it.


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A config file, and a folder of three shares that are done."""
    base = tmp_path_factory.mktemp("shares")
    file = tiny.config_file(base, CHANGES)
    for i in (1, 2, 0):
        assert tiny.command(file, base / "big", f"--share={i}/3") == 0
    return file, base / "big"


@pytest.fixture
def big(trained, tmp_path):
    """A copy of the three shares."""
    shutil.copytree(trained[1], tmp_path / "big")
    return tmp_path / "big"


def test_joined_shares_are_what_one_process_leaves_with_the_same_plan(trained, big, tmp_path, capsys):
    assert joined(big) == 0
    assert "12 students done" in (said := capsys.readouterr().out) and "last bits" not in said
    (tmp_path / "alone").mkdir()
    shutil.copyfile(big / "plan.json", tmp_path / "alone" / "plan.json")
    assert tiny.command(trained[0], tmp_path / "alone") == 0
    for name in SAME:
        assert (big / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name
    assert manifest.verify(big) == [] and kept.members(big) == kept.members(tmp_path / "alone")
    assert len(json.loads((big / "plan.json").read_text())["waves"]) == 3
    assert len(folder.RunFolder(big).read_json("env.json")["starts"]) == 1  # of equal machines
    listed = manifest.listed(folder.RunFolder(big))
    assert "teachers" in {name.partition("/")[0] for name in listed} and not any(map(shares.is_share, listed))
    # It goes on as any run: there is nothing left, and its networks and labels are at hand.
    with tiny.before_chunk(tiny.never):
        assert tiny.command(trained[0], big) == 0
        assert joined(big) == 0
    with tiny.plain_flags():
        assert manifest.verify(big) == [] and len(Results.load(big).labels(11)) == 20
    # A share that is run again trains nothing.
    with tiny.before_chunk(tiny.never):
        assert tiny.command(trained[0], big, "--share=1/3") == 0


def test_a_share_is_a_run_folder_of_its_own_members(trained):
    first, teachers = Results.load(trained[1] / "share-0-of-3"), str(trained[1] / "teachers")
    assert len(first) == 4 and manifest.verify(trained[1] / "share-0-of-3") == []
    with tiny.plain_flags():
        assert not (trained[1] / "share-0-of-3" / "teachers").exists() and first.experts.store == teachers


def test_a_share_that_is_lost_or_not_whole_is_told_and_what_is_there_can_be_joined(trained, big, tmp_path, capsys):
    shutil.rmtree(big / "share-2-of-3")
    log = big / "share-1-of-3" / results.LOG
    log.write_bytes(b"".join(log.read_bytes().splitlines(True)[:3]))
    assert joined(big) == 4
    assert capsys.readouterr().err.splitlines() == [
        "jaxsoft: share 2 of 3 is not there: the command with --share=2/3 trains it",
        f"share 1 of 3 in {big}/share-1-of-3 has 1 students to go: the command with --share=1/3 goes on",
        "--partial joins what is there",
    ]
    assert not (big / "config.json").exists()
    assert joined(big, "--partial", f"--to={tmp_path}/there") == 0
    assert f"joined in {tmp_path}/there; next: the same command with --workdir=" in capsys.readouterr().out
    assert tiny.command(trained[0], tmp_path / "there") == 0
    assert "students: 5 of 12 left" in capsys.readouterr().out
    assert (tmp_path / "there" / "results.csv").read_bytes().count(b"\n") == 13
    assert manifest.verify(tmp_path / "there") == []


@pytest.mark.parametrize(
    ("harm", "code", "message"),
    [
        (lambda big: shutil.rmtree(big), 4, "there are no shares in "),
        (lambda big: (big / "share-2-of-3").rename(big / "share-2-of-4"), 4, "shares of different sweeps: "),
        (lambda big: (big / "share-0-of-4").mkdir(), 4, "share-0-of-4: it has no plan.json; delete the one that is not wanted"),
        (lambda big: shutil.copytree(big / "share-2-of-3", big.parent / "share-2-of-3"), 4, "share 2 of 3 is there twice: "),
        (lambda big: change(big, "config.json", "sweep", {"seed": [0]}), 4, "other settings: config.sweep"),
        (lambda big: change(big, "plan.json", "identity", {"data": {"fingerprint": "0"}}), 4, "other data and code: "),
        (lambda big: change(big, "plan.json", "members", reversed), 4, "other students"),
        (lambda big: change(big, "teachers.json", "resolved", {"a": "b"}), 4, "other experts; give all shares one --workdir"),
        (lambda big: (big / "share-1-of-3" / "results.csv").write_text("a\n"), 4, "is not what the share left: results.csv: "),
        (lambda big: (big / "config.json").write_text('{"name": "other"}'), 4, "belongs to another config: "),
    ],
)  # fmt: skip
def test_shares_that_are_not_of_one_sweep_are_refused_in_one_line(big, capsys, harm, code, message):
    harm(big)
    words = [big] if not (big.parent / "share-2-of-3").exists() else [big, big.parent / "share-2-of-3"]
    assert joined(*words) == code
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and "Traceback" not in said


def test_students_that_were_trained_twice_with_other_numbers_are_refused(big, capsys):
    """As where a run went on in the folder, and a share too, on another machine."""
    shutil.copyfile(big / "share-0-of-3" / "plan.json", big / "plan.json")
    rows = results.read(big / "share-0-of-3" / results.LOG)
    log = results.ResultsLog(big / results.LOG)
    log.append([{**rows[0], "test_accuracy": 0.0}, {**rows[1], "device": "other"}])
    log.close()
    (big / "config.json").write_bytes((big / "share-0-of-3" / "config.json").read_bytes())
    assert joined(big) == 4
    said = capsys.readouterr().err
    assert f"1 students of {big}/share-0-of-3 have other numbers in {big}, " in said and said.count("\n") == 1
    assert not (big / "students").exists()


def change(big, name, key, value):
    """Other content of a file of the last share, sealed as its own."""
    last = folder.RunFolder(big / "share-2-of-3")
    found = last.read_json(name)
    found[key] = {**found[key], **value} if isinstance(value, dict) else list(value(found[key]))
    last.write_json(name, found)


def test_shares_of_several_folders_are_joined_where_one_says(big, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    shutil.move(big / "share-1-of-3", tmp_path / "other")
    shutil.copytree(big / "teachers", tmp_path / "other" / "teachers")
    words = [str(big), str(tmp_path / "other" / "share-1-of-3")]
    assert joined(*words) == 2
    assert "the shares lie in 2 folders; --to=DIR says where" in capsys.readouterr().err
    rows, where = join.join([*map(Path, words)], tmp_path / "to", Console(quiet=True))
    assert len(rows) == 12 and where == tmp_path / "to"
    assert sorted(path.name for path in (tmp_path / "to" / "teachers").iterdir()) == sorted(
        path.name for path in (big / "teachers").iterdir()
    )
    assert not list((tmp_path / "to" / "teachers").rglob("lock*"))


def test_differences_that_may_change_last_bits_are_told(big):
    parts = join._found([big])
    other = dataclasses.replace(parts[2].plan, devices=8)
    rows = [{**row, "device": "NVIDIA H100"} for row in parts[2].rows]
    told = list(join._apart([*parts[:2], parts[2]._replace(plan=other, rows=rows)]))
    assert (
        told[0].startswith("shares differ in device: NVIDIA H100, cpu") and "laid out for different devices" in told[1]
    )
    assert list(join._apart(parts)) == []


# A share beside another sweep.


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda big: change(big, "config.json", "sweep", {"seed": [0]}),
         "share-2-of-3 belongs to another config: config.sweep.seed is [0] there, [0, 1, 2] now; shares that lie in one folder"),
        (lambda big: (big / "share-2-of-3").rename(big / "share-1-of-2"), "share-1-of-2 is one of 2 shares, and this one of 3; "),
        (lambda big: (big / "config.json").write_text('{"name": "other"}'), "big belongs to another config: config.name is "),
        (lambda big: change(big, "plan.json", "identity", {"data": {"fingerprint": "0"}}), "share-2-of-3 began with other data: "),
    ],
)  # fmt: skip
def test_a_share_beside_which_another_sweep_has_begun_is_refused_before_it_writes(trained, big, capsys, harm, message):
    harm(big)
    shutil.rmtree(big / "share-1-of-3")
    assert tiny.command(trained[0], big, "--share=1/3") == 4
    said = capsys.readouterr().err
    assert message in said and said.count("\n") == 1 and ("delete that one" in said or "mend that" in said)
    assert not (big / "share-1-of-3").exists()
    if "data" not in message:
        assert tiny.command(trained[0], big, "--share=1/3", "--dry_run") == 4


def test_a_share_beside_one_of_other_code_is_told(trained, big, capsys):
    change(big, "plan.json", "identity", {"code": {"engine": "0"}})
    assert tiny.command(trained[0], big, "--share=1/3") == 0
    assert f"{big}/share-2-of-3 has other code: " in capsys.readouterr().out


# What is made once.


def test_teachers_first_are_taught_alone_and_shares_teach_none(tmp_path, capsys):
    file = tiny.config_file(tmp_path)
    assert tiny.command(file, tmp_path / "big", "--share=teachers") == 0
    said = capsys.readouterr().out
    assert "what all shares need is in" in said and "chunk" not in said.replace("chunks", "")
    asked = []
    with tiny.before_chunk(lambda program, _: asked.append(program.select)):
        assert tiny.command(file, tmp_path / "big", "--share=0/2") == 0
    assert 0 not in asked and asked
    assert shares.within([tmp_path / "big"]) == [tmp_path / "big" / "share-0-of-2"]


@pytest.mark.parametrize(("labels", "held"), [("learned", True), ("teacher(epoch=3)", False)])
def test_labels_are_made_where_all_shares_see_them_and_learned_by_one_at_a_time(
    tmp_path, monkeypatch, capsys, labels, held
):
    """A share waits for another that learns; where nothing is learned, nobody waits."""

    def prepare(plan, settings, dataset, experts, where, told):
        assert where == tmp_path / "big" and plan.learns is held
        assert held is bool((where / "lock").exists() and (where / "lock").read_bytes())
        raise errors.Interrupted("it was asked")

    monkeypatch.setattr(run, "prepare", prepare)
    file = tiny.config_file(tmp_path, {"sweep.labels": (labels,), "sweep.ipc": (1,)})
    assert tiny.command(file, tmp_path / "big", "--share=0/2") == 75
    assert "it was asked" in capsys.readouterr().err
    assert not (tmp_path / "big" / "lock").exists() or (tmp_path / "big" / "lock").read_bytes() == b""


# Flags.


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--share=3/3"], "--share expects I/N, I from 0 to N-1, or teachers, which are taught then and nothing else is done; "
         "got '3/3'"),
        (["--share=one"], "--share expects I/N, "),
        (["--share=0/0"], "--share expects I/N, "),
        (["--share=0/3", "--process=0/3"], "--share=0/3 meets no other process, as --process=0/3 does; give one of them"),
    ],
)  # fmt: skip
def test_flags_that_do_not_fit_are_told_in_one_line(tmp_path, capsys, flags, message):
    assert main.main(["run", "digits:quick", f"--workdir={tmp_path}", *flags]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"jaxsoft: {message}") and said.count("\n") == 1


def test_a_folder_of_shares_is_joined_before_it_is_a_run(big, trained, capsys):
    assert tiny.command(trained[0], big) == 2
    assert f"jaxsoft join {big} makes them one run" in capsys.readouterr().err
    assert command.folder(big / "share-0-of-3", "", "") == big / "share-0-of-3"  # the name alone says it


def test_join_without_a_folder_is_told(capsys):
    assert joined() == 2
    assert "expected: jaxsoft join DIR" in capsys.readouterr().err
