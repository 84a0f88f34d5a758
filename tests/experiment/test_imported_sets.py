"""Imported sets in a sweep: their images and labels by slot, who is refused, and what keys know of them."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import tiny_run as tiny

import jaxsoft
from jaxsoft import errors
from jaxsoft.data.chosen import Indices
from jaxsoft.distilled import fields, kept, pool
from jaxsoft.distilled.reading import exports
from jaxsoft.experiment import run
from jaxsoft.experiment.plan import checks, make

STUDENT = jaxsoft.Student(model="mlp(hidden=8)", batch=16, steps=12, learning_rate=0.1, evaluations=3)
SAID = "val_accuracy", "accuracy_by_class"


@pytest.fixture(scope="module")
def data():
    return run.load(tiny.settings())


@pytest.fixture(scope="module")
def table(data):
    """The last two images of every class, [10, 2]."""
    return np.stack([np.flatnonzero(data.train.labels == k)[:-3:-1] for k in range(10)])


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("JAXSOFT_SETS", str(tmp_path / "sets"))


def keep(data, name, images, labels, **soft):
    record = {
        "data": {"name": data.name, "fingerprint": data.fingerprint},
        "class_names": list(data.class_names),
        "image_shape": list(data.image_shape),
        "kind": next((name for name in soft if "/" not in name), "hard").replace("rows", "probabilities"),
        "ipc": int(np.bincount(labels).min()),
    }
    arrays = {"labels": labels.astype(np.int32), **soft} | ({} if images is None else {"images": images})
    return kept.KIND.keep(kept.KIND.place(name), record, arrays)


def trained(data, select, labels=("hard",), seed=(0,), ipc=(2,)):
    return jaxsoft.train_students(
        data, student=STUDENT, sweep=jaxsoft.Sweep(ipc=ipc, labels=labels, select=select, seed=seed)
    )


def test_a_set_of_train_images_gives_the_numbers_of_these_images(data, table):
    images, labels = data.train.images[table.ravel()], data.train.labels[table.ravel()]
    shuffled = np.random.default_rng(0).permutation(len(labels))
    order = np.argsort(labels[shuffled], kind="stable")
    keep(data, "same", images, labels)
    keep(data, "floats", images.astype(np.float32) / 255, labels)
    keep(data, "mixed", images[shuffled], labels[shuffled])
    own = Indices.from_array(table), Indices.from_array(table.ravel()[shuffled][order].reshape(10, 2))
    ways = (*own, *(f"distilled('{name}')" for name in ("same", "floats", "mixed")))
    rows = trained(data, ways)
    said = [[row[name] for name in SAID] for row in rows]
    assert said[0] == said[2] == said[3] and said[1] == said[4]
    assert len({row["member"] for row in rows}) == 5
    assert rows[2]["select"].startswith("distilled(same, digest=x")


def test_pixels_beyond_the_range_are_read_as_they_are(data, table):
    images, labels = data.train.images[table.ravel()] / np.float32(255), data.train.labels[table.ravel()]
    keep(data, "wild", images * 3 - 1, labels)
    found = kept.beside(data, kept.known(tiny.settings({"sweep.select": ("distilled('wild')",)})))
    whole = pool.of(found)
    (digest,) = whole.sets
    places = whole.places(digest)
    assert len(whole) == len(data.train) + 20 and places[0] == len(data.train)
    np.testing.assert_array_equal(whole.images[places], images * 3 - 1)
    np.testing.assert_array_equal(whole.images[np.array([3])], data.train.images[[3]] / np.float32(255))
    assert whole.images.dtype == np.float32 and pool.of(data).images is data.train.images


def test_a_set_of_fields_is_kept_as_fields_and_trains_as_its_pixels_do(data, table):
    rng, shapes = (
        np.random.default_rng(2),
        {"net.0.linear": (6, 2), "net.1.linear": (6, 6), "last_layer.linear": (1, 6)},
    )
    weights = {f"{name}.weight": rng.normal(0, 0.3, (20, *shape)).astype(np.float32) for name, shape in shapes.items()}
    own = weights | {f"{name}.bias": np.zeros((20, shape[0]), np.float32) for name, shape in shapes.items()}
    arrays, _ = fields.kept(own, fields.decoder(own, (8, 8)), lambda seen: seen * np.float32(0.3) + np.float32(0.5))
    labels = data.train.labels[table.ravel()]
    keep(data, "fields", None, labels, **arrays)
    pixels = kept.read("fields").images
    keep(data, "pixels", pixels, labels)
    assert pixels.shape == (20, 8, 8, 1) and "images" not in arrays
    rows = trained(data, ("distilled('fields')", "distilled('pixels')"))
    assert [rows[0][name] for name in SAID] == [rows[1][name] for name in SAID]
    assert rows[0]["member"] != rows[1]["member"]


def test_students_of_a_set_are_exported_read_back_and_imported(data, table, tmp_path):
    """Its labels on random images, and its images: the same student to the bit, with the same pixels and rows."""
    rows = np.random.default_rng(1).dirichlet(np.ones(10), 20).astype(np.float32)
    keep(data, "mine", data.train.images[table.ravel()], data.train.labels[table.ravel()], rows=rows)
    found = trained(data, ("random", "distilled('mine')"), ('distilled("mine")',))
    for member in (0, 1):
        folder = tmp_path / f"{member}"
        found.export(member, folder, images=bool(member))
        taken = jaxsoft.load_export(folder)
        (again,) = jaxsoft.train_students(data, **taken.students(data))
        assert [again[name] for name in SAID] == [found[member][name] for name in SAID]
        own: Any = exports.read(folder, data)
        np.testing.assert_allclose(own.rows, rows, rtol=1e-6)
        np.testing.assert_array_equal(own.labels, data.train.labels[table.ravel()])
    np.testing.assert_array_equal(own.images, data.train.images[table.ravel()])
    found.export(1, tmp_path / "bare")
    with pytest.raises(errors.DataError, match="none of its pixels of an imported set; `jaxsoft export --images`"):
        exports.read(tmp_path / "bare", data)


def test_labels_go_by_slot_with_whatever_images(data, table):
    labels = data.train.labels[table.ravel()]
    rows = np.random.default_rng(1).dirichlet(np.ones(10), 20).astype(np.float32)
    keep(data, "soft", data.train.images[table.ravel()], labels, rows=rows)
    keep(data, "said", data.train.images[table.ravel()], labels, logits=np.log(rows))
    found = trained(data, ("random", "distilled('soft')"), ('distilled("soft")', 'distilled("said")|temperature(2)'))
    for member in (0, 1):
        np.testing.assert_allclose(found.labels(member), rows, rtol=1e-6)
    heated = np.sqrt(rows) / np.sqrt(rows).sum(1, keepdims=True)
    np.testing.assert_allclose(found.labels(2), heated, rtol=1e-5)
    assert found[2]["labels"].startswith("distilled(said, logits=true, weights=x")
    assert (found.subset(0) < len(data.train)).all() and (found.subset(1) >= len(data.train)).all()
    few = trained(data, ("random",), ('distilled("soft")',), ipc=(1,))
    np.testing.assert_allclose(few.labels(0), rows[::2], rtol=1e-6)


def test_keys_know_a_set_by_its_content(data, table, monkeypatch, tmp_path):
    images, labels = data.train.images[table.ravel()], data.train.labels[table.ravel()]

    def key(name):
        changes = {"sweep.select": (f"distilled('{name}')",), "sweep.labels": (f"distilled('{name}')",)}
        settings = checks.check(tiny.settings(changes))
        return make.make(settings, kept.beside(data, settings), [], {}).keys[0]

    for name, of in (("one", images), ("same", images), ("other", images[:, ::-1])):
        keep(data, name, of, labels)
    keys = [key(name) for name in ("one", "same", "other", str(tmp_path / "sets" / "one"))]
    assert keys[0] == keys[1] == keys[3] != keys[2]


def test_a_set_may_have_more_images_than_the_train_split(data, table):
    keep(data, "mine", data.train.images[table.ravel()], data.train.labels[table.ravel()])
    few = tiny.settings({"data.limit": 1, "sweep.ipc": (2,), "sweep.select": ("distilled('mine')",)})
    run._checked(few)
    with pytest.raises(errors.ConfigError, match="config.sweep.ipc: ipc=2 but class 0 .* has 1 train images"):
        run._checked(dataclasses.replace(few, sweep=dataclasses.replace(few.sweep, select=("random",))))


def test_what_does_not_fit_is_one_line(data, table):
    images, labels = data.train.images[table.ravel()], data.train.labels[table.ravel()]
    keep(data, "mine", images, labels)

    def told(*, of=data, **changes):
        with pytest.raises(errors.JaxsoftError) as caught:
            settings = tiny.settings({name.replace("__", "."): value for name, value in changes.items()})
            run._checked(settings, of)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    way = ("distilled('mine')",)
    assert "config.sweep.select: there is no set 'mien'" in told(sweep__select=("distilled('mien')",))
    assert "those there: mine" in told(sweep__labels=("distilled('mien')",))
    assert "config.sweep.select: ipc=3 but the set has 2 images" in told(sweep__select=way, sweep__ipc=(3,))
    assert "config.sweep.labels: ipc=3 but the set has 2" in told(sweep__labels=way, sweep__ipc=(3,))
    assert "is of the data set digits; this run is of own" in told(
        sweep__select=way, of=dataclasses.replace(data, name="own")
    )
    assert "of an imported set" in told(sweep__select=way, sweep__labels=("learned",))
    assert "now; wanted x12" in told(sweep__select=("distilled('mine', digest=x12)",))


def test_an_altered_set_is_refused(data, table, tmp_path):
    keep(data, "mine", data.train.images[table.ravel()], data.train.labels[table.ravel()])
    file = tmp_path / "sets" / "mine" / "arrays.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\1")
    with pytest.raises(errors.CheckpointError, match=r"cannot read .*arrays.safetensors: \w+ is not what was saved"):
        kept.read("mine")
