"""What is built: a wheel that carries the experiments, a source distribution with all that is tracked, version and commit."""

import re
import runpy
import shutil
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
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, timeout=300)
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
    wheels = [zipfile.ZipFile(build(source, tmp_path / source.name, "wheel")) for source in (ROOT, unpacked)]
    for wheel in wheels:
        for path in (ROOT / "configs").glob("*.py"):
            assert wheel.read(f"jaxsoft/configs/{path.name}") == path.read_bytes()
        commit = built.commit()
        assert commit is None or wheel.read("jaxsoft/experiment/machine/COMMIT").decode() == f"{commit}\n"
    assert set(wheels[0].namelist()) == set(wheels[1].namelist())  # the version is in them too
    assert not (tracked() and built.WRITTEN.exists())  # what is unpacked has it


def test_what_is_built_knows_its_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(built, "__file__", str(tmp_path / "commit.py"))
    monkeypatch.setattr(built, "WRITTEN", tmp_path / "COMMIT")
    assert built.commit() is None
    (tmp_path / "COMMIT").write_text("abc-dirty\n")
    assert built.commit() == "abc-dirty"


RELEASE = "0.1.0"


@pytest.fixture
def clone(tmp_path):
    """Run git in a clone that holds the build's own file, released as 0.1.0, in one commit."""

    if not shutil.which("git"):
        pytest.skip("git is missing")

    def git(*words):
        who = ["-c", "user.name=a", "-c", "user.email=b", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *words], check=True, capture_output=True)

    text = re.sub(r"^RELEASE = .*", f'RELEASE = "{RELEASE}"', (ROOT / "hatch_build.py").read_text(), flags=re.MULTILINE)
    (tmp_path / "hatch_build.py").write_text(text)
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    return git


def version(folder: Path) -> str:
    pytest.importorskip("hatchling")
    return runpy.run_path(str(folder / "hatch_build.py"))["version"]()


@pytest.mark.parametrize(
    ("tag", "tagged", "later"),
    [
        ("v0.3.0", "0.3.0", "0.3.1.dev1"),
        ("v0.3.0rc1", "0.3.0rc1", "0.3.0rc2.dev1"),
        ("v0.0.9", RELEASE, RELEASE),  # tags of releases since then are not in this clone
        ("first", RELEASE, RELEASE),
    ],
)
def test_a_tag_says_the_version(clone, tmp_path, tag, tagged, later):
    assert version(tmp_path) == RELEASE
    clone("tag", tag)
    assert version(tmp_path) == tagged
    clone("commit", "--allow-empty", "-m", "two")
    clone("tag", "verified")  # is no version
    assert version(tmp_path) == later
    shutil.rmtree(tmp_path / ".git")
    assert version(tmp_path) == RELEASE


def test_a_changed_file_is_no_release(clone, tmp_path):
    clone("tag", "v0.3.0")
    with open(tmp_path / "hatch_build.py", "a") as file:
        file.write("# changed\n")
    assert version(tmp_path) == "0.3.1.dev0"


def test_tags_of_a_clone_that_merely_holds_the_files_are_not_ours(clone, tmp_path):
    clone("tag", "v9.0.0")
    (tmp_path / "unpacked").mkdir()
    shutil.copy(tmp_path / "hatch_build.py", tmp_path / "unpacked")
    assert version(tmp_path / "unpacked") == RELEASE


def test_the_last_release_is_told_alike():
    pytest.importorskip("hatchling")
    release = runpy.run_path(str(ROOT / "hatch_build.py"))["RELEASE"]
    assert f"\nversion: {release}\n" in (ROOT / "CITATION.cff").read_text()
