"""What a run tells, on a terminal and elsewhere, and how it is stopped."""

import io
import signal
import subprocess
import sys
import threading
import time

import pytest
from rich.console import Console as Rich

from jaxsoft import console, errors
from jaxsoft.console import Console


@pytest.fixture
def make():
    """A console that writes into `.text`, as on a terminal or not."""

    def build(terminal, width=100):
        made = Console()
        made.text = io.StringIO()
        made._rich = Rich(file=made.text, force_terminal=terminal, width=width)
        return made

    return build


def test_away_from_a_terminal_lines_come_now_and_then_and_at_the_end(make, monkeypatch):
    clock = iter((100.0, 100.0, 102.0, 106.0, 106.0, 107.0))  # asked and set, too early, asked and set, set
    monkeypatch.setattr(console.time, "monotonic", lambda: next(clock))
    told = make(terminal=False)
    for done in (1, 2, 3, 4):
        told.progress(done, 4, f"step {done}")
    assert told.text.getvalue().splitlines() == ["  1/4  step 1", "  3/4  step 3", "  4/4  step 4"]
    assert told._bar is None


def test_a_new_stage_tells_its_first_line_at_once(make):
    told = make(terminal=False)
    for name in ("one", "two"):
        with told.stage(name):
            told.progress(1, 9, name)
    assert told.text.getvalue().splitlines() == ["  1/9  one", "  1/9  two"]


def test_on_a_terminal_there_is_one_bar_that_goes_with_its_stage(make):
    told = make(terminal=True)
    with told.stage("students"):
        told.progress(1, 4, "first")
        bar = told._bar
        told.progress(4, 4, "last")
        assert bar is told._bar
        task = bar.tasks[0]
        assert (task.completed, task.total, task.description) == (4, 4, "last")
        assert "  1/4  first" not in told.text.getvalue()
    assert told._bar is None
    assert not bar.live.is_started


LOOK = "wave 1 of 1: IPC 1 hard 66.6%, IPC 1 soft 66.2%, IPC 50 hard 86.7%, IPC 50 soft 83.9%, 961 student-steps/s, 2.6 min left"


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_nothing_of_the_bar_is_cut_in_a_narrow_terminal(make, width):
    told = make(terminal=True, width=width)
    with told.stage("students"):
        told.progress(3, 10, LOOK)
        lines = [segments for segments in told._rich.render_lines(told._bar.get_renderable(), pad=False)]
    shown = ["".join(segment.text for segment in line).rstrip() for line in lines]
    assert max(map(len, shown)) <= width and len(shown) == 1 or width < 200
    words = " ".join(shown).split()
    assert [word for word in words if word in LOOK.split()] == LOOK.split()
    assert "3/10" in words and "0:00:00" in words
    assert (told.columns(), make(terminal=False).columns()) == (width, None)


CELL = """
from jaxsoft import errors
from jaxsoft.console import Console
told = Console()
with told.stage("students"):
    for done in range(11):
        told.progress(done, 10, f"look {done}, <b>bold</b>")
told.say("over")
"""


def test_in_a_notebook_one_output_is_updated_and_its_last_text_stays():
    client = pytest.importorskip("nbclient", reason="no nbclient: pip install 'jaxsoft[docs]'")
    pytest.importorskip("ipykernel", reason="no ipykernel: pip install 'jaxsoft[docs]'")
    nbformat = pytest.importorskip("nbformat")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(CELL)])
    client.NotebookClient(book, timeout=300, kernel_name="python3").execute()
    bar, said = book.cells[0].outputs
    assert bar.data == {"text/plain": "████████████████████ 10/10  look 10, <b>bold</b>"}
    assert said.text == "over\n"


def test_the_bar_goes_when_a_stage_fails(make):
    told = make(terminal=True)
    with pytest.raises(ValueError), told.stage("students"):
        told.progress(1, 4, "")
        raise ValueError
    assert told._bar is None
    assert "students" in told.seconds


def test_stages_are_timed(make):
    told = make(terminal=False)
    with told.stage("data"):
        time.sleep(0.02)
    assert 0.02 <= told.seconds["data"] < 5


def test_no_stage_begins_once_the_user_has_asked_to_stop(make):
    told = make(False)
    told.stop = True
    with pytest.raises(errors.Interrupted, match="^stopped before the stage report; the same command goes on"):
        with told.stage("report"):
            raise AssertionError("it began")


def test_what_the_user_wrote_is_told_as_it_is(capsys):
    text = "teacher(epoch=5)[bold]|[/] :smile: " + "x " * 100 + "end"
    Console().say(text)
    assert capsys.readouterr().out == text + "\n"


def test_quiet_says_nothing(capsys):
    Console(quiet=True).say("a word")
    assert capsys.readouterr().out == ""


def test_signals_are_as_before_when_the_run_is_over():
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    with Console(quiet=True).interruptible():
        assert signal.getsignal(signal.SIGTERM) is not before[signal.SIGTERM]
    assert {s: signal.getsignal(s) for s in before} == before
    assert signal.set_wakeup_fd(-1) == -1


def test_outside_of_the_main_thread_signals_are_left_alone():
    seen = []

    def work():
        with Console(quiet=True).interruptible():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


RUN = """
import sys, time
from jaxsoft import console
told = console.Console()
with told.interruptible(float(sys.argv[1])):
    print("ready", flush=True)
    end = time.monotonic() + 600
    while time.monotonic() < end:
        if told.stop and sys.argv[2] == "boundary":
            print("saved", flush=True)
            sys.exit(3)
        time.sleep(0.01)
"""
STOPPING = "stopping at the next boundary; once more to stop at once\n"
STOPPED = "stopped; the same command goes on from the last checkpoint\n"


@pytest.fixture
def start():
    started = []

    def popen(grace, kind):
        command = [sys.executable, "-c", RUN, str(grace), kind]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline() == "ready\n"
        return started[-1]

    yield popen
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_to_stop_at_the_next_boundary(start, number):
    process = start(600, "boundary")
    process.send_signal(number)
    assert process.communicate(timeout=300) == ("saved\n", STOPPING)
    assert process.returncode == 3  # the run itself said how it ends


def test_a_second_signal_ends_at_once(start):
    process = start(600, "never")
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == STOPPING
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=300) == ("", "")  # it says nothing, so the grace did not end it
    assert process.returncode == 75


def test_without_a_boundary_the_grace_ends_the_process(start):
    process = start(0.3, "never")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=300) == ("", STOPPING + STOPPED)
    assert process.returncode == 75
