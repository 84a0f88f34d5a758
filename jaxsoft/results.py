"""What became of a sweep, to take home: rows, curves, networks, labels and subsets, read from a run folder when asked."""

import contextlib
import dataclasses
import functools
import logging
import operator
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import jax
import numpy as np
from jaxtyping import Float32, Int32
from scipy.special import softmax

from jaxsoft import config, errors, numerics
from jaxsoft.data import arrays, chosen, normalize
from jaxsoft.data.normalize import Normalizer
from jaxsoft.distilled import kept as imported_sets
from jaxsoft.experiment import run, teachers
from jaxsoft.experiment.export import export as exporting
from jaxsoft.experiment.export.export import Exported
from jaxsoft.experiment.inputs import subsets
from jaxsoft.experiment.inputs.prepare import Inputs, prepare
from jaxsoft.experiment.plan import selections, stored
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store import manifest
from jaxsoft.experiment.store import results as table
from jaxsoft.experiment.store.folder import RunFolder, Temporary
from jaxsoft.experiment.students import curves, kept
from jaxsoft.experiment.teach.experts import Experts, OnEpoch
from jaxsoft.labels import given as given_rows
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training.evaluate import answers
from jaxsoft.training.fit import initialize
from jaxsoft.types import Dataset, Row

log = logging.getLogger(__name__)

_ABOUT = ["member", "model", "ipc", "labels", "seed", "subset_seed", "select", "learning_rate", "weight_decay", "loss"]
_ABOUT += ["optimizer", "augment"]
"""Columns of the rows that stand beside each look of a curve."""


