"""A normalization with an argument, from the config to the rows, under one spelling."""

import json

import tiny_run as tiny

from jaxsoft.experiment import run
from jaxsoft.experiment.plan import make, sweep


def test_a_whitening_with_its_argument_runs_and_goes_on_under_any_spelling(tmp_path, capsys):
    changes = {"sweep.ipc": (1,), "sweep.seed": (0,), "sweep.labels": ("hard",)}
    for text, told in (("zca(0.05)", "students: 1 of 1 left"), ("zca(regularization=5e-2)", "students: 0 of 1 left")):
        file = tiny.config_file(tmp_path, changes | {"data.normalize": text})
        assert tiny.command(file, tmp_path / "run") == 0, capsys.readouterr()
        assert told in capsys.readouterr().out
        stored = json.loads((tmp_path / "run" / "config.json").read_text())
        assert stored["data"]["normalize"] == "zca(regularization=0.05)"


def test_whitened_images_are_counted_as_floats():
    one, other = (tiny.settings({"data.normalize": text}) for text in ("zca", "zca(regularization=0.05)"))
    data, members = run.load(one), sweep.expand(one)
    plain = make.shared_bytes(tiny.settings(), members, data)
    assert make.shared_bytes(one, members, data) == make.shared_bytes(other, members, data) > 2 * plain
