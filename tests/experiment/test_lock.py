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
import time

import pytest

from jaxsoft import errors, files
from jaxsoft.experiment.store import lock
from jaxsoft.experiment.store.lock import Lock

HOLDER = "import sys; from jaxsoft.experiment.store.lock import Lock; lock = Lock(sys.argv[1]); print(flush=True); sys.stdin.read()"


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
    held = Lock(path)
    said = json.loads(path.read_text())
    assert (said["pid"], said["host"]) == (os.getpid(), socket.gethostname())
    held.release()
    assert path.read_bytes() == b""
    Lock(path).release()


def test_a_second_process_is_refused(path, other):
    with pytest.raises(errors.CheckpointError) as caught:
        Lock(path)
    assert str(caught.value) == (
        f"run folder {path.parent} is in use by process {other.pid} on {socket.gethostname()}; "
        "wait for it or choose another"
    )
    assert caught.value.exit_code == 4
    assert json.loads(path.read_text())["pid"] == other.pid


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="open files are counted in /proc")
def test_a_refusal_keeps_no_file_open(path):
    held, opened = Lock(path), len(os.listdir("/proc/self/fd"))
    with pytest.raises(errors.CheckpointError):
        Lock(path)
    assert len(os.listdir("/proc/self/fd")) == opened
    held.release()


def test_the_lock_of_a_killed_process_is_taken_over(path, other, caplog):
    other.send_signal(signal.SIGKILL)
    other.wait()
    with caplog.at_level(logging.WARNING):
        Lock(path).release()
    assert f"left by process {other.pid} on {socket.gethostname()}, which is gone: taking over" in caplog.text


def test_the_lock_of_an_ended_process_is_free(path, other, caplog):
    other.stdin.close()
    other.wait()
    path.write_text('{"pid": 1')  # killed while it wrote its name
    Lock(path).release()
    assert caplog.messages == []


def test_a_second_lock_in_one_process_is_refused(path):
    held = Lock(path)
    with pytest.raises(errors.CheckpointError, match=f"in use by process {os.getpid()} "):
        Lock(path)
    held.release()


@pytest.mark.parametrize("holder", [{"pid": 1, "host": "elsewhere"}, {"pid": 1, "host": socket.gethostname()}])
def test_what_is_written_locks_nobody_out(path, caplog, holder):
    """Of a process killed on another host, in another container, or whose number another one has now."""
    path.write_text(json.dumps({**holder, "start": "5"}))
    Lock(path).release()
    assert f"left by process 1 on {holder['host']}, which is gone: taking over" in caplog.text


def test_who_may_wait_is_told_for_whom_and_goes_on_when_it_is_gone(path, other, monkeypatch):
    monkeypatch.setattr(lock, "_POLL_SECONDS", 0.01)
    told = []

    def wait(who):
        told.append(who)
        if len(told) == 3:
            other.kill()
            other.wait()

    Lock(path, on_wait=wait).release()
    assert set(told) == {f"process {other.pid} on {socket.gethostname()}"} and len(told) == 3


def test_a_wait_says_it_once_and_ends_when_the_user_asks(path, other, monkeypatch):
    monkeypatch.setattr(lock, "_POLL_SECONDS", 0.01)
    said, asked = [], iter([False, False, True])
    with pytest.raises(errors.Interrupted, match="stopped while waiting for process"):
        Lock(path, on_wait=lock.told(said.append, "teaches these experts", lambda: next(asked)))
    assert said == [f"waiting for process {other.pid} on {socket.gethostname()}, which teaches these experts"]


def test_a_lock_that_was_deleted_while_one_waited_for_it(path, monkeypatch):
    monkeypatch.setattr(lock, "_POLL_SECONDS", 0.01)
    first = Lock(path)

    def wait(_):
        path.unlink()

    second = Lock(path, on_wait=wait)
    assert json.loads(path.read_text())["pid"] == os.getpid(), "the file is made anew, and signed"
    first.release()
    assert path.stat().st_size, "who lost the file leaves it to its new holder"
    second.release()


def test_a_lock_that_is_a_link_spares_what_it_leads_to(path, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path.symlink_to(victim)
    with pytest.raises(OSError, match="it is a link"):
        Lock(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(OSError, match="named pipe"):
        Lock(path)
    assert victim.read_text() == "precious"


# File systems without locks.


@pytest.fixture
def quick(no_kernel_locks, monkeypatch):
    for name, seconds in (("_BEAT", 0.02), ("_GONE", 0.5), ("_POLL", 0.03)):
        monkeypatch.setattr(lock, f"{name}_SECONDS", seconds)


@pytest.fixture
def lease(path):
    return path.with_name("lock.lease")


def marker(pid, host):
    """What a lease of another process says."""
    return f"filelock/2\npid={pid}\nhost={host}\nmode=lease\ntoken=b\nduration=0.5\n"


def test_without_kernel_locks_a_living_holder_is_believed(path, quick, lease):
    first = Lock(path)
    before = lease.stat().st_mtime
    with pytest.raises(errors.CheckpointError, match=f"process {os.getpid()} "):
        Lock(path)
    assert lease.stat().st_mtime > before
    first.release()
    assert path.read_bytes() == b"" and not lease.exists()
    Lock(path).release()


@pytest.mark.parametrize("age", [0.0, 3600.0, -3600.0])
def test_without_kernel_locks_one_that_nobody_touches_is_taken_over(path, quick, lease, caplog, age):
    """Whatever the clocks of the file system and of this machine say."""
    lease.write_text(marker(1, "elsewhere"))
    os.utime(lease, (lease.stat().st_mtime - age,) * 2)
    start = time.monotonic()
    Lock(path).release()
    assert time.monotonic() - start >= lock._GONE_SECONDS
    assert "left by process 1 on elsewhere, which is gone: taking over" in caplog.text
    assert [p.name for p in path.parent.iterdir()] == ["lock"]


def test_without_kernel_locks_who_waits_is_told_for_whom(path, quick):
    first, told = Lock(path), []
    second = Lock(path, on_wait=lambda who: told.append(who) or first.release())
    assert told == [f"process {os.getpid()} on {socket.gethostname()}"]
    second.release()


def test_without_kernel_locks_who_slept_too_long_says_so(path, quick, lease, caplog):
    first = Lock(path)
    files.replace(lease, marker(2, "elsewhere").encode())
    deadline = time.monotonic() + 60
    while "taken by another process" not in caplog.text and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "was taken by another process while this one slept" in caplog.text
    first.release()
    assert "host=elsewhere" in lease.read_text()


def test_a_lock_that_cannot_be_written(tmp_path):
    with pytest.raises(OSError):
        Lock(tmp_path / "absent" / "lock")
