"""What is built: a wheel that carries the experiments, a source distribution with all that is tracked, the commit."""

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from jaxsoft.experiment.machine import commit as built

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = {".ci", ".pre-commit-config.yaml"}  # of use in a clone only
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def build(source: Path, target: Path, kind: str) -> Path:
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(target)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return next(target.iterdir())


def tracked() -> set[str]:
    done = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True)
    return set(done.stdout.split("\n")) - {""}


def test_a_source_distribution_asks_for_everything_that_is_tracked():
    asked = PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    tops = {name.partition("/")[0] for name in tracked()} - LEFT_OUT - {".gitignore", "pyproject.toml"}
    assert {top for top in tops if not any(Path("/", top).match(pattern) for pattern in asked)} == set()


def test_wheels_and_source_distributions(tmp_path):
    pytest.importorskip("hatchling")
    with tarfile.open(build(ROOT, tmp_path / "sdist", "sdist")) as packed:
        packed.extractall(tmp_path / "unpacked", filter="data")
    unpacked = next((tmp_path / "unpacked").iterdir())
    inside = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert {name for name in tracked() - inside if name.partition("/")[0] not in LEFT_OUT} == set()
    wheels = [build(ROOT, tmp_path / "a", "wheel"), build(unpacked, tmp_path / "b", "wheel")]
    for wheel in map(zipfile.ZipFile, wheels):
        for path in (ROOT / "configs").glob("*.py"):
            assert wheel.read(f"jaxsoft/configs/{path.name}") == path.read_bytes()
        commit = built.commit()
        assert commit is None or wheel.read("jaxsoft/experiment/machine/COMMIT").decode() == f"{commit}\n"
    assert set(zipfile.ZipFile(wheels[0]).namelist()) == set(zipfile.ZipFile(wheels[1]).namelist())
    assert not built.WRITTEN.exists()


def test_what_is_built_knows_its_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(built, "__file__", str(tmp_path / "commit.py"))
    monkeypatch.setattr(built, "WRITTEN", tmp_path / "COMMIT")
    assert built.commit() is None
    (tmp_path / "COMMIT").write_text("abc-dirty\n")
    assert built.commit() == "abc-dirty"
