"""One run by several processes: shares of a plan, logs that become one, and two real processes over loopback."""

import dataclasses
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from unittest import mock

import jax
import numpy as np
import pytest
import test_plan
import tiny_run as tiny

from jaxsoft import errors
from jaxsoft.console import Console
from jaxsoft.experiment.machine import processes
from jaxsoft.experiment.store import folder, manifest, results
from jaxsoft.experiment.students import kept
from jaxsoft.experiment.teach.course import Pace
from jaxsoft.experiment.tell import progress

TRIES = Path(__file__).with_name("tries.py")
UNDISTURBED = ("manifest", 0, "")  # no call has this number


@pytest.fixture
def second_of_two(monkeypatch):
    """As if this were process 1 of 2."""
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    monkeypatch.setattr(jax, "process_count", lambda: 2)


# Who trains what.


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_shares_are_together_the_plan_and_have_one_shape(count, devices, block):
    plan = dataclasses.replace(test_plan.by_hand(block=block), devices=count * devices)
    shares = [plan.share(i, count) for i in range(count)]
    for w, ranges in enumerate(plan.waves):
        for g, (start, stop) in enumerate(ranges):
            mine = [list(range(*share.waves[w][g])) for share in shares]
            assert sum(mine, []) == list(range(start, stop))
    for share in shares:
        assert share.keys == plan.keys and share.buckets == plan.buckets and share.devices == devices
        for own, whole in zip(share.buckets_of(), plan.buckets_of(), strict=True):
            assert own == whole._replace(members=whole.members // count)
    assert plan.share(0, 1) == plan


def test_a_share_that_runs_out_of_memory_is_halved_alone():
    plan = dataclasses.replace(test_plan.by_hand(counts=(8, 8), waves=(((0, 8), (0, 8)),), block=2), devices=2)
    share = plan.share(1, 2)
    assert [(b.members, b.block) for b in share.buckets_of()] == [(4, 2), (4, 2)]
    halved = share.halve(0)
    assert halved.waves == (((4, 6), (4, 6)), ((6, 8), (6, 8)))
    assert [(b.members, b.block) for b in halved.buckets_of()] == [(2, 2), (2, 2)]


def test_an_earlier_wave_is_shared_by_its_own_width():
    waves = ((0, 3), (0, 2)), ((3, 8), (2, 5))
    plan = dataclasses.replace(test_plan.by_hand(counts=(8, 5), waves=waves, block=1), devices=2).halve(1)
    assert plan.waves[0] == ((0, 3), (0, 2)) and plan.since == 1
    assert [plan.share(i, 2).waves[0] for i in (0, 1)] == [((0, 2), (0, 1)), ((2, 3), (1, 2))]


# Whose turn it is.


@pytest.mark.parametrize("index, order", [(0, ["block", "barrier"]), (1, ["barrier", "block"])])
def test_the_first_process_goes_first(monkeypatch, index, order):
    done = []
    monkeypatch.setattr(jax, "process_index", lambda: index)
    monkeypatch.setattr(processes, "barrier", lambda name: done.append("barrier"))
    with processes.turn("there"):
        done.append("block")
    assert done == order


def test_a_first_process_that_fails_does_not_call_the_others(monkeypatch):
    monkeypatch.setattr(processes, "barrier", lambda name: pytest.fail("the others would find nothing"))
    with pytest.raises(errors.DataError), processes.turn("there"):
        raise errors.DataError("nothing here")


@pytest.mark.parametrize(
    ("process", "coordinator", "message"),
    [
        ("2/2", "localhost:1", "--process expects I/N, I from 0 to N-1, and --coordinator=HOST:PORT, the same for all; "
         "or auto, on a cluster; got '2/2'"),
        ("", "localhost:1", "--process expects I/N, "),
        ("one", "", "--process expects I/N, "),
        ("0/2", "", "--process=0/2 needs --coordinator=HOST:PORT, where process 0 runs"),
        ("0/2", "localhost", "--coordinator expects HOST:PORT, such as localhost:12345, got 'localhost'"),
    ],
)  # fmt: skip
def test_flags_that_do_not_fit_are_told_in_one_line(process, coordinator, message):
    with pytest.raises(errors.ConfigError) as caught, mock.patch.object(jax.distributed, "initialize", tiny.never):
        processes.join(process, coordinator)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_auto_without_a_cluster_is_told_in_one_line(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")  # to have it back
    missing = ValueError("coordinator_address should be defined.")
    with mock.patch.object(jax.distributed, "initialize", side_effect=missing):
        with pytest.raises(
            errors.ConfigError, match=r"^--process=auto found no cluster \(SLURM, Open MPI, TPU\); give I/N"
        ):
            processes.join("auto", "")


def test_processes_with_unequal_devices_are_refused(monkeypatch):
    devices = [mock.Mock(process_index=i) for i in (0, 1, 1)]
    monkeypatch.setattr(jax, "devices", lambda: devices)
    monkeypatch.setenv("XLA_FLAGS", "")  # to have it back
    with mock.patch.object(jax.distributed, "initialize"), pytest.raises(errors.ConfigError) as caught:
        processes.join("0/2", "localhost:1")
    assert str(caught.value) == "every process needs equally many devices: process 0 has 1, process 1 has 2"


def test_who_teaches_alone_asks_no_other_process_whether_to_stop(second_of_two):
    record, console = {"val_accuracy": 0.5, "label_entropy": 1.0}, Console(quiet=True)
    with mock.patch.object(processes, "first_says", tiny.never):
        progress.of_teachers(console, 1, 3, [record])
        progress.of_windows(console, Pace(1, 3, 5, 10, 1.0, 0.0))


# Logs.


def log_with(path, *members):
    log = results.ResultsLog(path)
    log.append([{"member": member, "said": path.name} for member in members])
    log.close()


def test_what_others_have_logged_is_taken_in_once(tmp_path, caplog):
    path = tmp_path / "results.jsonl"
    log_with(path, "a", "b")
    log_with(tmp_path / "results.process-1.jsonl", "b", "c")
    log_with(tmp_path / "results.process-12.jsonl", "d")
    with open(tmp_path / "results.process-12.jsonl", "ab") as file:
        file.write(b'{"crc":"00')  # its process was killed
    log = results.open_log(path)
    rows = log.read()
    log.close()
    assert [(row["member"], row["said"].removesuffix(".jsonl")) for row in rows] == [
        ("a", "results"), ("b", "results"), ("c", "results.process-1"), ("d", "results.process-12"),
    ]  # fmt: skip
    assert log.finished == {"a", "b", "c", "d"}
    assert [p.name for p in tmp_path.iterdir()] == ["results.jsonl"]
    assert "the last record is torn" in caplog.text


def test_another_process_logs_beside_the_run_and_knows_what_is_finished(tmp_path, second_of_two):
    path = tmp_path / "results.jsonl"
    log_with(path, "a")
    before = path.read_bytes()
    log = results.open_log(path)
    log.append([{"member": "a"}, {"member": "b"}])
    assert log.finished == {"a", "b"}
    log.close()
    assert path.read_bytes() == before
    assert [row["member"] for row in results.read(tmp_path / "results.process-1.jsonl")] == ["b"]


def test_a_member_that_nobody_has_logged_is_noticed(tmp_path):
    log = results.open_log(tmp_path / "results.jsonl")
    log.append([{"member": "a"}])
    with pytest.raises(errors.CheckpointError, match="1 members have no record; run the same commands again"):
        results.gather(log, ("a", "b"))
    log.close()


def test_a_process_that_sees_another_folder_is_told(tmp_path):
    with pytest.raises(errors.CheckpointError, match="all processes need one --workdir that all of them see"):
        folder.RunFolder(tmp_path).join({})


# Two real processes.


def together(file, workdir, programs, *tries, devices=1):
    """Run once, in as many processes as there are tries; exit codes, and what each said."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        where = [f"localhost:{free.getsockname()[1]}"] if len(tries) > 1 else []
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    environment = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count={devices}",
        "JAX_COMPILATION_CACHE_DIR": str(programs),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", TRIES, file, workdir, json.dumps(tries), *where],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, env=kept | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    codes = [json.loads(line)["exit"] for line in done.stderr.splitlines() if line.startswith('{"exit')]
    said = [Path(f"{workdir}.{i}").read_text() for i in range(len(tries))] if where else [done.stdout + done.stderr]
    return codes, said


@pytest.fixture(scope="module")
def alone(tmp_path_factory, kept_programs):
    """A config file, the programs, and the folder of one process with two devices: two waves of three students."""
    base = tmp_path_factory.mktemp("alone")
    changes = {"sweep.ipc": (1,), "sweep.seed": (0, 1, 2), "compute.checkpoint_seconds": 0.0, "keep.students": "best"}
    with mock.patch.object(jax, "device_count", lambda: 2):
        file = tiny.config_file(base, changes | {"compute.memory_gb": tiny.room_for(2, changes)})
    codes, said = together(file, base / "run", kept_programs, UNDISTURBED, devices=2)
    assert codes == [0], said
    assert len(json.loads((base / "run" / "plan.json").read_text())["waves"]) == 2
    return file, kept_programs, base / "run"


def files(path):
    """All but the experts', and the students', whose files are those of a process and its waves."""
    names = (p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file())
    return {name for name in names if not name.startswith(("teachers/", "students/"))}


def same_students(path, other):
    """Whether two runs have kept the same networks, all of them."""
    for key in (row["member"] for row in results.read(path / "results.jsonl")):
        jax.tree.map(np.testing.assert_array_equal, kept.read(path, key), kept.read(other, key))
    assert len(kept.members(path)) == len(kept.members(other)) == 6


def test_two_processes_give_the_table_of_one_with_two_devices(alone, tmp_path):
    file, programs, wanted = alone
    codes, said = together(file, tmp_path / "run", programs, UNDISTURBED, UNDISTURBED)
    assert codes == [0, 0], said
    for name in ("results.csv", "curves.npz", "plan.json", "teachers.json", "examples.npz"):
        assert (tmp_path / "run" / name).read_bytes() == (wanted / name).read_bytes(), name
    assert files(tmp_path / "run") == files(wanted)
    same_students(tmp_path / "run", wanted)
    assert manifest.verify(tmp_path / "run") == []
    assert "; process 0 of 2\n" in said[0] and "students: 6 of 6 left" in said[0]
    assert said[1] == ""


@pytest.mark.long
def test_when_one_is_killed_the_others_end_and_the_same_commands_finish(alone, tmp_path):
    file, programs, wanted = alone
    table = (wanted / "results.csv").read_bytes()
    path = tmp_path / "run"
    # Of process 1, in the second chunk of its second wave; process 0 waits for it then, and has trained all of its own.
    codes, said = together(file, path, programs, UNDISTURBED, ("chunk", 5, "kill before"))
    assert codes[1] == -signal.SIGKILL and codes[0] in (-signal.SIGABRT, errors.Interrupted.exit_code), said
    assert len(results.read(path / "results.jsonl")) == 4
    assert len(results.read(path / "results.process-1.jsonl")) == 1
    shutil.copytree(path, tmp_path / "other")

    # Nothing that was trained is trained again: process 0 has no chunk left, process 1 has two.
    codes, said = together(file, path, programs, ("chunk", 1, "kill before"), ("chunk", 3, "kill before"))
    assert codes == [0, 0], said
    assert (path / "results.csv").read_bytes() == table
    assert files(path) == files(wanted) and manifest.verify(path) == []

    # One process alone takes over what two had begun.
    assert tiny.command(file, tmp_path / "other") == 0
    assert (tmp_path / "other" / "results.csv").read_bytes() == table
    same_students(tmp_path / "other", wanted)
    assert files(tmp_path / "other") == files(wanted)


def test_processes_that_are_stopped_together_end_together(alone, tmp_path):
    file, programs, wanted = alone
    shutil.copytree(wanted, tmp_path / "run")
    (tmp_path / "run" / "results.jsonl").write_bytes(b"")
    stop = ("progress", 1, "stop")  # after the students' first chunk
    codes, said = together(file, tmp_path / "run", programs, stop, stop)
    assert codes == [errors.Interrupted.exit_code] * 2, said
    assert all("stopped after chunk 1 of 3; the same command goes on from there" in text for text in said)


@pytest.mark.long
def test_two_processes_teach_an_expert_that_is_over_the_devices_of_both(tmp_path, kept_programs):
    """Both are stopped inside an epoch, when the first hears of it; only the first keeps states. One epoch that was not
    kept is asked for."""
    changes = {"teacher.stream": "always", "teacher.batch": 2, "compute.expert_devices": 2, "data.limit": 40}
    changes |= {"teacher.keep": "every(9)", "sweep.labels": ("hard", "teacher(epoch=2)")}
    file, path = tiny.config_file(tmp_path, changes | {"sweep.ipc": (1,), "sweep.seed": (0,)}), tmp_path / "run"
    codes, said = together(file, path, kept_programs, ("progress", 1, "stop"), UNDISTURBED)
    assert codes == [errors.Interrupted.exit_code] * 2, said
    assert re.search(r"stopped in teacher epoch 1, after \d+ images; the same command goes on from there", said[0])
    assert len([*path.glob("teachers/*/within/[0-9]*")]) == 1
    codes, said = together(file, path, kept_programs, UNDISTURBED, UNDISTURBED)
    assert codes == [0, 0], said
    codes, said = together(file, tmp_path / "alone", kept_programs, UNDISTURBED, devices=2)
    assert codes == [0], said
    for name in ("results.csv", "teachers.json"):
        assert (path / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name
