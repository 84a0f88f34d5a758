"""Experiments by name: from any folder, whatever lies there; listed as their headers have them; copied, and run."""

import shlex
from pathlib import Path

import pytest

from jaxsoft import config, errors, main
from jaxsoft.command import arguments, experiments
from jaxsoft.config import values

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def read(*argv):
    return arguments.settings(argv, workdir="", dry_run=False)


def test_a_word_names_an_experiment_and_flags_may_stand_on_both_sides():
    settings, given = read("--workdir", "x", "swap:quick,data=cifar10", "--dry_run", "--config.sweep.seed=7")
    assert (settings.name, settings.data.name, settings.sweep.seed) == ("swap-cifar10-quick", "cifar10", (7,))
    assert given == {"workdir": "x", "dry_run": True}
    assert read("swap")[0] == read(f"--config={CONFIGS / 'swap.py'}")[0]


@pytest.mark.parametrize(
    "argv, name",
    [
        (["swap"], "swap-digits"), (["swap:quick"], "swap-digits-quick"), (["digits"], "digits"), (["cifar10:quick"], "cifar10-quick"),
        (["swap", "--config.data.name=cifar10"], "swap-cifar10"), (["swap", "--config.name=a-{data}"], "a-digits"),
        (["swap:data=tfds:mnist:3.0.1,classes=10"], "swap-tfds-mnist-3.0.1"), (["--config=own.py"], "own-mine-birds"),
    ],
)  # fmt: skip
def test_a_folder_is_named_after_the_config_and_the_dataset_that_are_run(argv, name):
    Path("own.py").write_text("def get_config():\n    return {'data': {'name': 'mine:birds'}}\n")
    assert read(*argv)[0].name == name


def test_files_of_the_current_folder_do_not_stand_for_an_experiment_nor_it_for_them():
    for name in ("swap", "swap.py"):
        Path(name).write_text("def get_config(arg=None):\n    return {'name': 'mine'}\n")
    assert read("swap")[0].name == "swap-digits"
    assert read("--config=swap.py")[0].name == read("--config=swap")[0].name == "mine"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ("swpa", r"unknown experiment 'swpa'; closest: swap, .*; all of them: cifar10, .*, swap, .*, zero_shot"),
        ("mine.py", r"unknown experiment 'mine.py'; .*, zero_shot; a file is given as --config=mine.py"),
        ("../configs/swap", r"unknown experiment '../configs/swap'; .*, zero_shot"),
        ("--config=configs/swap.py", r"config file configs/swap.py not found .*; the experiment .*: jaxsoft run swap"),
    ],
)
def test_an_unknown_name_is_told_in_one_line(argv, told):
    with pytest.raises(errors.ConfigError, match=f"^{told}$"):
        read(argv)


def test_the_list_says_what_the_headers_say(capsys):
    assert main.main(["configs"]) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["experiment", "time", "data", "question"]
    assert [line.split()[0] for line in lines[: len(experiments.names())]] == sorted(
        p.stem for p in CONFIGS.glob("*.py")
    )
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    assert rows["swap"] == "5.6 min on digits digits Which entries of a soft label matter?"
    assert rows["cifar100"].startswith("not measured cifar100 Random CIFAR-100 images with soft labels: the paper's")
    assert "times: two cores of an AMD EPYC that did other work too, experts trained before" in lines


def test_a_copy_is_a_config_of_ones_own_and_replaces_nothing(capsys):
    assert main.main(["configs", "copy", "swap", "my folder"]) == 0
    assert "jaxsoft run --config='my folder/swap.py'" in capsys.readouterr().out
    copied = Path("my folder/swap.py")
    assert copied.read_bytes() == (CONFIGS / "swap.py").read_bytes()
    assert read(f"--config={copied}:quick")[0] == read("swap:quick")[0]
    copied.write_text("mine")
    assert main.main(["configs", "copy", "swap", "my folder"]) == 2
    assert "my folder/swap.py is there already and is not overwritten" in capsys.readouterr().err
    assert copied.read_text() == "mine"
    Path("file").touch()
    assert main.main(["configs", "copy", "swap", "file"]) == main.main(["configs", "copy", "swpa"]) == 2
    assert sorted(path.name for path in Path().iterdir()) == ["file", "my folder"]


def test_a_wheel_has_them_inside_of_the_package(tmp_path, monkeypatch):
    assert experiments.folder() == CONFIGS
    (tmp_path / "jaxsoft" / "configs").mkdir(parents=True)
    monkeypatch.setattr(experiments, "_PACKAGE", tmp_path / "jaxsoft")
    assert experiments.folder() == tmp_path / "jaxsoft" / "configs"


def test_help_has_every_setting_with_a_default_that_reads_back(capsys):
    assert main.main(["run", "--help"]) == 0
    told = capsys.readouterr().out.partition("Settings, with their defaults:\n")[2]
    lines = [line for line in told.splitlines() if line.strip()]
    pairs = [tuple(shlex.split(line)[0].removeprefix("--").split("=", 1)) for line in lines[::2]]
    assert {path for path, _ in pairs} == set(config._KNOWN)
    assert config.read_with({}, pairs) == config.Settings()
    assert ("config.sweep.labels", "hard,teacher(epoch=10)") in pairs
    told = dict(zip((path for path, _ in pairs), lines[1::2]))
    assert (
        told["config.teacher.experts"] == "    (int >= 0 and <= 1000) how many, trained at once, if a label needs them"
    )
    assert told["config.learned.pool"].startswith("    (one of fresh, persistent) students begin anew")
    assert told["config.sweep.ipc"] == "    (int >= 1, several with commas) images per class"


def test_a_value_is_written_as_it_is_read():
    for value, wanted in [((), tuple[int, ...]), (("a(1, 2)", "b|c"), tuple[str, ...]), (0.5, float), ("x y", str)]:
        assert values.parsed(values.written(value), wanted) == value
