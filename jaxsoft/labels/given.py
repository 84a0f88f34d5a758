"""Label rows of one's own, of a file or an array: read and checked at the door, and known by a digest from then on."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int
from scipy.special import softmax

from jaxsoft import config, errors, files
from jaxsoft import spec as language
from jaxsoft.data import refusals
from jaxsoft.data.formats import array
from jaxsoft.labels import codecs
from jaxsoft.labels.spec import GIVEN, LabelSpec
from jaxsoft.labels.treatments import Label
from jaxsoft.types import Dataset

_SUM = 1e-3  # how far from 1 probabilities may sum up
_WANTED = "wanted N x K numbers: a row for each image of the train split, a column for each class"
_MEANT = {
    1: "; class numbers are turned into rows by numpy.eye(K)[classes], and true classes are the labels `hard`",
    3: "; labels of views cannot be given, as views are made anew for every subset; their mean can: rows.mean(1)",
}
"""What to do with arrays of other dimensions, where it is clear what they are."""


class Told(str):
    """A label spec as the user wrote it; `spec` knows more than the text says, such as the digest of what it names."""

    spec: LabelSpec

    @classmethod
    def of(cls, text: str, spec: LabelSpec) -> "Told":
        """The text with what it means."""
        made = cls(text)
        made.spec = spec
        return made

    def __deepcopy__(self, _: Any) -> "Told":
        return self  # nothing of it changes


class Labels(Told):
    """A label spec with the rows that it speaks of; `Sweep.labels` takes it beside specs that are plain text.

    Attributes:
      rows: probabilities, float32 [N, K], one row for each image of the train split, in its order.
      logits: what they are the softmax of, float32 [N, K], where logits were given; else None.
      spec: the label spec as results tell it, with the digest of the rows.
    """

    rows: Float32[np.ndarray, "N K"]
    logits: Float32[np.ndarray, "N K"] | None

    @classmethod
    def from_array(cls, rows: Any, logits: bool = False, name: str = "rows") -> "Labels":
        """Rows of your own as labels; operations may follow, after a bar.

        Args:
          rows: [N, K], probabilities or `logits`: one row for each image of `dataset.train`, in its order.
          logits: whether they are logits, of which a label's row is the softmax.
          name: what results call them.

        Raises:
          DataError: these are no such rows; names the first that is not.

        >>> mine = Labels.from_array([[0.75, 0.25], [0.5, 0.5]], name="svm")
        >>> mine | "topk(1)"
        'array(svm, rows=xbbf304cf32c3)|topk(1)'
        >>> import jaxsoft
        >>> jaxsoft.Sweep(labels=("hard", mine, mine | "temperature(2)")).labels[1].rows.tolist()
        [[0.75, 0.25], [0.5, 0.5]]
        """
        found, digest = _checked(rows, logits, f"the rows of {name!r}")
        spec = LabelSpec(file=name, is_logits=logits, rows=digest)
        return cls._of(str(spec), found, spec)

    @classmethod
    def _of(cls, text: str, label: Label, spec: LabelSpec) -> "Labels":
        made = cls(text)
        made.spec, (made.rows, made.logits) = spec, label
        return made

    def __or__(self, operations: str) -> "Labels":
        text, label = f"{self}|{operations}", Label(self.rows, self.logits)
        return self._of(text, label, dataclasses.replace(self.spec, operations=LabelSpec.parse(text).operations))


def spec_of(text: str) -> LabelSpec:
    """The label spec that a text means; ConfigError if it names what was not read."""
    spec = text.spec if isinstance(text, Told) else LabelSpec.parse(text)
    if spec.file and not spec.rows:
        raise errors.ConfigError(f"label spec '{text}' names rows that were not read")
    if (spec.imported or spec.distilled) and not spec.weights:
        what = "teacher" if spec.imported else "set"
        raise errors.ConfigError(f"label spec '{text}' names a {what} that was not looked up")
    return spec


def specs_of(settings: config.Settings) -> tuple[str, ...]:
    """The texts of settings that may be `Labels` and `Indices`."""
    return settings.select, *settings.sweep.select, *settings.sweep.labels


def given_by_digest(labels: Iterable[str]) -> dict[str, Label]:
    """The rows that label specs hold, [N, K], with logits where these were given."""
    return {text.spec.rows: Label(text.rows, text.logits) for text in labels if isinstance(text, Labels)}


def read_rows(settings: config.Settings, folders: Sequence[Path] = (Path(),)) -> config.Settings:
    """The settings, with rows in the place of label specs that name a file in one of the folders.

    Raises:
      ConfigError: a label spec cannot be read.
      DataError: there is no such file, or it does not hold rows.
    """
    rows = functools.cache(functools.partial(_rows, folders))

    def found(text: str, spec: LabelSpec) -> str:
        if not spec.file:
            return text
        own, digest = rows(spec.file, spec.is_logits)
        if spec.rows not in ("", digest):
            raise errors.DataError(f"{spec.file} holds the rows {digest}; wanted {spec.rows}")
        return Labels._of(text, own, dataclasses.replace(spec, file=Path(spec.file).stem, rows=digest))

    return with_labels(settings, found)


def ask_functions(settings: config.Settings, dataset: Dataset) -> config.Settings:
    """The settings, with rows in the place of label specs that name a function of the user's own; it is asked once.

    Raises:
      ConfigError: the function fails.
      DataError: it does not give rows for this dataset.
    """
    rows = functools.cache(functools.partial(_asked, dataset=dataset))

    def found(text: str, spec: LabelSpec) -> str:
        if not spec.function:
            return text
        own, digest = rows(str(spec.function))
        return Labels._of(text, own, dataclasses.replace(spec, function=None, file=str(spec.function), rows=digest))

    return with_labels(settings, found)


def _asked(text: str, dataset: Dataset) -> tuple[Label, str]:
    """What a function says of the train split of a dataset."""
    offered = {"class_names": dataset.class_names}
    call = language.parse_one(text)
    function = language.resolve(text, {}, "label source", "", GIVEN, tuple(offered))
    taken = {name: value for name, value in offered.items() if name in language.parameters(function)}
    return _checked(function(dataset.train.images, dataset.train.labels, **taken), False, f"the rows of {call.name}")


def with_labels(settings: config.Settings, found: Callable[[str, LabelSpec], str]) -> config.Settings:
    """The settings with what is found in the place of label specs that do not hold rows yet."""
    texts = settings.sweep.labels
    try:
        labels = tuple(t if isinstance(t, Told) else found(t, LabelSpec.parse(t)) for t in texts)
    except (errors.ConfigError, errors.DataError) as problem:
        raise type(problem)(f"config.sweep.labels: {problem}") from None
    return dataclasses.replace(settings, sweep=dataclasses.replace(settings.sweep, labels=labels))


def check_rows(labels: Iterable[str], dataset: Dataset) -> None:
    """Refuse rows that are not one for each training image, of all classes; a DataError says what was wanted."""
    wanted = len(dataset.train), dataset.num_classes
    for text in labels:
        if not isinstance(text, Labels) and LabelSpec.parse(text).function:
            raise errors.ConfigError(f"label spec '{text}' names a function that was not asked")
        if isinstance(text, Labels) and text.rows.shape != wanted:
            raise errors.DataError(
                f"'{text}' has {refusals.size(text.rows.shape)} numbers, rows by classes; {dataset.name} wants "
                f"{refusals.size(wanted)}: a row for each image of its train split, without those of validation"
            )


def check_known(text: str, rows: Float32[np.ndarray, "N K"], subsets: Iterable[Int[np.ndarray, "_"]]) -> None:
    """Refuse images of subsets of which rows say nothing: those of an export are of its own images alone."""
    for ids in subsets:
        if (beyond := ids[ids >= len(rows)]).size:
            told = f"rows of {len(rows):,} train images, and subsets read {len(beyond)} images of an imported set"
            raise errors.DataError(
                f"config.sweep.labels: {text} has {told}; take distilled(...) or a teacher for these"
            )
        if (unknown := ids[~np.isfinite(rows[ids]).all(1)]).size:
            known = np.isfinite(rows).all(1).sum()
            told = f"{known:,} of {len(rows):,} train images, and image {unknown[0]} is not among them"
            raise errors.DataError(f"config.sweep.labels: {text} has rows of {told}; select those images")


def _rows(folders: Sequence[Path], file: str, logits: bool) -> tuple[Label, str]:
    """The rows of a file, sought in one folder after the other, and their digest."""
    path = array.sought(folders, file, "array")
    found = array.read(path)
    if isinstance(found, dict) and codecs.is_coded(found):
        return _decoded(found, path, logits)
    return _checked(array.one(path), logits, str(path))


def _decoded(found: Mapping[str, np.ndarray], path: Path, logits: bool) -> tuple[Label, str]:
    """Rows of some images, as an export has them, among rows that are not known (`nan`); and a digest of theirs."""
    if (there := codecs.hold_logits(found)) != logits:
        told = "logits; wanted logits=true" if there else "probabilities; wanted no logits=true"
        raise errors.DataError(f"{path} is of an export and holds {told}")
    with refusals.naming(f"cannot read {path}", "export it again"):
        rows = codecs.read(found)
        spread = np.full((int(found["of"]), rows.shape[1]), np.nan, np.float32)
        spread[found["images"]] = rows
    kind = "logits " if logits else ""
    digest = "x" + files.digest([f"{kind}{spread.shape};", found["images"].tobytes(), rows.tobytes()])[:12]
    return Label(softmax(spread, axis=1), spread) if logits else Label(spread), digest


def _checked(rows: Any, logits: bool, what: str) -> tuple[Label, str]:
    """Rows, or logits with theirs, in float32, and a digest of what was given."""
    with refusals.naming(f"{what} make no array"):
        array = np.asarray(rows)
    _check_shape(array, what)
    with np.errstate(over="ignore"):  # what float32 does not hold is refused
        given = np.ascontiguousarray(array, np.float32)
    _refuse(what, ~np.isfinite(given).all(1), given, "holds {}; wanted finite numbers")
    digest = "x" + files.digest([f"{bool(logits)} {given.shape};", given.data])[:12]
    if logits:
        return Label(softmax(given, axis=1), given), digest
    hint = "" if logits else "; logits are told by logits=true"
    _refuse(what, (given < 0).any(1), given.min(1), f"holds {{}}; wanted no probability below 0{hint}")
    sums = given.sum(1, dtype=np.float64)
    _refuse(what, ~(abs(sums - 1) <= _SUM), sums, f"sums to {{}}; wanted 1, to {_SUM}{hint}")
    return Label(given / given.sum(1, keepdims=True)), digest


def _check_shape(array: np.ndarray, what: str) -> None:
    """Refuse what is not N x K numbers."""
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        shape = refusals.size(array.shape) or "of one number"
        raise errors.DataError(f"{what} holds {array.dtype.name}, shape {shape}; {_WANTED}{_MEANT.get(array.ndim, '')}")


def _refuse(what: str, bad: Any, told: np.ndarray, said: str) -> None:
    """Refuse the first row that is bad, and say what is told of it: one number, or the first that is not finite."""
    if bad.any():
        row = int(bad.argmax())
        value = told[row] if told.ndim == 1 else told[row][~np.isfinite(told[row])][0]
        raise errors.DataError(f"{what}: row {row} {said.format(f'{value:.6g}')}")
