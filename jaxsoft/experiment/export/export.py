"""A student to take away: which images, their labels, how it was trained, and what it reached."""

import contextlib
import dataclasses
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsoft import config, errors, numerics
from jaxsoft.data.formats import exported
from jaxsoft.experiment import run, teachers
from jaxsoft.experiment.export import card, derive, pictures, record
from jaxsoft.experiment.plan import checks, identity, selections, stored
from jaxsoft.experiment.store.folder import RunFolder, packed
from jaxsoft.experiment.teach.experts import Experts, OnEpoch
from jaxsoft.labels import codecs, given
from jaxsoft.labels.bank import digest
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training.recipe import wanted
from jaxsoft.types import Dataset, Row

NONE = "none"
"""The codec that stores no labels: experts are taught again, and give them anew."""


class Exported(NamedTuple):
    """What was written: the member, the bytes of its images' positions, of its labels and of all files."""

    row: Row
    index_bytes: int
    label_bytes: int
    bytes: int


@numerics.pinned()
def export(
    folder: RunFolder, settings: config.Settings, dataset: Dataset, experts: Experts | None, row: Row, to: Path,
    codec: str = "float32", images: bool = False, may_teach: bool = False, on_epoch: OnEpoch = lambda *_: None,
) -> Exported:  # fmt: skip
    """Write one student of a run folder to a new folder, which `jaxsoft.load_export` reads.

    Args:
      folder, settings, dataset: of the run; the settings with rows and positions of one's own where it had such.
      experts: that labels come from; if not given, those that the run keeps.
      row: of the results.
      to: a folder that is not there yet, or is empty.
      codec: of the labels, see `codecs`; or `none`, which stores none.
      images: whether pixels are written too.
      may_teach: whether experts and learned labels that the run no longer has are made again.
      on_epoch: called as `teach` calls it.

    Raises:
      ConfigError: the student failed, it cannot be stored so, or the place is taken.
      CheckpointError: the folder is of no run, or of other data or code than there are now.
    """
    are_logits = "label_logits" in wanted(row.get("loss") or settings.student.loss)  # older rows lack one
    _check(row, to, codec, dataset.num_classes, are_logits)
    began, store, is_loaded = stored.plan(folder), teachers.store_of(settings, folder), _is_loaded(settings, dataset)
    identity.check(began and began.get("identity"), dataset, folder.path)
    if row["labels"].startswith("array("):  # of a function, which is asked again, unless they are given
        settings = given.ask_functions(settings, dataset)
    root, settings = settings.data.root, derive.alone(settings, row, began)
    experts = experts or teachers.find(settings, dataset, store, may_teach, on_epoch)
    rooted = dataclasses.replace(settings, data=dataclasses.replace(settings.data, root=root))  # of teachers too
    found = derive.derive(rooted, dataset, experts, folder.path, may_teach)
    _check_same(found, row, began)
    encode = codecs.encode_logits if are_logits else codecs.encode
    coded = {} if codec == NONE else encode(found.rows, codec)
    content = _stored(found, coded, len(dataset.train))
    told = _record(settings, row, dataset, found, codec, experts) | ({"logits": True} if are_logits else {})
    if is_loaded:
        content[record.CONFIG] = record.config_file(_again(settings, told))
    if images:
        of = experts.normalizer, found.whole.images[found.images], found.images, found.whole.labels[found.images]
        content |= pictures.files_of(*of, dataset.class_names, found.rows, row["learning_rate"])
    sizes = found.table.nbytes, codecs.bytes_of(coded)
    content[record.CARD] = card.text(told, dataset, *sizes, list(content), is_loaded).encode()
    return Exported(row, *sizes, record.write(to, told, content))


def _check(row: Row, to: Path, codec: str, num_classes: int, are_logits: bool = False) -> None:
    """Refuse what could not be written or read back, before anything is derived."""
    record.check_free(to)
    spec = LabelSpec.parse(row["labels"])
    if row["status"] == "failed":
        raise errors.ConfigError(f"member {row['member']} diverged; there is nothing to export")
    if codec != NONE:
        codecs.parse(codec, num_classes)
    if (spec.views or spec.online) and codec != NONE:
        made = "asked of experts at every step" if spec.online else "made anew by experts"
        raise errors.ConfigError(f"labels of views are {made}; take --codec={NONE} for {spec}")
    if spec.features is not None and codec != NONE:
        raise errors.ConfigError(
            f"no codec stores feature maps, which experts give anew; take --codec={NONE} for {spec}"
        )
    if are_logits and codec != NONE:
        codecs.check_logits(codec)
    if spec.source == "array" and codec == NONE:
        raise errors.ConfigError(f"--codec={NONE} stores no labels, and no expert gives {spec} again; take another")


def _check_same(found: derive.Derived, row: Row, began: Any) -> None:
    """Refuse to give out what the run did not train with."""
    there = began["identity"]["code"]
    edited = sorted(what for what, now in found.code.items() if there.get(what) != now)
    if found.key != row["member"]:
        told = f"edited since that run: {', '.join(edited)}" if edited else "settings of JAX or the engine differ"
        raise errors.CheckpointError(f"member {row['member']} is {found.key} now: {told}")


def _is_loaded(settings: config.Settings, dataset: Dataset) -> bool:
    """Whether the settings alone give the dataset: not where its arrays are one's own."""
    with contextlib.suppress(errors.JaxsoftError):
        return run.load(settings).fingerprint == dataset.fingerprint
    return False


def _again(settings: config.Settings, told: dict[str, Any]) -> config.Settings:
    """The settings that train the student again, from the files of the export where it has labels of train images."""
    if told["codec"] == NONE or selections.reads_pool(settings.select):
        return settings
    own = f"indices({exported.IMAGES!r})"
    sweep = dataclasses.replace(settings.sweep, labels=(record.labels_spec(told),), select=(own,))
    return dataclasses.replace(settings, select=own, sweep=sweep)


def _record(
    settings: config.Settings, row: Row, dataset: Dataset, found: derive.Derived, codec: str, experts: Experts
) -> dict[str, Any]:
    plain = dataclasses.replace(settings.sweep, labels=(row["labels"],))  # no more than the text
    left_out = ("wave", "status", "first_bad_step")
    return {
        "member": row["member"],
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint, "train_images": len(dataset.train)},
        "subset_seed": row["subset_seed"],
        "experts": experts.key if checks.needs_experts(settings) else None,
        "codec": codec,
        "digests": {"images": digest({"images": found.table}), "labels": digest({"labels": found.rows})},
        "reached": {name: value for name, value in row.items() if name not in left_out and "seconds" not in name},
        "settings": config.as_dict(dataclasses.replace(settings, sweep=plain)),
    }


def _stored(found: derive.Derived, coded: codecs.Coded, train_images: int) -> dict[str, bytes]:
    """The files of positions and, if there are any, of labels."""
    file = io.BytesIO()
    np.save(file, found.table, allow_pickle=False)
    where = {"images": found.images, "of": np.array(train_images)}
    labels = {exported.LABELS: packed(coded | where)} if coded else {}
    return {exported.IMAGES: file.getvalue(), **labels}
