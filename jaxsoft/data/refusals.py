"""What a user is told about images that cannot be used: the sentences that several files say."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Int32
from PIL import UnidentifiedImageError

from jaxsoft import errors


@contextlib.contextmanager
def naming(what: str, remedy: str = "") -> Iterator[None]:
    """Whatever goes wrong inside is refused in one line: what cannot be read, why, and what to do. Damage may raise anything."""
    try:
        yield
    except errors.DataError:
        raise
    except Exception as problem:
        reason = getattr(problem, "strerror", None) or " ".join(str(problem).split())
        reason = "no image of a kind that is read" if isinstance(problem, UnidentifiedImageError) else reason
        told = errors.shown(f"{what}: {reason or type(problem).__name__}")
        raise errors.DataError(told + f"; {remedy}" * bool(remedy)) from None


def listed(names: Sequence[str], most: int = 20, separator: str = ", ") -> str:
    """The first of the names, and how many there are beside them.

    >>> listed(["a", "b", "c"], most=2)
    'a, b, and 1 more'
    """
    more = [f"and {len(names) - most:,} more"] if len(names) > most else []
    return separator.join([*names[:most], *more])


def size(shape: Iterable[int]) -> str:
    """A shape as it is shown, such as 32x32x3."""
    return "x".join(map(str, shape))


def check_classes(train_labels: Int32[np.ndarray, "N"], class_names: Sequence[str], who: str) -> None:
    """Refuse classes that cannot be learned, as there is no image of them."""
    counts = np.bincount(train_labels, minlength=len(class_names))
    if not counts.all():
        empty = int(np.argmin(counts))
        told = f"class {empty} ({errors.shown(class_names[empty])}) has no train images"
        raise errors.DataError(f"{who}: {told}, of {len(class_names)} class names")
