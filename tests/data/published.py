"""Small datasets in the layouts in which their owners publish them, made up by the tests."""

import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from jaxsoft.data.sets import cifar
from jaxsoft.data.sets import imagenet64 as small
from jaxsoft.data.sets import tiny_imagenet as tiny

CIFAR_RECORDS = 20  # a file, instead of 10,000
TINY_WNIDS = ("n02", "n01", "n03")  # published unsorted
TINY_TRAIN, TINY_TEST = 6, 2  # a class, instead of 500 and 50


def make_small(setattr: Callable[[object, str, object], None]) -> None:
    """Let the datasets expect as many images as are made up here."""
    setattr(cifar, "RECORDS", {10: (CIFAR_RECORDS, CIFAR_RECORDS), 100: (200, 100)})
    setattr(small, "CLASSES", 2)
    setattr(tiny, "TRAIN_PER_CLASS", TINY_TRAIN)
    setattr(tiny, "TEST_PER_CLASS", TINY_TEST)


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    """The bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def cifar_records(labels: np.ndarray, seed: int, coarse: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Records of a binary file, and the images they hold, [N, 32, 32, 3]."""
    images = np.random.default_rng(seed).integers(0, 256, (len(labels), 32, 32, 3), np.uint8)
    planes = images.transpose(0, 3, 1, 2).reshape(len(labels), -1)
    prefix = [np.full(len(labels), 99)] * coarse + [labels]  # a wrong byte where the coarse label is
    return np.concatenate([np.stack(prefix, 1).astype(np.uint8), planes], 1), images


