"""Labels that hold feature maps, from a spec to students: plan, refusals, bank, a whole run."""

import csv
import dataclasses
import re

import numpy as np
import pytest
import tiny_run

from jaxsoft import errors, main
from jaxsoft.experiment import run
from jaxsoft.experiment.export import export
from jaxsoft.experiment.inputs import prepare
from jaxsoft.experiment.plan import checks, identity
from jaxsoft.experiment.plan import make as plan
from jaxsoft.experiment.teach.experts import teach
from jaxsoft.labels.spec import LabelSpec

CONTEXT = {"student": {}}
MAPS = "teacher(epoch=3, features=-1)"
SWEEP = {
    "sweep.labels": ("hard", f"{MAPS}|hard", f"{MAPS}|hard", "teacher(epoch=2, features=0)"),
    "sweep.loss": ("soft_cross_entropy", "features(weight=0)", "features", "features(1.0, distance='cosine')"),
    "sweep.model": ("mlp(hidden=8)", "mlp(hidden=5)"),
    "sweep.axes": ("ipc", "labels loss"),
}


@pytest.fixture(scope="module")
def dataset():
    return run.load(tiny_run.settings())


@pytest.fixture(scope="module")
def experts(dataset):
    return teach(dataset, tiny_run.settings().teacher)


def planned(dataset, changes=()):
    settings = checks.check(tiny_run.settings(SWEEP | dict(changes)))
    return settings, plan.make(settings, dataset, None, CONTEXT)


def test_a_spec_says_so_and_rows_do_not_know():
    spec = LabelSpec.parse("teacher(features=-1, epoch=3) | hard")
    assert (str(spec), spec.features) == (f"{MAPS}|hard", -1)
    assert str(LabelSpec.parse("teacher(epoch=3)")) == "teacher(epoch=3)"
    for other in ("views=2", "online=true"):
        with pytest.raises(
            errors.ConfigError, match="feature maps are of images as they are; with features, wanted neither"
        ):
            LabelSpec.parse(f"teacher(epoch=3, features=0, {other})")


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"sweep.labels": ("hard",)}, "config.student.loss: features wants feature maps, and label spec 'hard' holds none"),
        ({"student.loss": "soft_cross_entropy"}, f"config.sweep.labels: label spec '{MAPS}' holds feature maps, which the"),
        ({"sweep.labels": ("learned", MAPS)}, "features wants feature maps, and label spec 'learned' holds none"),
        ({"sweep.labels": ("teacher(epoch=3, features=1)",)}, "expert 0, mlp(hidden=8): features=1 but the network tells 1"),
        ({"student.model": "mlp(layers=1)"}, "student mlp(layers=1): the network tells no feature maps; one of flax"),
        ({"student.loss": "features(-1.0)"}, "config.student.loss: features: weight must be finite and 0 or more"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(dataset, changes, told):
    settings = tiny_run.settings({"student.loss": "features", "sweep.labels": (MAPS,)} | changes)
    with pytest.raises(errors.ConfigError, match=re.escape(told)):
        checks.check_data(checks.check(settings), dataset)


def test_the_plan_counts_maps_and_old_plans_know_nothing_of_them(dataset):
    settings, made = planned(dataset)
    found = {(b.recipe.model, b.recipe.features, b.recipe.layer) for b in made.buckets}
    assert found == {(f"mlp(hidden={n})", *maps) for n in (8, 5) for maps in (("", -1), ("1x1x8", -1), ("1x1x8", 0))}
    bare = dataclasses.replace(
        settings.sweep, labels=("hard", "teacher(epoch=3)|hard", "teacher(epoch=2)"), loss=(), axes=()
    )
    without = plan.make(dataclasses.replace(settings, sweep=bare), dataset, None, CONTEXT)
    images = 2 * 20  # two seeds, two images of each class
    assert made.shared_bytes - without.shared_bytes == images * 2 * 8 * 4 + images * 10 * 4 * (4 - 3) - images * 10 * 4
    assert all("features" not in group["recipe"] for group in without.as_json()["groups"])
    assert {group["recipe"].get("features") for group in made.as_json()["groups"]} == {None, "1x1x8"}
    assert len(set(made.keys)) == len(made.members)


def test_members_read_the_maps_of_their_own_images(dataset, experts):
    settings = checks.check(tiny_run.settings(SWEEP))
    made = plan.make(settings, dataset, experts.histories, identity.member_context(settings, dataset, experts))
    bank, *_, members = prepare.prepare(made, settings, dataset, experts)
    maps = {
        (3, -1): experts.features(dataset.train, np.arange(200), 0, 3),
        (2, 0): experts.features(dataset.train, np.arange(200), 0, 2, 0),
    }
    stored = experts.normalizer.store(dataset.train.images)
    place_of = {image.tobytes(): i for i, image in enumerate(stored)}
    for bucket, member in zip(made.buckets, members):
        assert (member.features is None) == (not bucket.recipe.features)
        for seat, place in enumerate(bucket.members if bucket.recipe.features else ()):
            spec, slots = LabelSpec.parse(made.members[place].labels), member.slots[seat]
            ids = [place_of[bank.images[i].tobytes()] for i in member.images[seat, :slots]]
            read = bank.features["1x1x8"][member.features[seat, :slots]]
            np.testing.assert_allclose(read, maps[spec.epoch, spec.features][ids], rtol=1e-5, atol=1e-6)


def test_maps_of_experts_lead_to_their_logits(dataset, experts):
    ids = np.arange(7, dtype=np.int32)
    maps, head = experts.features(dataset.train, ids, 0, 3), experts.params(0, 3)["params"]["classifier"]
    logits = experts.logits(dataset.train, ids, [3]).logits[0, 0]
    np.testing.assert_allclose(maps.reshape(7, -1) @ head["kernel"] + head["bias"], logits, rtol=1e-4, atol=1e-5)
    with pytest.raises(errors.ConfigError, match="features=2 but the network tells 1 feature maps"):
        experts.features(dataset.train, ids, 0, 3, 2)


def test_a_run_of_them_resumes_and_its_exports_say_what_is_stored(tmp_path, capsys, dataset):
    file = tiny_run.config_file(tmp_path, SWEEP | {"sweep.ipc": (1,)})
    command = ["run", f"--config={file}", f"--workdir={tmp_path / 'run'}"]
    assert main.main(command) == 0
    with open(tmp_path / "run" / "results.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16 and {row["status"] for row in rows} == {"done"}
    alike = {
        (row["labels"], row["loss"]): row["val_accuracy"] for row in rows if row["seed"] == "0" and "8" in row["model"]
    }
    assert alike["hard", "soft_cross_entropy"] == alike[f"{MAPS}|hard", "features(weight=0)"]
    capsys.readouterr()
    assert main.main(command) == 0
    assert "students: 0 of 16 left" in capsys.readouterr().out
    (of_maps,) = [row["member"] for row in rows if row["labels"] == f"{MAPS}|hard" and row["loss"] == "features"][:1]
    with pytest.raises(
        errors.ConfigError, match="no codec stores feature maps, which experts give anew; take --codec=none"
    ):
        export._check({**rows[0], "member": of_maps, "labels": f"{MAPS}|hard"}, tmp_path / "out", "float16", 10)
