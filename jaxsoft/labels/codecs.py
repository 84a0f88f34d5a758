"""How label rows are stored in few bytes: each codec as a pair of pure functions, `encode` and `decode`.

    float32, float16   the numbers of a row
    int8               8 bits a number: the distance below the row's largest, in steps of the row's own width in log p
    int4               4 bits likewise, two numbers to a byte
    topN:CODEC         the N largest and their classes; what is left of the row is spread evenly over the other classes

Logits, of which a label spec has no `stored`, are kept as they are, by the first two alone.

True classes as rows come back exactly, whatever the codec; the largest entry stays the largest, and rows keep their sum.
8 bits that are linear in p would lose the small entries of a row; those in log p do not. A row comes back the same
whatever rows are stored beside it.

Reference: Xiao and He (2024), "Are Large-scale Soft Labels Necessary for Large-scale Dataset Distillation?" (LPLD),
prune labels of views, so that fewer `views` are stored; LPQLD quantises what is left.
"""

import re
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Float32, UInt8

from jaxsoft import errors

NUMBERS = ("float32", "float16", "int8", "int4")
OF_LOGITS = "float32", "float16"
_CODEC = re.compile(rf"(?:top([1-9]\d{{0,5}}):)?({'|'.join(NUMBERS)})")
_WHOLE = 1e-5  # a row whose sum is as near to 1 as this sums to 1
_LARGEST = {"int8": 255, "int4": 15}  # the code of the largest entry; code 0 is zero itself, the others are between
_DEEPEST = {
    "int8": 20.0,
    "int4": 10.0,
}  # nats below the largest entry that codes reach; what is below is raised to there

Coded = dict[str, np.ndarray]
Rows = Float32[np.ndarray, "R K"]


def parse(codec: str, num_classes: int, what: str = "--codec=") -> tuple[int, str]:
    """How many of the largest entries a codec keeps, 0 for all, and how it stores numbers; `what` names it in a refusal.

    Raises:
      ConfigError: there is no such codec, or there are not so many classes.

    >>> parse("top3:int8", 10)
    (3, 'int8')
    """
    found = _CODEC.fullmatch(codec)
    if not found or int(found[1] or 0) >= num_classes:
        choices = f"{', '.join(NUMBERS)}, top1:int8 to top{num_classes - 1}:int8 (or :float16, :float32, :int4)"
        raise errors.ConfigError(f"{what}{codec} is none for {num_classes} classes; choices: {choices}")
    return int(found[1] or 0), found[2]


def encode(rows: Rows, codec: str) -> Coded:
    """The arrays in which a codec stores rows; `bytes_of` counts them.

    Args:
      rows: numbers of 0 or more.
    """
    top, numbers = parse(codec, rows.shape[1])
    sums = rows.sum(1, dtype=np.float64)
    sums = np.where(abs(sums - 1) > _WHOLE, sums, 1)
    coded: Coded = {"codec": np.array(codec), "classes": np.array(rows.shape[1])}
    if numbers != "float32" and (sums != 1).any():
        coded["sums"] = sums.astype(np.float32)
    if top:
        order = np.argsort(-rows, axis=1, kind="stable")
        coded["top"] = order[:, :top].astype(np.uint8 if rows.shape[1] <= 256 else np.uint16)
        rest = np.take_along_axis(rows, order[:, top:], 1).mean(1, keepdims=True)
        rows = np.concatenate([np.take_along_axis(rows, order[:, :top], 1), rest], 1)
    return coded | _packed(rows, numbers)


def decode(coded: Mapping[str, np.ndarray]) -> Rows:
    """The rows that were encoded, as exactly as the codec allows."""
    classes = int(coded["classes"])
    top, numbers = parse(str(coded["codec"]), classes)
    stored = rows = _unpacked(coded, numbers, top + 1 if top else classes)
    if top:
        rows = np.repeat(stored[:, -1:], classes, 1)
        np.put_along_axis(rows, coded["top"].astype(np.int64), stored[:, :-1], 1)
    if numbers == "float32":
        return rows.astype(np.float32)
    sums, there = coded.get("sums", np.ones(len(rows))), rows.sum(1)
    return (rows * np.where(there > 0, sums / np.where(there > 0, there, 1), 0)[:, None]).astype(np.float32)


def again(rows: Rows, codec: str) -> Rows:
    """The rows as a codec gives them back."""
    return decode(encode(rows, codec))


