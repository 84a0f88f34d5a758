"""Output that has nowhere to go takes no command down; names from outside command no terminal."""

import logging
import os
import subprocess
import sys

import pytest

from jaxsoft import errors
from jaxsoft.command import streams

HELP, WRONG = ["help"], ["nope\x1b[2J"]
FULL = "jaxsoft: standard output cannot be written: No space left on device\n"
CHOICES = "choices: run, compare, join, configs, report, data, import, teacher, verify, export, doctor, completion\n"
UNKNOWN = f"jaxsoft: unknown command 'nope\\x1b[2J'; {CHOICES}"
# A run tells its lines through rich, and goes on when they are not wanted.
SAYING = """
import sys
from jaxsoft.command import streams
streams.prepare()
from jaxsoft.console import Console
for i in range(2000):
    Console().say(f"line {i}")
    Console().progress(i, i, "x")
print("the end", file=sys.stderr)
sys.exit(5)
"""


def shell(argv, redirections, **environment):
    done = subprocess.run(
        ["sh", "-c", f'"$@" {redirections}', "sh", sys.executable, *argv],
        capture_output=True, text=True, env=os.environ | environment, timeout=300,
    )  # fmt: skip
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("argv", "redirections", "code", "told"),
    [
        (HELP, "> /dev/full", 0, FULL),
        (HELP, ">&-", 0, ""),
        (HELP, ">&- 2>&- <&-", 0, ""),
        (WRONG, "> /dev/full", 2, UNKNOWN),
        (WRONG, ">&-", 2, UNKNOWN),
        (WRONG, "2> /dev/full", 2, ""),
        (WRONG, "2>&-", 2, ""),
    ],
)
def test_a_command_ends_as_it_would(argv, redirections, code, told):
    assert shell(["-m", "jaxsoft", *argv], redirections) == (code, "", told)


COMMAND = """
import os, sys
from jaxsoft import main
main.main = lambda argv: sys.stderr.write(os.readlink(f"/proc/self/fd/{argv[0]}")) and 0
main.entry()
"""


@pytest.mark.parametrize(("number", "redirections"), [("1", ">&-"), ("0", "<&- >&-")])
def test_nothing_takes_the_place_of_a_closed_stream(number, redirections):
    """Not the sockets by which signals are heard either, that another thread closes."""
    assert shell(["-c", COMMAND, number], redirections) == (0, "", "/dev/null")


@pytest.mark.parametrize(
    ("redirections", "told"), [("> /dev/full", FULL + "the end\n"), (">&-", "the end\n"), ("2>&1 | head -1", "")]
)
def test_a_run_goes_on_without_an_audience(redirections, told):
    """Through a pipe the exit code is that of `head`."""
    code, out, error = shell(["-c", SAYING], redirections)
    assert (code, out, error) == ((0, "line 0\n", "") if "|" in redirections else (5, "", told))


def test_a_reader_that_has_gone_changes_no_exit_code():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", SAYING], stdout=writer, stderr=subprocess.PIPE, text=True, timeout=300)
    os.close(writer)
    assert (done.returncode, done.stderr) == (5, "the end\n")


def test_a_terminal_of_ascii_shows_the_rest_escaped():
    code, _, told = shell(["-m", "jaxsoft", "größe"], "", PYTHONIOENCODING="ascii")
    assert (code, told) == (2, f"jaxsoft: unknown command 'gr\\xf6\\xdfe'; {CHOICES}")


NASTY = ["\x1b]0;owned\x07", "\rjaxsoft: fine", "\u202eevil", "\ud800", "\x9b31m", "a\nb"]


@pytest.mark.parametrize("text", NASTY)
def test_a_warning_commands_nothing(text):
    record = logging.LogRecord("jaxsoft", logging.WARNING, "", 0, "set aside %s", (text.replace("\n", ""),), None)
    assert streams._Shown().format(record).isprintable()


@pytest.mark.parametrize("text", NASTY)
def test_an_error_has_the_lines_that_we_gave_it(text):
    assert errors.shown(text).isprintable() and errors.quoted(text).isprintable()
    assert str(errors.CheckpointError("first", "second")) == "first\nsecond"
    assert all(line.isprintable() for line in errors.lines(f"{text}\n{text}").split("\n"))
