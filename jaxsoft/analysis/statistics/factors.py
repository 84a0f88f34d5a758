"""Label specs taken apart: what the table of members has of each, a column a factor, and how specs are shown."""

import functools
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from jaxsoft import spec

FACTORS = (
    "source", "epoch", "family", "base", "op", "value", "views", "online", "expert", "experts", "pool", "operations"
)  # fmt: skip


@functools.cache
def factors(labels: str) -> Mapping[str, Any]:
    """A label spec taken apart: one value for each of `FACTORS`, but for the epoch, which the results tell.

    `family`: the spec without its epoch; `base`: without its last operation `op`, whose one argument is `value`;
    `expert`: the one that labels, -1 for several or none; `experts`: how many are pooled.

    >>> found = factors("teacher(expert=2, epoch=11)|topk(3)")
    >>> found["family"], found["base"], found["op"], found["value"], found["expert"]
    ('teacher(expert=2)|topk(3)', 'teacher(expert=2, epoch=11)', 'topk', 3.0, 2)
    """
    source, *operations = spec.parse(labels)
    family = source.without("epoch", "accuracy", "entropy")
    last = operations[-1] if operations else spec.Call("")
    value = next(iter((*last.args, *last.kwargs.values())), np.nan)
    first = source.args[0] if source.args else None
    several, usual = source.name in ("teachers", "committee"), "prior" if source.name == "committee" else "logits"
    return {
        "source": source.name,
        "family": spec.render((family, *operations)),
        "base": spec.render((source, *operations[:-1])),
        "op": last.name,
        "value": float(value) if isinstance(value, int | float) else np.nan,
        "views": int(source.kwargs.get("views", 0)),
        "online": bool(source.kwargs.get("online", False)),
        "expert": int(source.kwargs.get("expert", first or 0)) if source.name == "teacher" else -1,
        "experts": int(source.kwargs.get("n", first or 3)) if several else int(source.name == "teacher"),
        "pool": str(source.kwargs.get("pool", usual)) if several else "",
        "operations": tuple(call.name for call in operations),
    }


def shortened(labels: Iterable[str]) -> dict[str, str]:
    """Label specs that are shown otherwise: without the digest of rows of one's own, if their name is that of no others.

    >>> shortened(["hard", "array(svm, rows=x1f)|topk(3)", "array(svm, rows=x1f)"])
    {'array(svm, rows=x1f)|topk(3)': 'array(svm)|topk(3)', 'array(svm, rows=x1f)': 'array(svm)'}
    """
    taken = {text: spec.parse(text) for text in labels if text.startswith("array")}
    named = Counter(name for name, _ in {(source.args, source.kwargs.get("rows")) for source, *_ in taken.values()})
    alone = {text: calls for text, calls in taken.items() if named[calls[0].args] == 1}
    return {text: spec.render((first._replace(kwargs={}), *others)) for text, (first, *others) in alone.items()}