def encode_logits(rows: Rows, codec: str) -> Coded:
    """The arrays in which a codec stores rows of logits, which may be below 0 and have no sum to keep.

    Raises:
      ConfigError: it is a codec of probabilities; or does not reach so far.
    """
    check_logits(codec)
    with np.errstate(over="ignore"):
        stored = rows.astype(codec)
    if not np.isfinite(stored).all():
        raise errors.ConfigError(f"--codec={codec} reaches no logit of {abs(rows).max():g}; take float32")
    return {"codec": np.array(codec), "classes": np.array(rows.shape[1]), "logits": np.array(True), "numbers": stored}


def check_logits(codec: str) -> None:
    """Refuse a codec of probabilities where labels are logits."""
    if codec not in OF_LOGITS:
        told = "stores probabilities, and this student learned from logits"
        raise errors.ConfigError(f"--codec={codec} {told}; choices: {', '.join(OF_LOGITS)}, none")


def hold_logits(coded: Mapping[str, np.ndarray]) -> bool:
    """Whether what is stored are logits."""
    return "logits" in coded


def read(coded: Mapping[str, np.ndarray]) -> Rows:
    """The rows or the logits that were encoded, as exactly as the codec allows."""
    return coded["numbers"].astype(np.float32) if hold_logits(coded) else decode(coded)


def is_coded(arrays: Mapping[str, np.ndarray]) -> bool:
    """Whether arrays are rows of some images in a codec, as an export has them."""
    return {"codec", "classes", "images", "of"} <= arrays.keys()


def bytes_of(coded: Mapping[str, np.ndarray]) -> int:
    """Bytes of the rows alone, without the name of the codec and the number of classes.

    >>> row = np.full((1, 10), 0.1, np.float32)
    >>> [bytes_of(encode(row, codec)) for codec in ("float32", "float16", "int8", "int4", "top3:int8", "top3:int4")]
    [40, 20, 12, 7, 9, 7]
    """
    return sum(array.nbytes for name, array in coded.items() if name in ("numbers", "step", "top", "sums"))


def row_bytes(codec: str, num_classes: int, whole: bool = True) -> int:
    """Bytes of one row in a codec; of rows that do not sum to 1 where they are not `whole`.

    >>> row_bytes("int4", 10), row_bytes("top3:int4", 1000), row_bytes("int8", 10, whole=False)
    (7, 10, 16)
    """
    return bytes_of(encode(np.full((1, num_classes), (1 if whole else 0.5) / num_classes, np.float32), codec))


def _packed(rows: Rows, numbers: str) -> Coded:
    if numbers not in _LARGEST:
        return {"numbers": _below_largest(rows, rows.astype(numbers))}
    full = _LARGEST[numbers]
    logs = np.log(np.where(rows > 0, rows, 1), dtype=np.float64)
    largest = np.log(np.where(rows > 0, rows, 0).max(1, keepdims=True, initial=1e-45), dtype=np.float64)
    depth = np.where(rows > 0, np.minimum(largest - logs, _DEEPEST[numbers]), 0)
    deepest = depth.max(1, keepdims=True)
    step = np.where(deepest > 0, np.maximum(deepest / (full - 1), 2.0**-24), 0).astype(np.float16)
    codes = full - np.rint(depth / np.where(step > 0, step, 1).astype(np.float64))
    codes = np.where(rows > 0, np.clip(codes, 1, full), 0).astype(np.uint8)
    codes = _below_largest(rows, codes)
    return {"numbers": _paired(codes) if numbers == "int4" else codes, "step": step}


def _below_largest(rows: Rows, stored: np.ndarray) -> np.ndarray:
    """What is stored, but that what was less than the largest entry of its row stays less."""
    tied = (stored == stored.max(1, keepdims=True)) & (rows < rows.max(1, keepdims=True))
    less = stored - 1 if stored.dtype == np.uint8 else np.nextafter(stored, stored.dtype.type(0))
    return np.where(tied, less, stored)


def _paired(codes: UInt8[np.ndarray, "R M"]) -> UInt8[np.ndarray, "R _"]:
    """Codes of 4 bits, two to a byte; the last byte of an odd row is half empty."""
    codes = np.pad(codes, ((0, 0), (0, codes.shape[1] % 2)))
    return codes[:, ::2] << 4 | codes[:, 1::2]


def _unpacked(coded: Mapping[str, np.ndarray], numbers: str, count: int) -> Float[np.ndarray, "R M"]:
    """The stored numbers of rows, so many of each."""
    codes = coded["numbers"]
    if numbers not in _LARGEST:
        return codes.astype(np.float64)
    if numbers == "int4":
        codes = np.stack([codes >> 4, codes & 15], -1).reshape(len(codes), -1)[:, :count]
    below = codes.astype(np.float64) - _LARGEST[numbers]
    return np.where(codes > 0, np.exp(below * coded["step"].astype(np.float64)), 0)
