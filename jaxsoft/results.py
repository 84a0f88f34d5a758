"""What became of a sweep, to take home: rows, curves, networks, labels and subsets; out of memory or a run folder."""

import dataclasses
import functools
import logging
import operator
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, SupportsIndex

import jax
import numpy as np
from jaxtyping import Float32, Int32
from scipy.special import softmax

from jaxsoft import config, errors, numerics
from jaxsoft.console import Console
from jaxsoft.data import arrays
from jaxsoft.experiment import run
from jaxsoft.experiment.inputs import subsets
from jaxsoft.experiment.plan import checks, stored
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store import manifest, starts
from jaxsoft.experiment.store import results as table
from jaxsoft.experiment.store.folder import RunFolder, write_file, writing
from jaxsoft.experiment.students import curves, kept
from jaxsoft.experiment.teach.cohort import answers
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.homes import Memory, Stored, resolved
from jaxsoft.types import Dataset, Row

log = logging.getLogger(__name__)

_LOG = "results.jsonl"
_ABOUT = ["member", "model", "ipc", "labels", "seed", "subset_seed", "select", "learning_rate", "weight_decay"]
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

    def __init__(self, rows: Sequence[Row], plan: Plan, settings: config.Settings, home: Memory | Stored):
        found, self._curves = curves.split(rows)
        self.rows: list[Row] = list(found.values())
        self.plan, self.settings, self._home = plan, settings, home
        self._places = {key: place for place, key in reversed(list(enumerate(plan.keys)))}

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike,
        dataset: Dataset | None = None,
        experts: Experts | None = None,
        given: Sequence[str] = (),
    ) -> "Results":
        """The results in a run folder, of `jaxsoft run`, `train_students(folder=)` or `save`.

        Args:
          folder: of the run, which may still go on: rows are of the members that are done.
          dataset: that it was trained on; by default the one that its settings name, loaded when it is asked for.
          experts: that its labels came from; by default those that it keeps.
          given: `Labels` and `Indices` of your own that it was trained with, which a run folder does not keep.

        Raises:
          CheckpointError: there is no run in the folder, or it is damaged.
        """
        where = RunFolder(folder)
        plan, settings = stored.as_begun(where), where.read_settings()
        own, sweep = {str(text): text for text in given}, settings.sweep
        labels, select = (tuple(own.get(text, text) for text in texts) for texts in (sweep.labels, sweep.select))
        sweep = dataclasses.replace(sweep, labels=labels, select=select)
        settings = dataclasses.replace(settings, sweep=sweep, select=own.get(settings.select, settings.select))
        logs = [where.path / _LOG, *where.path.glob(table.log_of(where.path / _LOG, "*").name)]
        rows = {row["member"]: row for path in logs if path.exists() for row in table.rows(path)}
        if missing := len(set(plan.keys) - rows.keys()):
            log.warning("%s: %d of %d students are not done yet", where.path, missing, len(set(plan.keys)))
        found = [rows[key] for key in dict.fromkeys(plan.keys) if key in rows]
        return cls(found, plan, settings, Stored(where, settings, dataset, experts))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __eq__(self, other: object) -> bool:
        return self.rows == (other.rows if isinstance(other, Results) else other)

    __hash__ = None  # as of a list  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        where = f" in {self._home.folder.path}" if isinstance(self._home, Stored) else ""
        return f"<Results of {len(self)} students on {self.rows[0]['dataset'] if self.rows else 'no data'}{where}>"

    @property
    def dataset(self) -> Dataset:
        """That the students were trained on."""
        return self._home.dataset

    @property
    def experts(self) -> Experts:
        """That labels came from."""
        return self._home.experts

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
        each = [self._curves.get(row["member"]) for row in self.rows]
        looks = [curve.values.shape[1] if curve else 0 for curve in each]
        about = self.to_pandas()[_ABOUT]
        tidy = about.loc[about.index.repeat(looks)].reset_index(drop=True)
        whole = np.concatenate([curve.values for curve in each if curve], axis=1)
        for name, values in zip(next(curve.names for curve in each if curve), whole, strict=True):
            tidy[name] = values.astype(int) if name == "step" else values
        return tidy

    def params(self, member: int | str, look: int = 0) -> Any:
        """A member's variables in NumPy, as its network is applied with them: `params`, `batch_stats` if it has any.

        Args:
          look: from 1 on, where all looks are kept; 0 for the chosen checkpoint.
        """
        return self._home.variables(self.plan, self._place(member), look)

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
        place = self._place(member)
        found = arrays.images(images, "images", self.dataset.image_shape)
        one = jax.tree.map(lambda a: np.asarray(a)[None], self._home.variables(self.plan, place, look))
        how, normalizer = self.plan.buckets[self.plan.seats[place][0]], self._home.normalizer
        (said,) = answers(how.recipe, normalizer, normalizer.store(found), [one], how.lowering)
        return softmax(said[0], axis=1) if probabilities else said[0]

    @numerics.pinned()
    def labels(self, member: int | str) -> Float32[np.ndarray, "*S K"]:
        """The label rows that a member was trained with, [S, K], in the order of `subset`; of V views [S, V, K]."""
        bucket, seat = self.plan.seats[self._place(member)]
        recipe, who, bank = self.plan.buckets[bucket].recipe, self._home.inputs.members[bucket], self._home.inputs.bank
        first = who.rows[seat, : who.slots[seat]]
        return np.asarray(bank.rows)[first[:, None] + np.arange(recipe.views) if recipe.views else first]

    def subset(self, member: int | str) -> Int32[np.ndarray, "S"]:
        """The positions in the train split of the images that a member was trained on, in the order of its slots."""
        return self._images[self.plan.members[self._place(member)].subset].copy()

    @functools.cached_property
    def _images(self) -> dict[Any, Int32[np.ndarray, "_"]]:
        with numerics.pinned():
            settings = self._home.settings
            plan = resolved(self.plan, settings)
            asked = any(checks.by_difficulty(member.select) for member in plan.members)
            return subsets.draw_images(plan.members, settings, self.dataset, self.experts if asked else None)

    def report(self, path: str | os.PathLike | None = None, formats: Sequence[str] = ()) -> Path:
        """Write the report, and say where: to a folder or an .html file; by default to the run folder.

        Args:
          formats: figures also as "svg" or "pdf", tables also as "csv" or "latex".
        """
        if isinstance(self._home, Stored):
            return write_report([self._home.folder.path], path, formats=formats)
        if path is None:
            raise errors.ConfigError("these results are in no run folder; give report() a path")
        with tempfile.TemporaryDirectory() as folder:
            return write_report([self.save(Path(folder) / "run")], path, formats=formats)

    def save(self, folder: str | os.PathLike) -> Path:
        """Write a run folder that `load`, `jaxsoft report` and a later `train_students(folder=)` read.

        Raises:
          CheckpointError: there is something else in the folder, or it cannot be written.
        """
        target = Path(folder)
        if target.exists() and not (target.is_dir() and not any(target.iterdir())):
            raise errors.CheckpointError(f"{target} is there already, and not empty; choose another folder")
        if isinstance(self._home, Stored):
            with writing(target):
                shutil.copytree(self._home.folder.path, target, dirs_exist_ok=True)
            return target
        return _saved(self, self._home, target)

    def _place(self, member: int | str) -> int:
        """The place in the plan."""
        if isinstance(member, str) and member in self._places:
            return self._places[member]
        if isinstance(member, SupportsIndex) and -len(self) <= operator.index(member) < len(self):
            return self._places[self.rows[member]["member"]]
        wanted = f"wanted a position below {len(self)}, or a key of the column `member`"
        raise errors.ConfigError(f"there is no member {errors.quoted(member)}; {wanted}")


