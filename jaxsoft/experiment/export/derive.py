"""One student's images and labels, derived anew from settings, data and experts: to export them, and to verify that."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int32

from jaxsoft import config, errors
from jaxsoft.data.chosen import Indices
from jaxsoft.experiment.inputs import prepare, subsets
from jaxsoft.experiment.plan import checks, identity, make
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.given import Labels, spec_of
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.types import Dataset, Row


class Derived(NamedTuple):
    """What one student learns from.

    Attributes:
      key: of the student.
      table: the images drawn, positions in train, [K, ipc]; of a class that is left out too.
      images: those that it reads, class by class.
      rows: their finished labels, several of each image where labels are of views, which lie together.
      code: what is named by its specs -> digest.
    """

    key: str
    table: Int32[np.ndarray, "K I"]
    images: Int32[np.ndarray, "S"]
    rows: Float32[np.ndarray, "R K"]
    code: Mapping[str, str]


def alone(settings: config.Settings, row: Row, began: Any) -> config.Settings:
    """The settings of a run for one of its members alone, which has the same key; nothing of them says where.

    Args:
      settings: of the run, with the member's rows and positions where they are one's own.
      row: of the results.
      began: the plan of the run, as it is stored.

    Raises:
      ConfigError: rows or positions of one's own are not at hand.
    """
    labels = {str(spec_of(text)): text for text in settings.sweep.labels if isinstance(text, Labels)}
    ways = (settings.select, *settings.sweep.select)
    select = {str(text): text for text in ways if isinstance(text, Indices)}
    for column, start, known in (("labels", "array(", labels), ("select", "indices(", select)):
        if row[column].startswith(start) and row[column] not in known:
            way_on = "--config=FILE.py names them, or given= of Results.load"
            told = f"its {column}, {row[column]}, are of one's own and not in the run folder; {way_on}"
            raise errors.ConfigError(f"member {row['member']} cannot be exported: {told}")
    way = select.get(row["select"], row["select"])
    epochs = next(member["epochs"] for member in began["members"] if member["member"] == row["member"])
    own = {c: (row[c],) for c in ("ipc", "seed", "subset_seed", "model", "learning_rate", "weight_decay")}
    own |= {"labels": (labels.get(row["labels"], row["labels"]),), "select": (way,)}
    told = {
        c: row.get(c) or getattr(settings.student, c) for c in ("loss", "optimizer", "augment")
    }  # older rows lack them
    own |= {c: (value,) for c, value in told.items() if value != getattr(settings.student, c)}
    own |= {"steps": () if epochs else (row["steps"],)}
    own |= {"without": (row["without"],) if row["without"] is not None else ()}
    return dataclasses.replace(
        settings,
        name=f"{settings.name}-{row['member']}",
        select=way,
        subjects="index",  # the row has the classes themselves
        precision=began["groups"][0]["recipe"]["precision"],
        note="",
        sinks=(),
        keep=config.Keep(),
        data=dataclasses.replace(settings.data, root=""),
        teacher=dataclasses.replace(settings.teacher, store="", expected=()),
        sweep=config.Sweep(axes=("ipc",), **own),
        compute=config.Compute(),
    )


def derive(
    settings: config.Settings, dataset: Dataset, experts: Experts, folder: Path | None, may_learn: bool
) -> Derived:
    """Draw the images and finish the labels of the one student of these settings.

    Args:
      folder: of the run, which keeps learned labels and the priors of committees.
      may_learn: whether those that it does not keep are made again, which may take as long as the run did.

    Raises:
      CheckpointError: labels would have to be learned.
    """
    settings = checks.check(settings)
    plan = make.make(settings, dataset, experts.histories, identity.member_context(settings, dataset, experts))
    if len(plan.members) != 1:
        raise errors.ConfigError(f"these settings are of {len(plan.members)} students; wanted one")
    (member,) = plan.members
    tables = subsets.draw_tables(plan.members, settings, dataset, experts)
    images = subsets.draw_images(plan.members, settings, dataset, experts)
    given = plan.members, images, settings, dataset, experts

    def refuse(_: Any) -> None:
        where = f"not in {folder}" if folder else "nowhere; --run=DIR names the run that has them"
        raise _Unlearned(f"the learned labels, or the priors of committees, are {where}; --teach makes them again")

    try:
        rows, starts = prepare.finish_rows(*given, folder, refuse)
    except _Unlearned:
        if not may_learn:
            raise
        rows, starts = prepare.finish_rows(*given)
    each = starts[0][:, None] + np.arange(LabelSpec.parse(member.labels).rows_per_image)
    table = tables[member.draw(settings.protocol)][:, : member.ipc].astype(np.int32)
    code = identity.of_run(settings, dataset, experts, plan.members)["code"]
    return Derived(plan.keys[0], table, images[member.subset], np.asarray(rows)[each.ravel()], code)


class _Unlearned(errors.CheckpointError):
    """Labels would have to be learned."""
