"""The data card of an export: what it is, what is in it, how it was made, and how it is used."""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxsoft.config import Student
from jaxsoft.data.formats import exported
from jaxsoft.experiment.export import record
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.types import Dataset

_ABOUT = {
    exported.IMAGES: "positions in the train split, int32, [K, ipc]",
    exported.LABELS: "the labels in their codec, and the images that they are of",
    record.CONFIG: "trains the student again: `jaxsoft run --config=config.py`",
    exported.PIXELS: "images [S, H, W, C], or clips [S, T, H, W, C], as the dataset has them, classes, positions in train, names",
    "images_best.pt": "float32 [S, C, H, W], of clips [S, T, C, H, W], as `torch.load` reads it, **normalised**: {seen}",
    "labels_best.pt": "float32 [S, K], as `torch.load` reads it: the labels before the codec",
    "lr_best.pt": "the student's learning rate at the start",
}


def text(
    told: Mapping[str, Any], dataset: Dataset, index_bytes: int, label_bytes: int, names: Sequence[str], loads: bool
) -> str:
    """The card as Markdown; equal exports have equal cards. `loads`: the settings alone give the dataset."""
    normalized = f"`{told['settings']['data']['normalize']}`, fitted on the train split"
    held = {name: about.format(seen=normalized) for name, about in _ABOUT.items() if name in names}
    held |= (
        {"images/": "PNG by class, named by position in train; of clips one for each frame, `_t000` the first"}
        if any(n.startswith("images/") for n in names)
        else {}
    )
    held |= {exported.RECORD: "all of this for programs, with settings and the SHA-256 of every file"}
    facts = _facts(told, dataset, index_bytes, label_bytes)
    files = {f"`{name}`": about for name, about in held.items()}
    lines = [f"# {dataset.name}, {told['reached']['ipc']} images per class", "", *_table("", facts), ""]
    use = _USE % ("taken.load()" if loads else "...  # the very dataset that it was trained on")
    return "\n".join([*lines, *_table("file", files), "", use])


def _facts(told: Mapping[str, Any], dataset: Dataset, index_bytes: int, label_bytes: int) -> dict[str, str]:
    row = told["reached"]
    kind = "logits, " if told.get("logits") else ""
    stored = f"{kind}{label_bytes:,} bytes ({told['codec']})"
    is_outside = LabelSpec.parse(row["labels"]).imported
    again = "the teacher that was imported gives them" if is_outside else "experts are taught again and give them"
    loss = "" if row.get("loss", Student().loss) == Student().loss else f", loss `{row['loss']}`"
    return {
        "data": f"{dataset.name}, fingerprint `{dataset.fingerprint}`, {len(dataset.train):,} train images",
        "source, licence": f"{dataset.source or 'not known'}; {dataset.licence or 'not known'}",
        "images": f"{row['ipc']} of each class, `{row['select']}`, subset seed {row['subset_seed']}; {index_bytes:,} bytes",
        "labels": f"`{row['labels']}`; {stored if label_bytes else f'not stored: {again}'}",
        "experts": f"`{told['experts']}`" if told["experts"] else "none",
        "student": f"`{row['model']}`{loss}, seed {row['seed']}, {row['steps']} steps; member `{row['member']}`",
        "test accuracy": f"{_share(row['test_accuracy'])} (validation {_share(row['val_accuracy'])}), chosen as "
        f"protocol `{row['protocol']}` says; one student, with the labels before the codec",
        "made by": f"jaxsoft {row['version']}, commit {row['commit']}, {row['device']}",
    }


def _table(title: str, lines: Mapping[str, str]) -> list[str]:
    return [f"| {title} | |" if title else "| | |", "|---|---|", *(f"| {name} | {it} |" for name, it in lines.items())]


def _share(accuracy: float | None) -> str:
    return "not measured" if accuracy is None else f"{100 * accuracy:.2f}%"


_USE = """`jaxsoft verify FOLDER` compares every file, and derives images and labels anew. In Python:

```python
import jaxsoft

taken = jaxsoft.load_export("FOLDER")
data = %s
rows = jaxsoft.train_students(data, **taken.students(data))
```
"""