def cifar10(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write the folder; split -> (images, labels) in published order."""
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    (folder / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")
    parts: dict[str, list] = {"train": [], "test": []}
    for seed, name in enumerate([f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]):
        labels = np.random.default_rng(seed + 50).permutation(np.arange(CIFAR_RECORDS) % 10)
        records, images = cifar_records(labels, seed)
        (folder / name).write_bytes(records.tobytes())
        parts["test" if name.startswith("test") else "train"].append((images, labels))
    return {split: tuple(map(np.concatenate, zip(*found))) for split, found in parts.items()}


def cifar100(root: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Write the folder, 2 train and 1 test image of each class; split -> (images, labels)."""
    folder = root / "cifar-100-binary"
    folder.mkdir(parents=True)
    (folder / "fine_label_names.txt").write_text("".join(f"class_{k}\n" for k in range(100)))
    made = {}
    for seed, (split, count) in enumerate((("train", 200), ("test", 100))):
        labels = np.arange(count) % 100
        records, images = cifar_records(labels, seed, coarse=True)
        (folder / f"{split}.bin").write_bytes(records.tobytes())
        made[split] = (images, labels)
    return made


def for_python(root: Path, name: str) -> Path:
    """Put the version for Python in the place of the binary one of `cifar10` or `cifar100`: the same images and labels."""
    if name == "cifar10":
        binary, folder = root / "cifar-10-batches-bin", root / "cifar-10-batches-py"
        files = {path.stem: path for path in binary.glob("*.bin")}
        meta, words, key, names = "batches.meta", binary / "batches.meta.txt", "labels", "label_names"
    else:
        binary, folder = root / "cifar-100-binary", root / "cifar-100-python"
        files = {split: binary / f"{split}.bin" for split in ("train", "test")}
        meta, words, key, names = "meta", binary / "fine_label_names.txt", "fine_labels", "fine_label_names"
    folder.mkdir()
    for file, path in files.items():
        rows = np.frombuffer(path.read_bytes(), np.uint8).reshape(-1, 3073 + (name == "cifar100"))
        content = {"batch_label": file, key: rows[:, -3073].tolist(), "data": rows[:, -3072:]}
        (folder / file).write_bytes(python2_pickle(content))
    (folder / meta).write_bytes(python2_pickle({"num_vis": 3072, names: words.read_text().split()}))
    _remove(binary)
    return folder


def python2_pickle(value: dict) -> bytes:
    """A pickle as Python 2 wrote it with protocol 2, which Python 3 no longer does: text and pixels are strings of bytes."""

    def text(content: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(content)) + content + b"q\x05"

    def of(item: object) -> bytes:
        if isinstance(item, dict):
            return b"}q\x01(" + b"".join(of(part) for pair in item.items() for part in pair) + b"u"
        if isinstance(item, list):
            return b"]q\x02(" + b"".join(map(of, item)) + b"e"
        if isinstance(item, int):
            return b"J" + struct.pack("<i", item)
        if isinstance(item, str):
            return text(item.encode())
        assert isinstance(item, np.ndarray)
        empty = b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85U\x01b\x87R"
        kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        shape = b"".join(map(of, item.shape)) + b"\x86"
        return empty + b"(K\x01" + shape + kind + b"\x89" + text(item.tobytes()) + b"tb"

    return b"\x80\x02" + of(value) + b"."


def tiny_imagenet(root: Path) -> None:
    """Write the folder. The red of an image is 10 x its class (in sorted order) + its number; PNG bytes, so exact."""
    folder = root / "tiny-imagenet-200"
    (folder / "val" / "images").mkdir(parents=True)
    (folder / "wnids.txt").write_text("".join(f"{wnid}\n" for wnid in TINY_WNIDS))
    (folder / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn02\ttoad\nn03\tbell cote, belfry\nn99\tx\n")
    annotations = []
    for k, wnid in enumerate(sorted(TINY_WNIDS)):
        (folder / "train" / wnid / "images").mkdir(parents=True)
        for i in range(TINY_TRAIN):
            (folder / "train" / wnid / "images" / f"{wnid}_{i}.JPEG").write_bytes(encoded(red(64, 10 * k + i)))
        for i in range(TINY_TEST):
            name = f"val_{i * len(TINY_WNIDS) + k}.JPEG"
            (folder / "val" / "images" / name).write_bytes(encoded(red(64, 10 * k + i)))
            annotations.append(f"{name}\t{wnid}\t0\t0\t63\t63\n")
    annotations.sort(key=lambda line: int(line.split(".")[0].removeprefix("val_")))
    (folder / "val" / "val_annotations.txt").write_text("".join(annotations))


def imagenet64(root: Path, form: str, count: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Write the files, each with so many images of either of the first two classes; all train images and their labels."""
    folder = root / "imagenet64"
    folder.mkdir(parents=True)
    made = []
    for seed, name in enumerate([f"train_data_batch_{i}" for i in range(1, 11)] + ["val_data"]):
        images = np.random.default_rng(seed).integers(0, 256, (2 * count, 64, 64, 3), np.uint8)
        labels = np.repeat([2, 1], count)
        planes = images.transpose(0, 3, 1, 2).reshape(2 * count, -1)
        content = {"data": planes, "labels": labels.tolist(), "mean": planes.mean(0)}
        if form == "npz":
            np.savez(folder / f"{name}.npz", **content)
        else:
            (folder / name).write_bytes(pickle.dumps(content, protocol=3))
        made.append((images, labels - 1))
    return np.concatenate([images for images, _ in made[:10]]), np.concatenate([labels for _, labels in made[:10]])


def red(side: int, value: int) -> np.ndarray:
    """A square image whose red channel has one value."""
    image = np.zeros((side, side, 3), np.uint8)
    image[..., 0] = value
    return image


def tar(folder: Path, path: Path) -> None:
    """Pack a folder as the `.tar.gz` that is published, and remove it."""
    with tarfile.open(path, "w:gz") as pack:
        pack.add(folder, folder.name)
    _remove(folder)


def zipped(folder: Path, path: Path) -> None:
    """Pack a folder as the `.zip` that is published, and remove it."""
    with zipfile.ZipFile(path, "w") as pack:
        for file in sorted(folder.rglob("*")):
            pack.write(file, file.relative_to(folder.parent))
    _remove(folder)


def _remove(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


def tfds(root: Path, name: str, splits: dict[str, list[tuple[np.ndarray, int]]], classes: list[str]) -> Path:
    """Write what TensorFlow Datasets writes as array_record; TensorFlow itself is not needed for that."""
    import tensorflow_datasets
    from array_record.python.array_record_module import ArrayRecordWriter
    from tensorflow_datasets.proto import tf_example_pb2

    folder = root / name / "1.0.0"
    folder.mkdir(parents=True)
    shape = next(iter(splits.values()))[0][0].shape
    image = tensorflow_datasets.features.Image(shape=shape, encoding_format="png", dtype=np.uint8)
    label = tensorflow_datasets.features.ClassLabel(names=classes)
    tensorflow_datasets.features.FeaturesDict({"image": image, "label": label}).save_config(str(folder))
    for split, rows in splits.items():
        writer = ArrayRecordWriter(str(folder / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1")
        for pixels, k in rows:
            example = tf_example_pb2.Example()
            example.features.feature["image"].bytes_list.value.append(encoded(np.squeeze(pixels)))
            example.features.feature["label"].int64_list.value.append(k)
            writer.write(example.SerializeToString())
        writer.close()
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    described = [
        {"name": split, "shardLengths": [str(len(rows))], "numBytes": "1", "filepathTemplate": template}
        for split, rows in splits.items()
    ]
    info = {"name": name, "version": "1.0.0", "fileFormat": "array_record", "splits": described}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return folder
