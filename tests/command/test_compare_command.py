"""The words of `jaxsoft compare` as those of `jaxsoft run`."""

import pytest

from jaxsoft import errors
from jaxsoft.command import compare
from jaxsoft.distilled.kept import KIND


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["k_centers", "--seeds", "3"], ["compare:sets=k_centers,seeds=3"]),
        (["k_centers", "herding", "--data=cifar10"], ["compare:sets=k_centers+herding,data=cifar10"]),
        (["herding", "--models=mlp(layers=1), convnet(depth=2, width=16)"], ["compare:sets=herding,models=mlp(layers=1)+convnet(depth=2, width=16)"]),
        (["herding", "--augment", "none,crop_flip(1)"], ["compare:sets=herding,augment=none+crop_flip(1)"]),
        (["herding", "--rates=1e-3,.1", "--bits=equal", "--quick"], ["compare:sets=herding,rates=1e-3+.1,bits=equal,quick"]),
        (["--config.note", "x", "k_centers", "--dry_run"], ["compare:sets=k_centers", "--config.note", "x", "--dry_run"]),
    ],
)  # fmt: skip
def test_words(argv, words):
    assert compare.as_run(argv) == words


def test_the_data_set_is_that_of_the_first_imported_set(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXSOFT_SETS", str(tmp_path))
    record = {"data": {"name": "cifar100"}, "class_names": [], "image_shape": [], "kind": "hard", "ipc": 1}
    KIND.keep(KIND.place("mtt"), record, {})
    assert compare.as_run(["k_centers", "mtt"]) == ["compare:sets=k_centers+mtt,data=cifar100"]
    assert compare.as_run(["mtt", "--data=digits"]) == ["compare:sets=mtt,data=digits"]


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["a+b"], "has no '\\+', got 'a\\+b'"),
        ([], "^expected: jaxsoft compare SET"),
        (["--quick"], "^expected: jaxsoft compare SET"),
        (["--ipc"], "^--ipc needs a value: --ipc=VALUE$"),
        (["--seeds="], "^--seeds needs"),
    ],
)
def test_mistakes(argv, told):
    with pytest.raises(errors.ConfigError, match=told):
        compare.as_run(argv)
