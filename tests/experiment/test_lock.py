"""One process at a time."""

import errno
import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
import sys

import pytest

from jaxsoft import errors
from jaxsoft.experiment.lock import Lock

HOLDER = "import sys; from jaxsoft.experiment.lock import Lock; lock = Lock(sys.argv[1]); print(flush=True); sys.stdin.read()"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def other(path):
    """Another process that holds the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline()
        yield process
        process.kill()


@pytest.fixture
def no_kernel_locks(monkeypatch):
    """As on a network file system without a lock service."""

    def flock(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)


def test_says_who_holds_it_and_is_empty_when_given_back(path):
    lock = Lock(path)
    said = json.loads(path.read_text())
    assert (said["pid"], said["host"]) == (os.getpid(), socket.gethostname())
    assert said["start"].isdigit() or not os.path.exists("/proc")
    lock.release()
    assert path.read_bytes() == b""
    Lock(path).release()


def test_a_second_process_is_refused(path, other):
    with pytest.raises(errors.CheckpointError) as caught:
        Lock(path)
    assert str(caught.value) == (
        f"run folder {path.parent} is in use by process {other.pid} on {socket.gethostname()}; wait for it or choose "
        f"another (if you are sure that it is gone, delete {path})"
    )
    assert caught.value.exit_code == 4
    assert json.loads(path.read_text())["pid"] == other.pid


def test_a_refusal_keeps_no_file_open(path, monkeypatch):
    lock, closed, close = Lock(path), [], os.close
    monkeypatch.setattr(os, "close", lambda descriptor: closed.append(descriptor) or close(descriptor))
    with pytest.raises(errors.CheckpointError):
        Lock(path)
    assert len(closed) == 1
    lock.release()


def test_the_lock_of_a_killed_process_is_taken_over(path, other, caplog):
    other.send_signal(signal.SIGKILL)
    other.wait()
    with caplog.at_level(logging.WARNING):
        Lock(path).release()
    assert f"left by process {other.pid}, which is gone: taking over" in caplog.text


def test_the_lock_of_an_ended_process_is_free(path, other, caplog):
    other.stdin.close()
    other.wait()
    path.write_text('{"pid": 1')  # killed while it wrote its name
    Lock(path).release()
    assert caplog.messages == []


def test_a_second_lock_in_one_process_is_refused(path):
    lock = Lock(path)
    with pytest.raises(errors.CheckpointError, match=f"in use by process {os.getpid()} "):
        Lock(path)
    lock.release()


def test_another_host_cannot_be_asked(path):
    path.write_text(json.dumps({"pid": 1, "host": "elsewhere", "start": "5"}))
    with pytest.raises(errors.CheckpointError, match="in use by process 1 on elsewhere"):
        Lock(path)


def test_without_kernel_locks_a_living_holder_is_believed(path, other, no_kernel_locks):
    with pytest.raises(errors.CheckpointError, match=f"process {other.pid} "):
        Lock(path)


def test_without_kernel_locks_a_holder_of_another_user_is_believed(path, other, no_kernel_locks, monkeypatch):
    def kill(*_):
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", kill)
        with pytest.raises(errors.CheckpointError, match=f"process {other.pid} "):
            Lock(path)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="start times are read from /proc")
def test_without_kernel_locks_a_later_process_of_the_same_number_does_not_count(path, other, no_kernel_locks):
    path.write_text(json.dumps({"pid": other.pid, "host": socket.gethostname(), "start": "5"}))
    Lock(path).release()


@pytest.mark.parametrize("reaped", [True, False])
def test_without_kernel_locks_a_dead_holder_does_not_count(path, other, no_kernel_locks, reaped):
    other.kill()
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # dead, but still in the table of processes
    if reaped:
        other.wait()
    Lock(path).release()


def test_a_lock_that_cannot_be_written(tmp_path):
    with pytest.raises(OSError):
        Lock(tmp_path / "absent" / "lock")
