"""Arrays of a user's own in a whole run: a function beside the config, a run folder, resume, refusal and report."""

import re
from pathlib import Path

import numpy as np
import pytest
import tiny_run

import jaxsoft
from jaxsoft import imports, main

PAGE = (Path(__file__).parents[2] / "docs" / "own.md").read_text()
DATA = """
import numpy as np

def two_channels(seed: int = 0):
    labels = np.arange(120) % 3
    images = np.random.default_rng(seed).random((120, 5, 7, 2)) / 2
    return images + labels[:, None, None, None] / 4, labels
"""


@pytest.fixture(autouse=True)
def beside_nothing_afterwards():
    yield
    imports.beside(None)


def test_own_arrays_are_run_resumed_and_reported(tmp_path, capsys, caplog):
    (tmp_path / "own_arrays.py").write_text(DATA)
    config = tiny_run.config_file(
        tmp_path, {"data.name": "own_arrays:two_channels", "data.limit": 0, "sweep.seed": (0,)}
    )
    command = ["run", f"--config={config}", f"--workdir={tmp_path / 'run'}"]
    assert main.main(command) == 0
    assert "own_arrays:two_channels, 78 train, 18 validation, 24 test images of 5x7x2" in capsys.readouterr().out
    with np.load(tmp_path / "run" / "examples.npz") as kept:
        assert kept["images"].dtype == np.uint8 and kept["images"].shape == (3, 5, 7, 2) and kept["images"].max() > 200
    report = (tmp_path / "run" / "report.html").read_text()
    assert "own_arrays:two_channels" in report and "What the teacher says of single images" in report
    assert "could not be drawn" not in caplog.text
    assert main.main(command) == 0
    assert "students: 0 of 4 left" in capsys.readouterr().out
    (tmp_path / "own_arrays.py").write_text(DATA.replace("seed: int = 0", "seed: int = 1"))
    assert main.main(command) == 4
    assert "fingerprint" in capsys.readouterr().err


def test_the_page_is_true_of_a_dataset(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(def shades.*?)```", PAGE, re.DOTALL)
    (named,) = re.findall(r'data.name = "mine:(.*?)"', PAGE)
    (tmp_path / "page_data.py").write_text(f"import numpy as np\n{code}")
    monkeypatch.syspath_prepend(tmp_path)
    data = jaxsoft.load(f"page_data:{named}")
    assert (data.image_shape, data.num_classes, len(data.test)) == ((8, 8, 1), 3, 60)


def test_a_function_that_is_not_there_is_one_line_and_nothing_is_written(tmp_path, capsys):
    config = tiny_run.config_file(tmp_path, {"data.name": "own_arrays:two_channels"})
    assert main.main(["run", f"--config={config}", f"--workdir={tmp_path / 'run'}"]) == 2
    assert (
        capsys.readouterr().err
        == f"jaxsoft: config.data.name: module own_arrays not found beside {config} nor on sys.path\n"
    )
    assert not (tmp_path / "run").exists()
