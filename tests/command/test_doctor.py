"""What the doctor finds: a line for each thing, and an exit code that says whether a run can start."""

import os
import tomllib
import types
from importlib import metadata
from pathlib import Path

import jax
import pytest

from jaxsoft import errors, main
from jaxsoft.command import doctor

ROOT = Path(errors.__file__).parents[1]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    jax.devices()  # at work already, so that no command changes its devices
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSOFT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", str(tmp_path))  # no nvidia-smi, whatever this machine has
    monkeypatch.delenv("XLA_FLAGS", raising=False)  # that of the tests
    kept = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield
    jax.config.update("jax_compilation_cache_dir", kept)


def examined(capsys):
    """The exit code; lines by state."""
    code = main.main(["doctor"])
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    return code, {state: [text for word, text in lines if word == state] for state in ("ok", "warning", "problem")}


def starting(lines, start):
    return [line for line in lines if line.startswith(start)]


def test_a_machine_on_which_a_run_can_start(capsys, tmp_path):
    code, told = examined(capsys)
    assert code == 0 and told["problem"] == []
    assert starting(told["ok"], f"jaxsoft {metadata.version('jaxsoft')}, jax {jax.__version__}, jaxlib ")
    assert starting(told["ok"], f"{jax.device_count()} x cpu, platform cpu; ")
    assert starting(told["ok"], "memory: ") and starting(told["ok"], f"run folders: {tmp_path}/runs (not there yet), ")
    assert starting(told["ok"], f"compiled programs: {tmp_path}/jaxsoft/xla (not there yet), ")
    assert starting(told["ok"], f"data: {tmp_path}/data (not there yet), ")
    assert starting(told["ok"], "data sets: ")[0].endswith("built in: digits, moving_digits")
    assert list(tmp_path.iterdir()) == []


def test_data_that_is_half_prepared(capsys, tmp_path):
    (tmp_path / "data" / "cifar10").mkdir(parents=True)
    (tmp_path / "data" / "cifar10" / "train.npy").touch()
    assert examined(capsys)[1]["warning"] == ["cifar10 is only half prepared; run: jaxsoft data prepare cifar10"]


@pytest.mark.parametrize(
    ("script", "variables", "told"),
    [
        ("echo 'NVIDIA H100 80GB HBM3, 550.90.07'", {}, "(NVIDIA H100 80GB HBM3, driver 550.90.07): pip install 'jaxsoft[cuda12]'"),
        ("echo 'NVIDIA B200, 580.65.06'", {}, "(NVIDIA B200, driver 580.65.06): pip install 'jaxsoft[cuda13]'"),
        ("echo 'NVIDIA B200, 580.65.06'", {"JAX_PLATFORMS": "cpu"}, "(NVIDIA B200, driver 580.65.06): JAX_PLATFORMS=cpu may hide it"),
        ("exit 9", {}, "NVIDIA's driver is here, but finds no GPU: "),
        ("exit 0", {}, ""),
    ],
)  # fmt: skip
def test_a_gpu_that_jax_does_not_see(capsys, tmp_path, monkeypatch, script, variables, told):
    for name in ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    for name, text in variables.items():
        monkeypatch.setenv(name, text)
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    code, found = examined(capsys)
    assert code == 0 and len(found["warning"]) == bool(told) and all(told in line for line in found["warning"])


def test_settings_of_the_shell(capsys, monkeypatch):
    monkeypatch.setenv("JAX_SOMETHING_NEW", "1")
    assert examined(capsys)[1]["warning"] == ["JAX_SOMETHING_NEW=1 can change numbers: it is part of every key"]
    with jax.disable_jit():
        code, told = examined(capsys)
    assert code == 1 and told["problem"][0].startswith("JAX_DISABLE_JIT is on, but everything is one compiled program")


def test_jax_that_cannot_start(capsys, monkeypatch):
    def fail():
        raise RuntimeError("no devices\nat all")

    monkeypatch.setattr(jax, "device_count", fail)
    code, told = examined(capsys)
    assert code == 1 and len(told["problem"]) == 1 and told["problem"][0].startswith("JAX cannot start: no devices (")
    assert starting(told["ok"], "data sets: ") and not starting(told["ok"], "memory: ")


def test_packages(capsys, monkeypatch):
    asked = ["flax<0.1", "nosuchpackage>=2", "another; extra == 'test'", "numpy"]
    monkeypatch.setattr(metadata, "requires", lambda _: asked)
    code, told = examined(capsys)
    assert code == 1 and told["problem"] == ["nosuchpackage is missing; pip install 'nosuchpackage>=2'"]
    assert told["warning"] == [
        f"flax {metadata.version('flax')} is not what jaxsoft is tested with; pip install 'flax<0.1'"
    ]


def test_a_checkout_that_is_not_installed(capsys, monkeypatch):
    monkeypatch.setattr(metadata, "distributions", lambda **_: [])
    assert errors.install("bench") == f"pip install -e '{ROOT}[bench]'"

    def fail(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", fail)
    told = f"jaxsoft is not installed, so what it asks for is not known; pip install -e {ROOT}"
    assert examined(capsys)[1]["warning"] == [told]


def test_extras_that_are_here_and_those_that_are_not(monkeypatch):
    asked = {
        "jaxsoft": [
            "numpy",
            "pytest; extra == 'test'",
            "nosuchpackage; extra == 'bench'",
            "jax[gpu]; extra == 'cuda12'",
        ],
        "jax": ["numpy", "jax-gpu-plugin; extra == 'gpu'"],
    }
    monkeypatch.setattr(metadata, "requires", lambda name: asked.get(name))
    extras = {"Provides-Extra": ["test", "bench", "cuda12"]}
    monkeypatch.setattr(metadata, "metadata", lambda _: types.SimpleNamespace(get_all=extras.get))
    told = "extras: test; not here: bench (compare with PyTorch), cuda12 (NVIDIA GPU): pip install 'jaxsoft[NAME]'"
    assert doctor._extras() == told
    asked["jax"][1] = "pytest; extra == 'gpu'"
    assert doctor._extras().startswith("extras: test, cuda12; not here: bench ")


def test_it_is_known_what_each_extra_is_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(doctor._EXTRAS) == set(project["optional-dependencies"])


def test_folders(tmp_path, monkeypatch):
    state, told = doctor._folder("runs", tmp_path / "a" / "b", doctor.PROBLEM)
    assert state == doctor.OK and told.startswith(f"runs: {tmp_path}/a/b (not there yet), ")
    (tmp_path / "file").touch()
    state, told = doctor._folder("runs", tmp_path / "file" / "b", doctor.PROBLEM)
    assert state == doctor.PROBLEM and told.endswith("cannot be written")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert doctor._folder("runs", Path("runs"))[0] == doctor.WARNING
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "_LITTLE", 1e9)
    assert doctor._folder("runs", tmp_path)[0] == doctor.WARNING
