"""The command line: every mistake is one line and an exit code; a dry run tells all and writes nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from jaxsoft import config, errors
from jaxsoft.main import main

DIGITS = Path(__file__).parents[1] / "configs" / "digits.py"
COMMANDS = (
    "run",
    "compare",
    "configs",
    "report",
    "data",
    "import",
    "teacher",
    "verify",
    "export",
    "doctor",
    "completion",
)
NEEDED = "jaxsoft run needs an experiment, such as digits (jaxsoft configs lists them), or --config=FILE.py"
SMALL = ("--config.teacher.model=mlp(hidden=4)", "--config.student.model=mlp(hidden=4)", "--config.sweep.ipc=(1,2)")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """An empty current folder; JAX at work already, so that no command changes its devices."""
    jax.devices()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSOFT_DATA", str(tmp_path / "data"))


@pytest.fixture
def refused(capsys):
    """Run a command that fails; its exit code and its one line on standard error."""

    def run(*argv):
        code = main([str(word) for word in argv])
        line = capsys.readouterr().err
        assert line.removesuffix("\n").isprintable()
        assert line.startswith("jaxsoft: ") and line.endswith("\n") and line.count("\n") == 1, line
        return code, line.removeprefix("jaxsoft: ").removesuffix("\n")

    return run


@pytest.fixture
def dry_run(refused):
    """The same for a dry run of the demo with changes."""
    return lambda *changes: refused("run", f"--config={DIGITS}:quick", "--dry_run", "--nocompilation_cache", *changes)


def test_without_words_there_is_help(capsys):
    for argv in ([], ["--help"], ["-h"], ["help"], *([c, "--help"] for c in COMMANDS)):
        assert main(argv) == 0
        told = capsys.readouterr()
        assert (
            "jaxsoft run NAME[:ARGS] | --config=FILE.py" in told.out
            and "Exit codes: 0 done, 1 no run can start (doctor), 2 settings" in told.out
        )
        assert told.err == ""
    assert main(["run", f"--config={DIGITS}", "--helpfull"]) == 0


def test_version(capsys):
    assert main(["--version"]) == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\S* \(commit (not known|[0-9a-f]{40}(-dirty)?)\)\n", capsys.readouterr().out)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["rnu"], "unknown command 'rnu'; choices: run, compare, join, configs, report, data, import, teacher, verify, export, "
         "doctor, completion"),
        (["run"], NEEDED),
        (["run", "--config"], NEEDED),
        (["run", "digits", "x"], "unexpected argument 'x'; settings are written --config.KEY=VALUE"),
        (["run", "digits:quik"], "unknown config argument 'quik'; choices: quick"),
        (["configs", "x"], "expected: jaxsoft configs, or jaxsoft configs copy NAME [FOLDER]"),
        (["configs", "copy"], "expected: jaxsoft configs, or jaxsoft configs copy NAME [FOLDER]"),
        (["doctor", "x"], "jaxsoft doctor takes no words"),
        (["completion", "zsh"], 'jaxsoft completion takes no words; for bash: eval "$(jaxsoft completion)"'),
        (["run", f"--config={DIGITS}", "--wrkdir=x"], "unknown flag --wrkdir; did you mean --workdir?"),
        (["run", f"--config={DIGITS}", "--workdir"], "Missing value for flag --workdir"),
        (["run", f"--config={DIGITS}", "x"], "unexpected argument 'x'; settings are written --config.KEY=VALUE"),
        (["run", f"--config={DIGITS}", "--dry_run=maybe"], "flag --dry_run=maybe: ('Non-boolean argument to boolean "
         "flag', 'maybe')"),
        (["run", f"--config={DIGITS}", "--nodry_run=1"], "--nodry_run=1 does not take an argument"),
        (["run", f"--config={DIGITS}:quik"], "unknown config argument 'quik'; choices: quick"),
        (["run", f"--config={DIGITS}:quick=1"], "config argument quick expects one of true, false, got '1'"),
        (["report"], "jaxsoft report expects at least one run folder"),
        (["verify"], "expected: jaxsoft verify DIR|SET [--root=DIR] [--run=DIR] [--teach]"),
        (["verify", "--x"], "unknown flag --x; did you mean --root?"),
        (["data"], "expected: jaxsoft data list | prepare NAME | verify NAME"),
        (["data", "lst"], "expected: jaxsoft data list | prepare NAME | verify NAME"),
        (["data", "prepare", "cifr10"], "unknown dataset 'cifr10'; closest: cifar10, cifar100, image_folder (all of "
         "them: jaxsoft data list)"),
    ],
)  # fmt: skip
def test_words_and_flags(refused, argv, message):
    assert refused(*argv) == (2, message)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("--config.lrr=3", "unknown setting config.lrr; did you mean config.sweep.learning_rate?"),
        ("--config.student.btch=3", "unknown setting config.student.btch; did you mean config.student.batch?"),
        ("--config.student.batch=1.5", "config.student.batch expects int >= 1, got 1.5"),
        ("--config.student.batch=", "config.student.batch expects int >= 1, got ''"),
        ("--config.student.batch", "--config.student.batch needs a value: --config.student.batch=VALUE"),
        ("--config.student=3", "config.student is a group of settings; set one of them, such as config.student.model"),
        ("--config.sweep.ipc=0", "config.sweep.ipc expects int >= 1, got 0"),
        ("--config.sweep.ipc=(1,'a')", "config.sweep.ipc expects int >= 1, got 'a'"),
        ("--config.sweep.labels=3", "config.sweep.labels: cannot read spec '3'; expected name(arguments)|..., such as "
         "'hard', 'teacher(epoch=5)|topk(3)'"),
        ("--config.protocol=peper", "config.protocol expects one of sealed, paper, both, got 'peper'"),
        ("--config.student.learning_rate=1e999", "config.student.learning_rate expects float > 0.0 and <= 3.4e+38, got inf"),
        ("--config.name=", "config.name expects a name for a folder, without / and of one line, got ''"),
        ("--config.teacher.store=gs://b/t", "config.teacher.store expects a path on this machine, got 'gs://b/t'; mount it first"),
    ],
)  # fmt: skip
def test_overrides(refused, override, message):
    assert refused("run", f"--config={DIGITS}", override) == (2, message)


def test_a_config_file_that_is_not_there(refused, tmp_path):
    Path("digits.py").write_text("")
    line = f"config file digts.py not found (current folder: {tmp_path}); nearest: digits.py"
    assert refused("run", "--config=digts.py:quick") == (2, line)
    assert refused("run", "--config", "digts.py") == (2, line)
    Path("digits.py").unlink()
    assert refused("run", "--config=a/b.py") == (2, f"config file a/b.py not found (current folder: {tmp_path})")


START = "from jaxsoft.config import default\ndef get_config(arg=None):\n    config = default()\n    "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config(:\n", "config file my config.py, line 1: SyntaxError: invalid syntax"),
        ("x = 1\n", "config file my config.py defines no get_config()"),
        ("\nimport nosuchmodule\n", "config file my config.py, line 2: ModuleNotFoundError: No module named 'nosuchmodule'"),
        ("def get_config():\n    return 1 / 0\n", "config file my config.py, line 2: ZeroDivisionError: division by zero"),
        ("def get_config():\n    raise ValueError('a\\nb')\n", "config file my config.py, line 2: ValueError: a"),
        ("def get_config():\n    raise SystemExit(3)\n", "config file my config.py, line 2: SystemExit: 3"),
        ("def get_config():\n    open('none')\n", "config file my config.py, line 2: FileNotFoundError: [Errno 2] No such "
         "file or directory: 'none'"),
        ("def get_config():\n    pass\n", "config expects a group of settings, got None"),
        ("def get_config():\n    return {'student': {'steps': 1.5}}\n", "config.student.steps expects int >= 0, got 1.5"),
        (START + "config.student.learning_rate = 'fast'\n", "config expects a group of settings, got None"),
        (START + "config.student.learning_rate = 'fast'\n    return config\n", "config.student.learning_rate expects float > "
         "0.0, got 'fast'"),
        (START + "config.student.lrr = 3\n    return config\n", "unknown setting config.student.lrr; did you mean "
         "config.student.learning_rate?"),
        (START + "config.student.batch = 0\n    return config\n", "config.student.batch expects int >= 1, got 0"),
    ],
)  # fmt: skip
def test_a_config_file_that_goes_wrong(refused, text, message):
    Path("my config.py").write_text(text)
    assert refused("run", "--config=my config.py") == (2, message)


def test_a_config_without_an_argument_is_not_given_one(refused):
    Path("c.py").write_text("def get_config():\n    return {}\n")
    line = "config file c.py: TypeError: get_config() takes 0 positional arguments but 1 was given"
    assert refused("run", "--config=c.py:quick") == (2, line)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("data.name=cifr10", "config.data.name: unknown dataset 'cifr10'; closest: cifar10, cifar100, image_folder (all of "
         "them: jaxsoft data list)"),
        ("data.name=my.birds", "config.data.name: unknown dataset 'my.birds'; closest: "),
        ("data.name=nosuch.birds:all", "config.data.name: module nosuch.birds not found beside "),
        ("data.resize=9", "config.data.resize=9 cannot be: images of digits are 8 pixels wide as published"),
        ("student.model=mpl", "config.student.model: unknown model 'mpl'; closest: mlp, "),
        ("student.optimizer=adam", "config.student.optimizer: unknown optimizer 'adam'; closest: adamw, sgd (all of them: "
         "jaxsoft/training/optim.py)"),
        ("select=randm", "config.select: unknown selection 'randm'; closest: random, "),
        ("sweep.labels=tempratur", "config.sweep.labels: unknown label source 'tempratur'; closest: teacher, teachers, array "),
        ("sweep.labels=teacher(epoch=2)|tempratur(3)", "config.sweep.labels: unknown label operation 'tempratur'; closest: "
         "temperature, topk, renormalize (all of them: jaxsoft/labels/ops.py)"),
        ("sweep.labels=teacher(epoch=2)|topk(11)", "config.sweep.labels: topk: k must be in 1..10, the number of classes, "),
        ("sweep.labels=teacher(epoch=5)", "label spec 'teacher(epoch=5)' asks for epoch 5; config.teacher.epochs is 4, the "),
        ("student.epochs=3", "config.student needs exactly one of steps and epochs above 0, got steps=40, epochs=3"),
        ("sweep.teacher_epoch=1,2", "config.sweep.teacher_epoch has no effect: every spec of config.sweep.labels says its "),
        ("sweep.ipc=1,1", "config.sweep.ipc has 1 more than once"),
        ("subjects=accuracy", "config.subjects=accuracy has no effect: no label spec drops a class, and "),
        ("sweep.ipc=500", "config.sweep.ipc: ipc=500 but class 8 (8) has 99 train images; the largest possible is 99"),
        ("student.model=convnet(depth=9)", "config.student.model: convnet: depth=9 halves the image 9 times and leaves "
         "nothing of 8x8 pixels; the largest possible depth is 3"),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit(dry_run, change, message):
    code, line = dry_run(f"--config.{change}")
    assert code == 2 and line.startswith(message)


@pytest.mark.parametrize(
    ("argv", "flag"),
    [
        (["run", f"--config={DIGITS}", "--workdir=gs://b/x"], "--workdir"),
        (["run", "--config=gs://b/x"], "--config"),
        (["run", f"--config={DIGITS}", "--config.data.root=gs://b/x"], "config.data.root"),
        (["report", "gs://b/x"], "jaxsoft report"),
        (["report", "run", "--out=gs://b/x"], "--out"),
        (["verify", "gs://b/x"], "jaxsoft verify"),
        (["data", "list", "--root=gs://b/x"], "--root"),
        (["data", "prepare", "cifar10", "--source=gs://b/x"], "--source"),
    ],
)
def test_a_bucket_is_no_folder(refused, argv, flag):
    assert refused(*argv) == (2, f"{flag} expects a path on this machine, got 'gs://b/x'; mount it first")


def test_home_is_found_in_every_path(refused, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert refused("verify", "~/x") == (4, f"no run folder at {tmp_path}/x")
    assert refused("report", "~/x") == (3, f"no run folder at {tmp_path}/x")
    assert refused("run", "--config=~/x.py")[1].startswith(f"config file {tmp_path}/x.py not found")
    assert f" --root {tmp_path}/x," in refused("data", "verify", "cifar10", "--root=~/x")[1]
    assert refused("data", "list", "--root=~nobody-of-this-name") == (
        2,
        "--root: there is no home folder for '~nobody-of-this-name'",
    )
    argv = ["run", f"--config={DIGITS}:quick", "--dry_run", "--nocompilation_cache", *SMALL]
    assert main([*argv, "--config.teacher.store=~/x", "--config.data.root=~/y"]) == 0
    told = capsys.readouterr().out
    assert f"config.teacher.store = '{tmp_path}/x'" in told and f"config.data.root = '{tmp_path}/y'" in told


@pytest.mark.parametrize("problem", [AssertionError(), RuntimeError("no 'cuda'\nmore"), ValueError("no 'cuda'")])
def test_a_platform_that_is_not_here(refused, monkeypatch, tmp_path, problem):
    from jaxsoft.experiment.machine import processes

    def fail():
        raise problem

    for name in [name for name in os.environ if name.startswith(("JAX_", "XLA_", "CUDA_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JAX_PLATFORMS", "cuda")
    monkeypatch.setattr(processes, "is_first", fail)
    reason = "no platform that was asked for is here" if type(problem) is AssertionError else "no 'cuda'"
    line = f"JAX cannot start: {reason} (JAX_PLATFORMS=cuda)"
    assert refused("run", f"--config={DIGITS}:quick", "--nocompilation_cache") == (2, line)
    assert list(tmp_path.iterdir()) == []


def test_the_last_of_several_overrides_counts(capsys):
    argv = ["run", f"--config={DIGITS}:quick", "--dry_run", "--nocompilation_cache", *SMALL]
    labels = [
        "--config.sweep.labels=hard,teacher(epoch=2),teacher(epoch=4)|topk(2, 3)",
        "--config.sweep.labels=hard,teacher(epoch=2)",
    ]
    assert main([*argv, "--config.sweep.ipc=5", *labels, "--config.sweep.axes=ipc,labels,seed"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "config.sweep.ipc = (5,)" in told and "config.sweep.labels = ('hard', 'teacher(epoch=2)')" in told
    assert "plan: 4 students in 1 buckets, 1 waves of equal shape" in told


def test_points_that_are_one_student_are_said(capsys):
    argv = ["run", f"--config={DIGITS}:quick", "--dry_run", "--nocompilation_cache", *SMALL]
    assert main([*argv, "--config.sweep.labels=hard,teacher", "--config.sweep.teacher_epoch=1,2"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "plan: 12 students in 2 buckets, 1 waves of equal shape" in told
    assert "  the axes have 16 combinations; those that mean the same student are trained once" in told


NUMPY = """
import numpy as np
from jaxsoft.config import default