class Results(Sequence[Row]):
    """The rows of a sweep in the order of its axes, and all that they came from.

    A `member` of a method is the position of its row, or the key in the column `member`. What was not kept, as students
    are in a run folder only with `config.keep.students`, is refused in one line that says how to keep it.

    Attributes:
      rows: one for each member, with the columns of results.csv.
      plan: who was trained with whom.
      settings: of the whole experiment.
    """

    def __init__(self, folder: RunFolder, dataset: Dataset | None, experts: Experts | None, given: Sequence[str]):
        """As `load` says it."""
        self._folder, self._given = folder, (dataset, experts)
        self.plan, self.settings = stored.as_begun(folder), stored.settings(folder, given)
        first = folder.path / table.LOG
        logs = (path for path in (first, *first.parent.glob(table.log_of(first, "*").name)) if path.exists())
        found, self._curves = curves.split(row for path in logs for row in table.rows(path))
        self.rows: list[Row] = [found[key] for key in dict.fromkeys(self.plan.keys) if key in found]
        if missing := len({*self.plan.keys} - found.keys()):
            log.warning("%s: %d of %d students are not done yet", folder.path, missing, len({*self.plan.keys}))
        self._places = {key: place for place, key in reversed(list(enumerate(self.plan.keys)))}

    @classmethod
    def load(
        cls, folder: str | os.PathLike, dataset: Dataset | None = None, experts: Experts | None = None,
        given: Sequence[str] = (),
    ) -> "Results":  # fmt: skip
        """The results in a run folder, of `jaxsoft run`, `train_students(folder=)` or `save`.

        Args:
          folder: of the run, which may still go on: rows are of the members that are done.
          dataset: that it was trained on; by default the one that its settings name, loaded when it is asked for.
          experts: that its labels came from; by default those that it keeps.
          given: `Labels` and `Indices` of your own that it was trained with, which a run folder does not keep.

        Raises:
          CheckpointError: there is no run in the folder, or it is damaged.
        """
        return cls(RunFolder(folder), dataset, experts, given)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __eq__(self, other: object) -> bool:
        return self.rows == (other.rows if isinstance(other, Results) else other)

    __hash__ = None  # as of a list  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        where = "" if isinstance(self._folder, Temporary) else f" in {self._folder.path}"
        return f"<Results of {len(self)} students on {self.rows[0]['dataset'] if self.rows else 'no data'}{where}>"

    @functools.cached_property
    def dataset(self) -> Dataset:
        """That the students were trained on."""
        way_on = "give Results.load the dataset= that it was trained on"
        try:
            found = self._given[0] or run.load(self.settings)
        except errors.JaxsoftError as problem:
            told = f"the dataset of {self._folder.path} cannot be loaded: {problem}; {way_on}"
            raise type(problem)(told) from None
        dataset, began = arrays.checked(found), stored.plan(self._folder)
        if began and (there := began["identity"]["data"]["fingerprint"]) != dataset.fingerprint:
            told = f"other data than {dataset.name}: fingerprint {there} there, {dataset.fingerprint} now"
            raise errors.DataError(f"the run in {self._folder.path} was trained on {told}; {way_on}")
        return dataset

    @functools.cached_property
    def experts(self) -> Experts:
        """That labels came from."""
        settings = dataclasses.replace(self.settings, precision=self.plan.buckets[0].recipe.precision)
        store = teachers.store_of(settings, self._folder)
        return self._given[1] or teachers.find(settings, self.dataset, store)

    def to_pandas(self) -> Any:
        """The rows as a `pandas.DataFrame`."""
        import pandas as pd

        return pd.DataFrame(self.rows)

    @property
    def curves(self) -> Any:
        """Every look at every member, as a `pandas.DataFrame`: who, `step`, `train_loss` (nats), `val_accuracy`.

        Under protocols that look at the test split while training, `test_accuracy` too. To plot them:

            results.curves.pivot_table(index="step", columns="labels", values="val_accuracy").plot()

        Raises:
          DataError: the run is of a version that kept no curves.
        """
        if not self._curves:
            raise errors.DataError("no curves were kept: the run is of an earlier version")
        about = self.to_pandas().reindex(columns=_ABOUT)  # older rows lack some
        return curves.tidy(about, [self._curves.get(row["member"]) for row in self.rows])

    def params(self, member: int | str, look: int = 0) -> Any:
        """A member's variables in NumPy, as its network is applied with them: `params`, `batch_stats` if it has any.

        Args:
          look: from 1 on, where all looks are kept; 0 for the chosen checkpoint.
        """
        place, folder = self._place(member), self._folder.path
        if not kept.members(folder, look):
            which = "all" if look else "best"
            told = f"no students of look {look} are kept; config.keep.students={which}, in Python keep={which!r}, keeps"
            raise errors.CheckpointError(f"{told} those that are trained from then on")
        like = None
        with contextlib.suppress(errors.ConfigError):  # its module is not here: names and numbers are
            recipe = self.plan.buckets[self.plan.seats[place][0]].recipe
            like = jax.eval_shape(functools.partial(initialize, recipe, self.plan.image_shape), np.int32(0)).variables
        return kept.read(folder, self.plan.keys[place], look, like)

    @numerics.pinned()
    def predict(
        self, member: int | str, images: Any, probabilities: bool = False, look: int = 0
    ) -> Float32[np.ndarray, "N K"]:
        """What a member says about images: logits, or their softmax.

        Args:
          images: as the dataset has them, or as `Dataset.from_arrays` takes them; normalised here as in training.
          look: from 1 on, where all looks are kept; 0 for the chosen checkpoint.

        Raises:
          DataError: images that are not clear, or not of the shape of the training images.
        """
        found = arrays.images(images, "images", self.dataset.image_shape)
        one = jax.tree.map(lambda a: np.asarray(a)[None], self.params(member, look))
        how, normalizer = self.plan.buckets[self.plan.seats[self._place(member)][0]], self._normalizer
        (said,) = answers(how.recipe, normalizer, normalizer.store(found), [one], how.lowering)
        return softmax(said[0], axis=1) if probabilities else said[0]

    @numerics.pinned()
    def labels(self, member: int | str) -> Float32[np.ndarray, "*S K"]:
        """The label rows that a member was trained with, [S, K], in the order of `subset`; of V views [S, V, K].

        Raises:
          ConfigError: it has none, as its teachers were asked at every step.
        """
        bucket, seat = self.plan.seats[self._place(member)]
        recipe = self.plan.buckets[bucket].recipe
        if recipe.online:
            raise errors.ConfigError(f"there are no rows: {recipe.online} was asked at every step")
        who, bank = self._inputs.members[bucket], self._inputs.bank
        first = who.rows[seat, : who.slots[seat]]
        return np.asarray(bank.rows)[first[:, None] + np.arange(recipe.views) if recipe.views else first]

    def subset(self, member: int | str) -> Int32[np.ndarray, "S"]:
        """The positions in the train split of the images that a member was trained on, in the order of its slots."""
        return self._images[self.plan.members[self._place(member)].subset].copy()

    def report(self, path: str | os.PathLike | None = None, formats: Sequence[str] = ()) -> Path:
        """Write the report, and say where: to a folder or an .html file; by default to the run folder.

        Args:
          formats: figures also as "svg" or "pdf", tables also as "csv" or "latex".
        """
        from jaxsoft.command import report  # with pandas and matplotlib, which take half a second

        if path is None and isinstance(self._folder, Temporary):
            raise errors.ConfigError("these results are in no run folder; give report() a path")
        return report.write([self._folder.path], path, formats=formats)

    def export(
        self, member: int | str, folder: str | os.PathLike, codec: str = "float32", images: bool = False,
        may_teach: bool = False, on_epoch: OnEpoch = lambda *_: None,
    ) -> Exported:  # fmt: skip
        """Write one student to a folder to take away, as `jaxsoft export` does; `jaxsoft.load_export` reads it back.

        Args:
          folder: one that is not there yet, or is empty.
          codec: of the labels: `float32`, the very rows; `float16`, `int8`, `int4`, `top3:int8` and the like; `none` stores none.
          images: whether pixels are written too: as arrays, PNG and tensors.
          may_teach: whether experts and learned labels that a run no longer has are made again.
          on_epoch: called as `teach` calls it.

        Returns: the row, and the bytes of positions, of labels and of all files.

        Raises:
          ConfigError: the place is taken, the student failed, or there is no such codec for its labels.
          CheckpointError: what the student learned from is no longer there, or is made by other code now.
        """
        key = self.plan.keys[self._place(member)]
        row = next(row for row in self.rows if row["member"] == key)
        logged = {**row, "curve": self._curves[key].as_json()} if key in self._curves else row
        of_run = self._folder, self.settings, self.dataset, self._given[1]
        return exporting.export(*of_run, logged, Path(folder), codec, images, may_teach, on_epoch)

    def save(self, folder: str | os.PathLike) -> Path:
        """Write a run folder that `load`, `jaxsoft report` and a later `train_students(folder=)` read.

        Raises:
          CheckpointError: there is something else in the folder, or it cannot be written.
        """
        target = Path(folder)
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise errors.CheckpointError(f"{target} is there already, and not empty; choose another folder")
        with errors.writing(target):
            shutil.copytree(self._folder.path, target, dirs_exist_ok=True)
        if isinstance(self._folder, Temporary) and not self.settings.teacher.store:
            self.experts.save(target / teachers.FOLDER)
            manifest.extend(RunFolder(target), (f"{teachers.FOLDER}/",))
        return target

    def _place(self, member: int | str) -> int:
        """The place in the plan."""
        if isinstance(member, str) and member in self._places:
            return self._places[member]
        if isinstance(member, SupportsIndex) and -len(self) <= operator.index(member) < len(self):
            return self._places[self.rows[member]["member"]]
        wanted = f"wanted a position below {len(self)}, or a key of the column `member`"
        raise errors.ConfigError(f"there is no member {errors.quoted(member)}; {wanted}")

    @functools.cached_property
    def _known(self) -> tuple[config.Settings, Plan]:
        """Settings and plan with the rows and positions of the user's own that they name."""
        settings = imported_sets.known(given_rows.read_rows(chosen.read(self.settings)))
        ways = (settings.select, *settings.sweep.select)
        own = {str(text): text for text in ways if isinstance(text, chosen.Indices)}
        members = (dataclasses.replace(m, select=own.get(m.select, m.select)) for m in self.plan.members)
        settings = given_rows.ask_functions(settings, self.dataset)
        return settings, dataclasses.replace(self.plan, members=tuple(members)) if own else self.plan

    @functools.cached_property
    def _whole(self) -> Dataset:
        """The dataset with the imported sets that were read beside it."""
        return imported_sets.beside(self.dataset, self._known[0])

    @functools.cached_property
    def _normalizer(self) -> Normalizer:
        given = self._given[1]  # asked first, as whitening takes long to fit
        return given.normalizer if given else normalize.fit(self.settings.data.normalize, self.dataset.train.images)

    @functools.cached_property
    def _images(self) -> dict[Any, Int32[np.ndarray, "_"]]:
        settings, plan = self._known
        asked = any(selections.asked_of_expert(member.select) for member in plan.members)
        with numerics.pinned():
            return subsets.draw_images(plan.members, settings, self._whole, self.experts if asked else None)

    @functools.cached_property
    def _inputs(self) -> Inputs:
        settings, plan = self._known
        rows = given_rows.given_by_digest(settings.sweep.labels)
        for text in dict.fromkeys(member.labels for member in plan.members):
            if (own := LabelSpec.parse(text).rows) and own not in rows:
                raise errors.DataError(f"label spec '{text}': its rows have changed, or are not at hand")
        return prepare(plan, settings, self._whole, self.experts, self._folder.path)
