"""A student of a run to take away: which images, their labels, how it was trained, and what it reached."""

import dataclasses
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsoft import config, errors, numerics
from jaxsoft.experiment import run
from jaxsoft.experiment.export import card, choose, derive, pictures, record
from jaxsoft.experiment.plan import identity, stored
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.labels import codecs
from jaxsoft.labels.bank import digest
from jaxsoft.labels.given import Labels
from jaxsoft.labels.spec import LabelSpec
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
    folder: Path,
    to: Path,
    asked: Mapping[str, str],
    codec: str = "float32",
    images: bool = False,
    may_teach: bool = False,
    on_epoch: Callable[..., None] = lambda *_: None,
    settings: config.Settings | None = None,
) -> Exported:
    """Write one student of a run folder to a new folder, which `jaxsoft.load_export` reads.

    Args:
      folder: of a run.
      to: a folder that is not there yet, or is empty.
      asked: columns of the results and the values by which the student is meant, see `choose.member`.
      codec: of the labels, see `codecs`; or `none`, which stores none.
      images: whether pixels are written too.
      may_teach: whether experts that the run no longer has are taught again.
      on_epoch: called as `teach` calls it.
      settings: of the run, with rows and positions of one's own, which it does not keep; others are read from there.

    Raises:
      ConfigError: no student is meant, or several; an unknown codec; the place is taken.
      CheckpointError: the folder is of no run, or of other data or code than there are now.
    """
    record.check_free(to)
    row = choose.member(folder, asked)
    settings = _settings(RunFolder(folder), row, settings)
    dataset = run.load(settings)
    _check_labels(row["labels"], codec, dataset.num_classes)
    began = stored.plan(RunFolder(folder))
    identity.check(began and began["identity"], dataset, folder)
    alone = derive.alone(settings, row, _epochs(began, row["member"]), _precision(began))
    experts = derive.experts_of(alone, dataset, folder, may_teach, on_epoch)
    if experts is None:
        where = derive.store_of(folder)
        raise errors.CheckpointError(f"the experts of {folder} are not in {where}; --teach teaches them again")
    found = derive.derive(alone, dataset, experts, folder, may_teach)
    _check(found, row, began, folder)
    coded = {} if codec == NONE else codecs.encode(found.rows, codec)
    content = _stored(found, coded, len(dataset.train)) | {record.CONFIG: record.config_file(_again(alone, codec))}
    if images:
        of = experts.normalizer, dataset.train.images[found.images], found.images, dataset.train.labels[found.images]
        content |= pictures.files_of(*of, dataset.class_names, found.rows, row["learning_rate"])
    told = _record(alone, row, dataset, found, codec, experts.key if experts.cohorts else None)
    sizes = found.table.nbytes, codecs.bytes_of(coded)
    content[record.CARD] = card.text(told, dataset, *sizes, list(content)).encode()
    return Exported(row, *sizes, record.write(to, told, content))


def _settings(folder: RunFolder, row: Row, given: config.Settings | None) -> config.Settings:
    """Of a run; its sweep is that of the member already, as other label specs may name files that are elsewhere."""
    if given:
        folder.compare(config.as_dict(given))
    ways = (given.select, *given.sweep.select) if given else ()
    labels = {str(t.spec): t for t in given.sweep.labels if isinstance(t, Labels)} if given else {}
    found = {"labels": labels.get(row["labels"]), "select": next((way for way in ways if way == row["select"]), None)}
    for column, what in (("labels", "array("), ("select", "indices(")):
        if what in row[column] and found[column] is None:
            told = (
                f"its {column}, {row[column]}, are of one's own and not in the run folder; --config=FILE.py names them"
            )
            raise errors.ConfigError(f"member {row['member']} cannot be exported: {told}")
    sweep = config.Sweep(labels=(found["labels"] or row["labels"],))
    own = given or folder.read_settings(select="random", sweep={})
    return dataclasses.replace(own, select=found["select"] or row["select"], sweep=sweep)


def _check_labels(labels: str, codec: str, num_classes: int) -> None:
    """Refuse what could not be read back."""
    spec = LabelSpec.parse(labels)
    if codec != NONE:
        codecs.parse(codec, num_classes)
    if spec.views and codec != NONE:
        raise errors.ConfigError(f"labels of views are made anew by experts; take --codec={NONE} for {labels}")
    if spec.source == "array" and codec == NONE:
        raise errors.ConfigError(f"--codec={NONE} stores no labels, and no expert gives {labels} again; take another")


def _check(found: derive.Derived, row: Row, began: Any, folder: Path) -> None:
    """Refuse to give out what the run did not train with."""
    there = began["identity"]["code"]
    edited = sorted(what for what, now in found.code.items() if there.get(what) != now)
    if found.key != row["member"]:
        told = f"edited since that run: {', '.join(edited)}" if edited else "settings of JAX or the engine differ"
        raise errors.CheckpointError(f"member {row['member']} of {folder} is {found.key} now: {told}")


def _again(alone: config.Settings, codec: str) -> config.Settings:
    """The settings that train the student again, from the files of the export where it has labels."""
    if codec == NONE:
        return alone
    own = f"indices({record.IMAGES!r})"
    labels = (f"array({record.LABELS!r})",)
    sweep = dataclasses.replace(alone.sweep, labels=labels, select=(own,))
    return dataclasses.replace(alone, select=own, sweep=sweep)


def _record(
    alone: config.Settings, row: Row, dataset: Dataset, found: derive.Derived, codec: str, experts: str | None
) -> dict[str, Any]:
    plain = dataclasses.replace(alone.sweep, labels=(row["labels"],))  # no more than the text
    left_out = ("wave", "status", "first_bad_step")
    return {
        "member": row["member"],
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint, "train_images": len(dataset.train)},
        "subset_seed": found.member.subset_seed,
        "experts": experts,
        "codec": codec,
        "digests": {"images": digest({"images": found.table}), "labels": digest({"labels": found.rows})},
        "reached": {name: value for name, value in row.items() if name not in left_out and "seconds" not in name},
        "settings": config.as_dict(dataclasses.replace(alone, sweep=plain)),
    }


def _epochs(plan: Any, key: str) -> int:
    return next(m["epochs"] for m in plan["members"] if m["member"] == key)


def _precision(plan: Any) -> str:
    return plan["groups"][0]["recipe"]["precision"]


def _stored(found: derive.Derived, coded: Mapping[str, np.ndarray], train_images: int) -> dict[str, bytes]:
    """The files of positions and, if there are any, of labels."""
    file = io.BytesIO()
    np.save(file, found.table, allow_pickle=False)
    where = {"images": found.images, "of": np.array(train_images)}
    labels = {record.LABELS: pictures.arrays(**coded, **where)} if coded else {}
    return {record.IMAGES: file.getvalue(), **labels}
