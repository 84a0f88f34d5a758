"""Teachers from elsewhere: kept as they were measured, refused at chance, and asked for labels like any other.

The network is a linear classifier in the dress of a ConvNet: its channels are relu(x) and relu(-x), so that what it says
is known in closed form.
"""

import json
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_run as tiny
from safetensors.numpy import save_file

from jaxsoft import errors, files
from jaxsoft.data import normalize
from jaxsoft.data.formats import tensors
from jaxsoft.experiment import run, teachers
from jaxsoft.experiment.inputs.prepare import finish_rows
from jaxsoft.experiment.plan import checks, identity, sweep
from jaxsoft.experiment.plan import make as planning
from jaxsoft.experiment.teach import imported, importing
from jaxsoft.experiment.teach.experts import teach
from jaxsoft.main import main
from jaxsoft.types import Dataset, Split

MODEL = "convnet(depth=1, width=2, norm=none, pooling=none)"
IDS = np.array([0, 5, 9, 140], np.int32)


@pytest.fixture(scope="module")
def data():
    return run.load(tiny.settings())


@pytest.fixture(scope="module")
def linear(data):
    """Weights [K, D] and bias [K] by least squares on standardised images."""
    seen = normalize.standardize(data.train.images)(data.train.images).reshape(len(data.train), -1)
    fitted = np.linalg.lstsq(np.c_[seen, np.ones(len(seen))], np.eye(10)[data.train.labels], rcond=0.01)[0] * 5
    return fitted[:-1].T.astype(np.float32), fitted[-1].astype(np.float32)


def state(weights, bias):
    kernel = np.zeros((2, 1, 3, 3), np.float32)
    kernel[:, 0, 1, 1] = 1, -1
    of_both = np.concatenate([weights, -weights], 1)  # in the order C, H, W
    named = {"features.0.weight": kernel, "features.0.bias": np.zeros(2, np.float32)}
    return named | {"classifier.weight": np.ascontiguousarray(of_both), "classifier.bias": np.ascontiguousarray(bias)}


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXSOFT_TEACHERS", str(tmp_path / "teachers"))
    return tmp_path


@pytest.fixture
def mine(place, data, linear):
    """A teacher of the name `mine`."""
    save_file(state(*linear), place / "net.safetensors")
    return importing.import_file(place / "net.safetensors", imported.KIND.place("mine"), data)


def closed_form(data, linear, images):
    seen = normalize.standardize(data.train.images)(images).reshape(len(images), -1)
    return seen @ linear[0].T + linear[1]


def test_what_is_kept_says_what_the_network_says_and_how_good_it_is(mine, data, linear):
    record, found = mine
    network = imported.read("mine", digest=record["digest"])
    said = network.logits(data.train.images[IDS])
    np.testing.assert_allclose(said, closed_form(data, linear, data.train.images[IDS]), atol=1e-4)
    validation = closed_form(data, linear, data.validation.images)
    right = (validation.argmax(1) == data.validation.labels).mean()
    assert record["model"] == MODEL and record["accuracy"] == found.accuracy == right > 0.8
    rows = np.asarray(jax.nn.softmax(validation))
    assert record["label_entropy"] == pytest.approx(-(rows * np.log(rows)).sum(1).mean(), rel=1e-4)
    assert record["source"]["sha256"] == files.digest(
        [(imported.KIND.place("mine").parents[1] / "net.safetensors").read_bytes()]
    )
    whole = tensors.read(imported.KIND.place("mine") / "weights.safetensors")
    assert whole["params/conv0/kernel"].shape == (3, 3, 1, 2)


def test_a_network_at_chance_is_refused_and_another_order_of_classes_is_told(place, data, linear):
    order = np.roll(np.arange(10), 1)  # what it calls 0 is class 9
    save_file(state(linear[0][order], linear[1][order]), place / "net.safetensors")
    with pytest.raises(errors.ConfigError) as refused:
        importing.import_file(place / "net.safetensors", imported.KIND.place("rolled"), data)
    told = str(refused.value)
    assert "% of always naming one class (used: mean 0." in told and "9 (9) is its 0, 0 (0) is its 1" in told
    better = importing.measured(closed_form(data, linear, data.validation.images)[:, order], data.validation.labels)
    assert better.order == tuple(order) and f"right about {better.reordered:.1%}, and in this one" in told
    assert f"{better.accuracy:.1%} of the {len(data.validation)} validation images" in told and better.reordered > 0.75
    assert not imported.KIND.place("rolled").exists()
    noise = importing.measured(np.random.default_rng(0).normal(size=(400, 10)), np.arange(400) % 10)
    assert noise.is_at_chance and not noise.order
    good = importing.measured(closed_form(data, linear, data.validation.images), data.validation.labels)
    assert not good.is_at_chance and not good.order