def _saved(results: Results, home: Memory, target: Path) -> Path:
    """A run folder of results in memory: their log and networks, and then a run that finds nothing left to train."""
    settings, console = results.settings, Console(quiet=True)
    with RunFolder(target).open(config.as_dict(settings)) as folder:
        starts.add_start(folder)
        log = table.open_log(folder.path / _LOG)
        log.append([{**row, "curve": _logged(results._curves[row["member"]])} for row in results.rows])
        log.close()
        for name, content in home.learned.items():
            write_file(folder.path / name, content)
        for (wave, look), students in home.students.items():
            kept.write(folder.path, results.plan, wave, students, look)
    run.run(settings, target, console, home.dataset, home.experts)
    run.close(target, console)
    return target


def _logged(curve: curves.Curve) -> dict[str, list[Any]]:
    """A curve as the log has it."""
    step, *numbers = np.where(np.isfinite(curve.values), curve.values, np.array(None)).tolist()
    return dict(zip(curve.names, [[int(at) for at in step], *numbers]))


def write_report(
    folders: Sequence[Path], out: str | os.PathLike | None = None, mix: bool = False, formats: Sequence[str] = ()
) -> Path:
    """Write the report; where it lies in a finished run's own folder the manifest lists it, if that can be read."""
    from jaxsoft.analysis import report

    written = report.write_report(folders, out, mix, formats)
    if out is None:
        try:
            if (folders[0] / manifest.MANIFEST).exists():
                manifest.extend(RunFolder(folders[0]), report.FILES)
        except errors.CheckpointError as problem:  # the report is written all the same
            log.warning("the report is not listed for jaxsoft verify: %s", problem)
    return written
