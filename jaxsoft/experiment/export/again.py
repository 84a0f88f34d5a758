"""An export read back: what `train_students` takes, and whether all of it can be derived anew."""

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxsoft import config, errors, numerics
from jaxsoft.data.chosen import Indices
from jaxsoft.data.formats import array, exported
from jaxsoft.experiment import run, teachers
from jaxsoft.experiment.export import derive, record
from jaxsoft.experiment.export.export import NONE
from jaxsoft.experiment.plan import checks, selections
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.experiment.teach.experts import OnEpoch
from jaxsoft.labels import codecs
from jaxsoft.labels.bank import digest
from jaxsoft.labels.given import read_rows
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.types import Dataset


class Export(NamedTuple):
    """A student that was taken from a run.

    Attributes:
      folder: where it lies.
      record: what `export.json` says: member, data, digests, settings, and what it reached.
      settings: its own, as the run had them.
      select: which images: positions, or the way they were drawn if no labels are stored, or if they are of an imported set.
      labels: their rows as the codec gives them back; or the label spec, there.
    """

    folder: Path
    record: dict[str, Any]
    settings: config.Settings
    select: str
    labels: str

    @property
    def test_accuracy(self) -> float | None:
        """What the student reached in its run, a fraction, with the labels before the codec."""
        return self.record["reached"]["test_accuracy"]

    def load(self, root: str = "") -> Dataset:
        """The dataset, prepared in a root; CheckpointError if it is another one."""
        data = dataclasses.replace(self.settings.data, root=root)
        return self.checked(run.load(dataclasses.replace(self.settings, data=data)))

    def checked(self, dataset: Dataset) -> Dataset:
        """The dataset, if the export is of it; a CheckpointError tells both fingerprints."""
        wanted = self.record["data"]
        if dataset.fingerprint != wanted["fingerprint"]:
            raise errors.CheckpointError(
                f"{self.folder} was exported with other data: {wanted['name']} {wanted['fingerprint']} there, "
                f"{dataset.name} {dataset.fingerprint} now"
            )
        return dataset

    def students(self, dataset: Dataset) -> dict[str, Any]:
        """What `train_students` takes beside the dataset, to train this one student again.

        Where no labels are stored, experts are taught first.
        """
        sweep = dataclasses.replace(self.settings.sweep, labels=(self.labels,), select=())
        own = dataclasses.replace(self.settings, sweep=sweep, select=self.select)
        experts = teachers.find(own, self.checked(dataset), None, may_teach=True)
        named = {name: getattr(own, name) for name in ("student", "sweep", "select", "protocol", "learned")}
        return {"experts": experts, **named}


def load_export(folder: Path | str) -> Export:
    """Read what `jaxsoft export` wrote, once every file is known to be as it was written.

    Raises:
      CheckpointError: there is no export in the folder, or it was altered.
    """
    folder = Path(folder)
    told = exported.read(folder)
    settings = config.read(told["settings"])
    own = Indices.from_array(array.one(folder / exported.IMAGES), name=Path(exported.IMAGES).stem)
    if "indices(" in settings.select:  # of a file that is elsewhere
        sweep = dataclasses.replace(settings.sweep, select=(own,))
        settings = dataclasses.replace(settings, select=own, sweep=sweep)
    select, (labels,) = settings.select, settings.sweep.labels
    if told["codec"] != NONE and not selections.reads_pool(settings.select):
        named = dataclasses.replace(settings.sweep, labels=(record.labels_spec(told),))
        select, (labels,) = own, read_rows(dataclasses.replace(settings, sweep=named), (folder,)).sweep.labels
    return Export(folder, told, settings, select, labels)


@numerics.pinned()
def verify(
    folder: Path,
    run_folder: Path | None = None,
    may_teach: bool = False,
    on_epoch: OnEpoch = lambda *_: None,
) -> list[str]:
    """Compare an export with what its settings give now: files, data, images, and labels if there are experts.

    Args:
      run_folder: of the run that it comes from, for its experts and learned labels.
      may_teach: whether experts that are nowhere are taught again.
      on_epoch: called as `teach` calls it.

    Returns: a line for each thing that holds, or could not be compared.

    Raises:
      CheckpointError: something does not hold; names it.
    """
    taken = load_export(folder)
    told, settings = taken.record, taken.settings
    held = [f"files: all {len(told['files'])} as exported"]
    if record.CONFIG not in told["files"]:
        return [*held, "data: arrays of one's own, which no settings give; images and labels are not compared"]
    dataset = taken.load()
    held += [f"data: {told['data']['name']}, the same fingerprint"]
    if LabelSpec.parse(told["reached"]["labels"]).source == "array":
        return [*held, "images, labels: rows of one's own, which nothing can derive anew"]
    if run_folder is None and not may_teach and checks.needs_experts(settings):
        why = "as there are no experts; --run=DIR has them, --teach teaches them"
        return [*held, f"images, labels: not compared, {why}"]
    there = run_folder and RunFolder(run_folder)
    store = there and teachers.store_of(there.read_settings(), there)
    experts = teachers.find(settings, dataset, store, may_teach, on_epoch)
    return held + _compared(taken, derive.derive(settings, dataset, experts, run_folder, may_teach))


def _compared(taken: Export, found: derive.Derived) -> list[str]:
    """What holds of an export, if all of it does."""
    told, wrong = taken.record, []
    if digest({"images": found.table}) != told["digests"]["images"]:
        wrong.append("images: drawn anew they are others")
    if digest({"labels": found.rows}) != told["digests"]["labels"]:
        wrong.append(f"labels: derived anew they are others{_apart(taken, found)}")
    if found.key != told["member"]:
        wrong.append(f"member: {told['member']} there, {found.key} now, as code or settings of JAX differ")
    if wrong:
        raise errors.CheckpointError(f"{taken.folder} does not hold: {'; '.join(wrong)}")
    images, labels = f"{found.table.size:,} drawn anew, equal", f"{len(found.rows):,} derived anew, equal"
    return [f"images: {images}", f"labels: {labels}", f"member: {found.key}, the same key"]


def _apart(taken: Export, found: derive.Derived) -> str:
    """How far from what is stored."""
    if taken.record["codec"] == NONE:
        return ""
    with np.load(taken.folder / exported.LABELS, allow_pickle=False) as arrays:
        rows = codecs.read(arrays)
    if rows.shape != found.rows.shape:
        return ""
    return f", by up to {np.abs(rows - found.rows).max():.2g} from those that are stored"