def get_config():
    config = default()
    config.sweep.ipc, config.sweep.seed = np.arange(1, 3), np.arange(2)
    config.sweep.learning_rate = np.logspace(-3, -1, 3)
    config.teacher.epochs, config.data.validation = np.int64(4), np.float64(0.2)
    config.sweep.labels = np.array(["hard", "teacher(epoch=4)"])
    config.teacher.model = config.student.model = "mlp(hidden=4)"
    return config
"""


def test_a_config_of_numpys_numbers(capsys):
    Path("numbers.py").write_text(NUMPY)
    assert main(["run", "--config=numbers.py", "--dry_run", "--nocompilation_cache"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert {"config.sweep.ipc = (1, 2)", "config.sweep.learning_rate = (0.001, 0.01, 0.1)"} < set(told)
    assert "config.teacher.epochs = 4" in told and "plan: 24 students in 2 buckets, 1 waves of equal shape" in told


def test_names_from_outside_command_no_terminal(refused, capsys):
    assert refused("verify", "\x1b[2J\rgone\u202e")[1].startswith("no run folder at ")
    Path("c\x1b.py").write_text("def get_config():\n    raise ValueError('\\x1b[2J\\u202e')\n")
    line = "config file c\\x1b.py, line 2: ValueError: \\x1b[2J\\u202e"
    assert refused("run", "--config=c\x1b.py") == (2, line)
    assert refused("a\nb")[1].startswith("unknown command 'a\\nb'; ")


def test_a_dataset_that_is_absent(dry_run, refused):
    code, line = dry_run("--config.data.name=cifar10", "--config.data.root=my data")
    assert code == 3
    assert line.startswith(
        "config.data.name: cifar10 not found in my data; run: jaxsoft data prepare cifar10 --root 'my data', after placing"
    )
    assert "cifar-10-binary.tar.gz" in line and "https://" in line
    assert line.endswith("; --for=CHIP plans without it (a100, h100, h200, v4, v5e, v6e)")
    assert (
        "--for" not in dry_run("--config.data.name=image_folder", "--config.data.root=my data")[1]
    )  # of no known size
    for command in ("prepare", "verify"):
        code, line = refused("data", command, "cifar10", "--root=my data")
        assert code == 3 and "cifar-10-binary.tar.gz" in line and "my data" in line


def test_run_folders(refused, tmp_path):
    assert refused("report", "none") == (3, "no run folder at none")
    assert refused("verify", "none") == (4, f"no run folder at {tmp_path}/none, and no imported set 'none'")
    Path("other").mkdir()
    Path("other/config.json").write_text('{"name": "other"}')
    code, line = refused(
        "run", f"--config={DIGITS}:quick", "--config.name=mine", "--workdir=other", "--nocompilation_cache"
    )
    assert code == 4
    assert line.startswith(
        f'run folder {tmp_path}/other belongs to another config: config.name is "other" there, "mine" now; '
    )
    assert line.endswith("resume with the stored settings or choose another --workdir")


def test_a_dry_run_refuses_the_folder_that_the_run_would_refuse(dry_run, tmp_path):
    Path("other").mkdir()
    Path("other/config.json").write_text('{"name": "other"}')
    Path("other/teachers.json").write_text("not read")
    code, line = dry_run("--config.name=mine", "--workdir=other", *SMALL)
    assert code == 4 and 'belongs to another config: config.name is "other" there, "mine" now' in line
    Path("file").write_text("")
    told = f"{tmp_path}/file is a file, no folder for a run; choose another --workdir"
    assert dry_run("--workdir=file", *SMALL) == dry_run("--workdir=file/run", *SMALL) == (4, told)


def test_a_changed_file_is_told(refused):
    Path("run").mkdir()
    Path("run/a.txt").write_text("abc")
    from jaxsoft.experiment.store import manifest
    from jaxsoft.experiment.store.folder import RunFolder

    manifest.write(RunFolder("run"))
    assert main(["verify", "run"]) == 0
    Path("run/a.txt").write_text("abd")
    assert refused("verify", "run") == (4, "run is not what the run left: a.txt: changed since the run finished")


@pytest.mark.parametrize("kind", [errors.ConfigError, errors.DataError, errors.CheckpointError, errors.Interrupted])
def test_every_error_has_its_exit_code(refused, monkeypatch, kind):
    from jaxsoft.experiment import run

    def fail(*_, **__):
        raise kind("what happened")

    monkeypatch.setattr(run, "run", fail)
    code = {"ConfigError": 2, "DataError": 3, "CheckpointError": 4, "Interrupted": 75}[kind.__name__]
    assert refused("run", f"--config={DIGITS}:quick", "--nocompilation_cache") == (code, "what happened")


def test_only_our_own_lines_are_lines(monkeypatch, capsys):
    from jaxsoft.command import verify

    def fail(_):
        raise errors.CheckpointError("these differ:", "  leaf\x1b  a\njaxsoft: all is well")

    monkeypatch.setattr(verify, "verified", fail)
    assert main(["verify", "run"]) == 4
    assert capsys.readouterr().err == "jaxsoft: these differ:\n  leaf\\x1b  a\\njaxsoft: all is well\n"


@pytest.mark.parametrize(("status", "code"), [("done", 0), ("failed", 5)])
def test_failed_members_change_the_exit_code(monkeypatch, capsys, status, code):
    from jaxsoft.analysis import report
    from jaxsoft.command import report as command_report
    from jaxsoft.experiment import run

    rows = [{"status": "done"}, {"status": status}]
    monkeypatch.setattr(run, "run", lambda *_, **__: rows)
    monkeypatch.setattr(run, "close", lambda *_: None)
    monkeypatch.setattr(report, "write_report", lambda *_: Path("here/report.html"))
    monkeypatch.setattr(command_report, "ending", lambda *_: "THE TABLE\n\nTHE ANSWER")
    assert main(["run", f"--config={DIGITS}:quick", "--workdir=here", "--nocompilation_cache"]) == code
    told = capsys.readouterr().out
    assert "THE TABLE\n\nTHE ANSWER\n" in told and "report: here/report.html" in told and "next: " in told
    assert ("1 failed" in told) == (code == 5)


def test_a_dry_run_tells_everything_and_writes_nothing(capsys, tmp_path):
    argv = ["run", f"--config={DIGITS}:quick", "--dry_run", "--nocompilation_cache", *SMALL, "--config.sweep.seed", "7"]
    assert main([*argv, "--config.sweep.labels=('hard','teacher(accuracy=0.5)')"]) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert told.err == ""
    assert re.match(r"python [\d.]+, jaxsoft [\d.]+, jax [\d.]+; \d x cpu", lines[0])
    settings = {line.split(" = ")[0] for line in lines if line.startswith("config.")}
    flat = config.default().to_dict()
    assert settings == {
        f"config.{k}" + (f".{name}" if name else "")
        for k, v in flat.items()
        for name in (v if isinstance(v, dict) else [""])
    }
    assert "config.sweep.seed = (7,)" in lines and "config.student.steps = 40" in lines
    assert any(
        re.match(r"data: digits, \d+ train, \d+ validation, 500 test images of 8x8x1, 10 classes", x) for x in lines
    )
    assert "plan: 4 students in 2 buckets, 1 waves of equal shape" in lines
    assert any(re.match(r" +2 x mlp\(hidden=4\): 10 images, batch 10, 40 steps, blocks of \d", x) for x in lines)
    assert any(x.startswith("  executables: 1 for training") for x in lines)
    assert any(re.match(r"  memory: [\d,]+ MB predicted for a wave, [\d,]+ MB allowed", x) for x in lines)
    assert any(
        re.match(r"  students: (about [\d.]+ (s|min|h)|a few seconds), and compilation before", x) for x in lines
    )
    assert "  teacher(accuracy=0.5): resolved to an epoch once the experts are trained" in lines
    assert list(tmp_path.iterdir()) == []


def test_data_list(capsys):
    assert main(["data", "list"]) == 0
    rows = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert rows["digits"].startswith("built in") and rows["cifar10"].startswith("absent")


def module(*argv, **environment):
    return subprocess.run(
        [sys.executable, "-m", "jaxsoft", *argv],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        timeout=300,
    )


def test_a_process_fails_with_one_line_and_without_loading_jax():
    done = module("run", f"--config={DIGITS}", "--config.lrr=3", PYTHONPROFILEIMPORTTIME="1")
    lines = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
    assert lines == ["jaxsoft: unknown setting config.lrr; did you mean config.sweep.learning_rate?"]
    assert done.returncode == 2 and done.stdout == ""
    assert "jaxsoft.config" in done.stderr and not re.search(r"\| +jax$", done.stderr, re.MULTILINE)


def test_a_terminal_without_unicode_is_no_reason_to_fail(tmp_path):
    done = module("run", "--config=größe.py", PYTHONIOENCODING="ascii")
    line = f"jaxsoft: config file gr\\xf6\\xdfe.py not found (current folder: {tmp_path})\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_a_dry_run_without_a_home_or_a_terminal(tmp_path):
    done = module(
        "run", f"--config={DIGITS}:quick", "--dry_run", *SMALL, HOME="/nonexistent", XDG_CACHE_HOME="", TERM="dumb"
    )
    assert done.returncode == 0, done.stderr
    assert "plan: 12 students in 2 buckets" in done.stdout and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
