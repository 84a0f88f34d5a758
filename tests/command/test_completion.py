"""What bash completes is what the command line takes."""

import shutil
import subprocess

import pytest

from jaxsoft import config, main
from jaxsoft.command import experiments


@pytest.fixture
def completed(capsys):
    """What bash offers for the words after `jaxsoft`, the last of which is not finished."""
    if not (bash := shutil.which("bash")):
        pytest.skip("bash is missing")
    assert main.main(["completion"]) == 0
    script = capsys.readouterr().out

    def run(*words):
        asked = f'COMP_WORDS=(jaxsoft "$@"); COMP_CWORD={len(words)}; compopt() {{ echo nospace; }}; _jaxsoft'
        asked += '; echo "${COMPREPLY[*]}"'
        done = subprocess.run(
            [bash, "-c", f"{script}\n{asked}", "-", *words], capture_output=True, text=True, timeout=300
        )
        assert done.stderr == ""
        return done.stdout.split()

    return run


def test_commands(completed, capsys):
    main.main(["nothing"])
    commands = capsys.readouterr().err.partition("choices: ")[2].strip().split(", ")
    assert completed("") == commands
    assert completed("ve") == ["verify"]
    for command in commands:
        assert not any("[" in word or "|" in word for word in completed(command, ""))


def test_flags_settings_and_names(completed):
    assert completed("run", "dig") == ["digits"] and completed("run", "--dry") == ["--dry_run"]
    assert completed("run", "--work") == ["nospace", "--workdir="]
    assert completed("run", "digits", "--config.student.sch") == ["nospace", "--config.student.schedule="]
    assert set(experiments.names()) | set(config.flags()) < set(completed("run", ""))
    assert completed("configs", "c") == [
        "copy",
        "cifar10",
        "cifar100",
        "clips",
        "committee",
        "compare",
        "cross_architecture",
    ]
    assert completed("data", "") == [
        "list",
        "prepare",
        "verify",
        "--root=",
        "--source=",
        "--resize=",
        "--frames=",
        "--encoded",
        *DATASETS,
    ]
    assert completed("report", "--") == ["nospace", "--out=", "--mix", "--formats="]
    assert completed("verify", "") == ["--root=", "--run=", "--teach"]


DATASETS = "cifar10 cifar100 digits image_folder imagenet imagenet64 moving_digits tfds tiny_imagenet video".split()