def test_a_normalisation_of_ones_own_is_used(place, data, linear):
    weights, bias = linear
    own = normalize.standardize(data.train.images)
    mean, std = -own.shift / (255 * own.scale), 1 / (255 * own.scale)
    moved = weights * 0.2 / std, bias + weights.sum(1) * (0.3 - mean) / std  # the same map, of (x - .3) / .2
    save_file(state(*(np.asarray(each, np.float32) for each in moved)), place / "net.safetensors")
    record, _ = importing.import_file(
        place / "net.safetensors", imported.KIND.place("moved"), data, mean=(0.3,), std=(0.2,)
    )
    assert (record["mean"], record["std"]) == ([0.3], [0.2])
    said = imported.read("moved").logits(data.train.images[IDS])
    np.testing.assert_allclose(said, closed_form(data, linear, data.train.images[IDS]), atol=2e-4)
    factor, offset = imported.read("moved").sees(own)
    seen = own(data.train.images[IDS]) * factor + offset
    np.testing.assert_allclose(seen, (data.train.images[IDS] / 255 - 0.3) / 0.2, atol=1e-5)


def test_what_was_altered_is_refused(mine):
    folder = imported.KIND.place("mine")
    content = (folder / "weights.safetensors").read_bytes()
    (folder / "weights.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(errors.CheckpointError, match="is not what was saved; import it again"):
        imported.read("mine")
    (folder / "weights.safetensors").write_bytes(content[:-9])
    with pytest.raises(errors.CheckpointError, match="cannot read .*weights.safetensors"):
        imported.read("mine")
    record = json.loads((folder / "teacher.json").read_text())
    for change, told in [({"mean": [0.5]}, "not what was saved"), ({"format": 9}, "its format is 9")]:
        (folder / "teacher.json").write_text(json.dumps(files.seal({**files.unseal(record), **change})))
        with pytest.raises(errors.CheckpointError, match=told):
            imported.recorded("mine")
    changed = {**files.unseal(record), "model": "mine.nets:evil"}
    changed["digest"] = imported.KIND.digest(changed)
    (folder / "teacher.json").write_text(json.dumps(files.seal(changed)))
    with pytest.raises(errors.CheckpointError, match="none of jaxsoft's own"):
        imported.recorded("mine")
    (folder / "teacher.json").write_text("{")
    with pytest.raises(errors.CheckpointError, match="cannot read .*teacher.json"):
        imported.recorded("mine")


def test_names_are_looked_up(mine, place, data):
    with pytest.raises(errors.ConfigError, match="there is no teacher 'mien' in .*; those there: mine"):
        imported.recorded("mien")
    with pytest.raises(errors.ConfigError, match="there is a teacher in .*mine already"):
        importing.import_file(place / "net.safetensors", imported.KIND.place("mine"), data)
    with pytest.raises(errors.ConfigError, match="letters, digits"):
        imported.KIND.place("..")
    with pytest.raises(errors.ConfigError, match="wanted xabc"):
        imported.read("mine", digest="xabc")


def rows_of(labels, data, changes=()):
    """The finished rows of label specs, and the keys of their members."""
    settings = checks.check(
        tiny.settings({"sweep.labels": labels, "sweep.seed": (0,), "sweep.ipc": (2,), **dict(changes)})
    )
    checks.check_data(settings, data)
    nobody = teach(data, teachers.wanted(settings)[0])
    assert not nobody.cohorts
    members = sweep.expand(settings)
    context = identity.member_context(settings, data, nobody)
    keys = planning.make(settings, data, (), context).keys
    images = {subset: IDS for subset in {m.subset for m in members}}
    rows, starts = finish_rows(members, images, settings, data, nobody)
    return [rows[start] for start in starts], keys, rows


def test_labels_of_an_imported_teacher_are_those_of_an_array_of_its_logits(mine, place, data, linear):
    np.save(place / "logits.npy", closed_form(data, linear, data.train.images))
    file, name = f'array("{place}/logits.npy", logits=true)', 'imported("mine")'
    labels = name, file, f"{name}|temperature(4)|topk(3)", f"{file}|temperature(4)|topk(3)"
    (own, array, treated, of_array), keys, _ = rows_of(labels, data)
    np.testing.assert_allclose(own, array, atol=1e-5)
    np.testing.assert_allclose(treated, of_array, atol=1e-5)
    assert len({*keys}) == 4 and abs(own - treated).max() > 0.01
    (logits,), _, _ = rows_of((name,), data, {"student.loss": "gift"})
    np.testing.assert_allclose(logits, closed_form(data, linear, data.train.images[IDS]), atol=1e-4)


def test_a_teacher_is_known_by_its_weights_not_by_its_name(mine, place, data, linear):
    save_file(state(linear[0] * 2, linear[1]), place / "two.safetensors")
    importing.import_file(place / "net.safetensors", imported.KIND.place("same"), data)
    importing.import_file(place / "two.safetensors", imported.KIND.place("two"), data)
    keys = [
        rows_of((f'imported("{name}")',), data)[1] for name in ("mine", "same", str(imported.KIND.place("mine")), "two")
    ]
    assert keys[0] == keys[1] == keys[2] != keys[3]
    digest = mine[0]["digest"]
    assert rows_of((f'imported("mine", weights="{digest}")',), data)[1] == keys[0]
    with pytest.raises(errors.ConfigError, match=f"config.sweep.labels: the teacher 'two' is .* wanted {digest}"):
        rows_of((f'imported("two", weights="{digest}")',), data)


def test_views_are_labelled_as_the_teacher_sees_them(mine, data):
    (plain, views), _, rows = rows_of(('imported("mine")', 'imported("mine", views=2, mix="none")'), data)
    assert len(rows) == len(plain) + 2 * len(plain)
    np.testing.assert_allclose(views, plain, atol=1e-5)
    np.testing.assert_allclose(rows[len(plain) + 1 :: 2], plain, atol=1e-5)
    raw = {"data.normalize": "none"}  # what the student sees is not what the teacher sees
    (plain_raw, views_raw), _, _ = rows_of(('imported("mine")', 'imported("mine", views=2, mix="none")'), data, raw)
    np.testing.assert_allclose(plain_raw, plain, atol=1e-5)
    np.testing.assert_allclose(views_raw, plain, atol=1e-5)
    with pytest.raises(errors.ConfigError, match="a view is whitened, and the teacher 'mine' sees none such"):
        rows_of(('imported("mine", views=2)',), data, {"data.normalize": "zca"})


def test_the_plan_refuses_a_teacher_of_other_images(mine, data):
    settings = checks.check(tiny.settings({"sweep.labels": ('imported("mine")',), "sweep.seed": (0,)}))
    names = [f"n{i}" for i in range(10)]
    tall = [Split(np.zeros((len(s), 9, 8, 1), np.uint8), s.labels) for s in (data.train, data.validation, data.test)]
    for other, told in [
        (
            Dataset("other", data.class_names, data.train, data.validation, data.test),
            "data set digits; this run is of other",
        ),
        (Dataset("digits", names, data.train, data.validation, data.test), "is of the classes"),
        (Dataset("digits", data.class_names, *tall), "is of the size .8, 8, 1.; this run is of .9, 8, 1."),
    ]:
        with pytest.raises(errors.ConfigError, match=told):
            checks.check_data(settings, other)
    with pytest.raises(errors.ConfigError, match="config.sweep.labels: there is no teacher 'x'"):
        checks.check(tiny.settings({"sweep.labels": ('imported("x")',)}))


def test_the_command_imports_and_says_what_it_found(place, linear, capsys):
    net = place / "net.safetensors"
    save_file(state(*linear), net)
    assert main(["teacher", "import", str(net), "--as=mine"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{MODEL}: right about ") and "(of the train images), over" in told and "(one class" in told
    assert f"kept in {place}/teachers/mine; a label spec names it: imported('mine')" in told
    (place / "bad.pt").write_bytes(b"\x80\x02cposix\nsystem\n.")
    usage = "expected: jaxsoft teacher import FILE --as=NAME [--model=SPEC --data=NAME --resize=SIDE --mean=M,M,M"
    for argv, code, message in [
        ([], 2, usage),
        (["import", str(net)], 2, usage),
        (["import", str(place / "bad.pt"), "--as=x"], 3, "it is a bare pickle"),
        (["import", str(place / "none.pt"), "--as=x"], 3, "No such file"),
        (["import", str(net), "--as=x", "--mean=1,b"], 2, "--mean expects numbers in [0, 1]"),
        (["import", str(net), "--as=x", "--std=0"], 2, "--std expects numbers above 0, got 0"),
        (["import", str(net), "--as=x", "--mean=0.1,0.2"], 2, "--mean expects 1 numbers, one for each channel"),
        (["import", str(net), "--as=x", "--model=mlp"], 3, "mlp on images [8, 8, 1] has params/conv0/bias none"),
        (["import", str(net), "--as=x", "--resize=224"], 2, "resize=224 cannot be: images of digits are 8 pixels wide"),
        (["import", str(net), "--as=x/../y"], 2, "--as expects a name, got 'x/../y'"),
    ]:
        assert main(["teacher", *argv]) == code, argv
        refused = capsys.readouterr().err
        assert message in refused and refused.count("\n") == 1
    assert [path.name for path in Path(place / "teachers").iterdir()] == ["mine"]
