"""A plan for accelerators that are not here, made on a CPU."""

import re

import pytest

from jaxsoft import config, data, target
from jaxsoft.command import arguments
from jaxsoft.experiment import run
from jaxsoft.experiment.plan import make
from jaxsoft.experiment.tell import forecast
from jaxsoft.main import main
from jaxsoft.training import cost, floors

CIFAR = {
    "data": {"name": "cifar10"},
    "student": {"model": "convnet(depth=1, width=8)", "batch": 10, "steps": 60, "evaluations": 3},
    "sweep": {"ipc": (1,), "labels": ("hard",), "seed": (0, 1, 2, 3)},
}


@pytest.fixture
def told(capsys, monkeypatch, tmp_path):
    """Runs a command where no data is; what it prints, or the one line that it says instead."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAXSOFT_DATA", str(tmp_path / "none"))

    def call(*argv):
        code, said = main(argv), capsys.readouterr()
        assert code == 0 or len(said.err.splitlines()) == 1
        return said.out if code == 0 else (code, said.err.strip())

    return call


@pytest.mark.parametrize("lowering, times", [("auto", floors.UNTIMED), ("patches", floors.MEASURED)])
def test_digits_on_an_h200(told, lowering, times):
    how = f"--config.compute.lowering={lowering}"
    out = told("run", "digits:quick", "--dry_run", "--nocompilation_cache", "--for=h200", how)
    assert "bfloat16" in out and "90,000 MB allowed" in out and "useful image slots" in out
    assert "on 1 x h200, which is not here" in out and "not counted" in out
    assert f"{times[0]:g} to {times[1]:g} times that" in out
    assert ("nobody has timed" in out) == (lowering == "auto")
    assert "rate of matrix products" not in out, "that would be of the machine that is here"


def test_without_the_data_a_stand_in_is_planned_with_and_says_so(told):
    out = told("run", "cifar10", "--dry_run", "--nocompilation_cache", "--for=8xv5e")
    assert "a set that is not prepared here" in out and "45000 train" in out
    assert "on 8 x v5e, which are not here" in out and "no program was ever measured on a TPU" in out
    assert "teachers" in re.search("at least .*", out)[0]


@pytest.mark.parametrize(
    "argv, message",
    [
        (("--for=h200",), "--for=h200 plans for devices that are not here: it wants --dry_run, too"),
        (("--dry_run", "--for=h300"), "--for expects one of a100, h100, h200, v4, v5e, v6e, or several as 8xh200"),
    ],
)
def test_what_cannot_be_planned_is_one_line(told, argv, message):
    code, line = told("run", "digits:quick", "--nocompilation_cache", *argv)
    assert code == 2 and message in line


def test_a_dry_run_of_the_machine_that_is_here_wants_the_data(told):
    code, line = told("run", "cifar10", "--dry_run", "--nocompilation_cache")
    assert code == 3 and "not found" in line


def planned(chip, **changes):
    """A plan of four students, what its lines say, and how it was made."""
    settings = config.read(CIFAR | changes)
    with target.aimed(target.named(chip)):
        dataset = data.stand_in("cifar10")
        made = make.make(settings, dataset, None, {})
        return made, forecast.lines(made, settings, dataset)


def test_the_floor_by_hand():
    """Four members in one block take 60 steps; 3 looks at 5,000 images and the test at 10,000, 256 at a time."""
    made, lines = planned("h100")
    (bucket,) = made.buckets_of()
    assert (bucket.members, bucket.block) == (4, 4)
    with target.aimed(target.named("h100")):
        step = cost.step(bucket.recipe, (32, 32, 3), 4)
        blocks = 4 // cost.choose_block(bucket.recipe, (32, 32, 3), 4, 256)
        look = cost.look(bucket.recipe, (32, 32, 3), 4 // blocks, 256)
    chip = target.CHIPS["h100"]
    students, looks = (sum(floors.seconds(a, chip, "bfloat16").values()) for a in (step, look))
    whole = 60 * students + blocks * 25_000 / 256 * looks
    assert f"at least {forecast._hours(whole)}: students {forecast._hours(60 * students)}" in lines[1]


MANY = {"sweep": CIFAR["sweep"] | {"seed": tuple(range(64))}}


def test_more_devices_hold_more_so_waves_are_fewer():
    heavy = MANY | {"student": CIFAR["student"] | {"model": "mlp(hidden=1024)"}}
    waves = []
    for count in (1, 8):
        made, _ = planned(f"{count}xh100", **heavy, compute={"memory_gb": 2.0 * count})
        waves.append(len(made.waves))
        assert made.bytes() <= 2e9 * count
    assert waves[1] == 1 < waves[0]


def test_blocks_that_do_not_fit_are_halved():
    made, _ = planned("h100", **MANY, compute={"lowering": "patches"})
    with target.aimed(target.named("h100")):
        needed = cost.training_bytes(made.buckets[0].recipe, made.image_shape, 64, 10, "patches")
        assert made.buckets[0].block == make._narrowed(made, 2 * needed).buckets[0].block == 64
        assert make._narrowed(made, 2 * needed - 1).buckets[0].block == 32


@pytest.mark.parametrize("name", ["learned_labels:quick", "feature_labels:quick"])
def test_labels_of_every_kind_have_a_plan(name, tmp_path):
    settings, _ = arguments.settings([name])
    assert "expected:" in run.dry_run(settings, tmp_path / "none", target.named("h200"))
