"""The feature maps that labels hold, of every image that any subset uses: one table for each shape."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32, Int, Int32

from jaxsoft.distilled import pool
from jaxsoft.experiment.plan import maps
from jaxsoft.experiment.plan.sweep import MemberSpec, Subset
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import feature_maps
from jaxsoft.types import Dataset

Tables = dict[str, Float32[np.ndarray, "F h w c"]]


def feature_tables(
    members: Sequence[MemberSpec],
    images: Mapping[Subset, Int32[np.ndarray, "_"]],
    dataset: Dataset,
    experts: Experts,
) -> tuple[Tables | None, list[Int[np.ndarray, "_"] | None]]:
    """Ask the experts, each once for an epoch and a layer, about the images as they are.

    Returns:
      Tables by shape, None where no label holds maps; and for each member the place of each of its images in its own.
    """
    used = np.unique(np.concatenate(list(images.values())))
    specs = [LabelSpec.parse(m.labels) for m in members]
    parts: dict[str, list[np.ndarray]] = {}
    begin: dict[str, int] = {}
    for source, spec in maps.sources(specs).items():
        assert spec.epoch is not None and spec.features is not None
        found = experts.features(pool.of(dataset), used, spec.experts[0], spec.epoch, spec.features)
        table = parts.setdefault(feature_maps.text(found.shape[1:]), [])
        begin[source] = len(used) * len(table)
        table.append(found)

    def places(member: MemberSpec, spec: LabelSpec) -> np.ndarray | None:
        if spec.features is None:
            return None
        return begin[maps.source(spec)] + np.searchsorted(used, images[member.subset])

    tables = {shape: np.concatenate(table) for shape, table in parts.items()}
    return tables or None, list(map(places, members, specs))
