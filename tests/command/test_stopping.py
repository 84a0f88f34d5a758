"""Signals that ask to stop, before a run can save anything and while it can; all of this without JAX."""

import os
import signal
import subprocess
import sys

import pytest

from jaxsoft.command import stopping

# A command that never ends, and that nothing but the end of the process can stop.
COMMAND = """
import sys, time
from jaxsoft import main
def stubborn(argv):
    print("ready", flush=True)
    while True:
        try:
            time.sleep(60)
        except BaseException:
            pass
main._report = stubborn
sys.argv[1:] = ["report"]
main.entry()
"""
LINE = "jaxsoft: interrupted; the same command goes on from there\n"


@pytest.fixture
def start():
    started = []

    def popen(before=(), **options):
        command = [*before, sys.executable, "-c", COMMAND]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
        started.append(subprocess.Popen(command, **options))
        return started[-1]

    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a child would ignore what nohup makes these tests ignore
    yield popen
    signal.signal(signal.SIGHUP, hangup)
    for process in started:
        process.kill()
        process.communicate()


def test_all_ways_to_ask_are_known():
    assert [s.name for s in stopping.SIGNALS] == ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU"]


def test_a_command_that_can_save_nothing_ends_at_once_with_one_line(start):
    processes = [(number, start()) for number in stopping.SIGNALS]
    for number, process in processes:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
    for number, process in processes:
        assert process.communicate(timeout=300) == ("", LINE), number
        assert process.returncode == 75, number


def test_what_nohup_ignores_stays_ignored_and_an_interrupt_of_the_background_does_not(start):
    process = start(before=["sh", "-c", 'trap "" HUP INT; exec "$@"', "sh"])
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=0.5)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=300) == ("", LINE) and process.returncode == 75


def test_nobody_reading_does_not_keep_a_process_from_stopping(start):
    """A pager that is paused: its pipe is full, and both streams go there."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    process = start(stderr=writer)
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(BlockingIOError):
        while os.write(writer, b"x" * 65536):
            pass
    os.set_blocking(writer, True)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=300) == 75
    os.close(reader), os.close(writer)
