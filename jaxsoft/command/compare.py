"""What `jaxsoft compare` runs: the experiment `compare`, of the sets that its words name."""

from collections.abc import Iterator, Sequence

from jaxsoft import errors
from jaxsoft.config import values

_EXPECTED = "expected: jaxsoft compare SET [SET ...], imported sets (see jaxsoft data list) or ways to select images, such as k_centers"
_LISTS = "ipc", "models", "augment", "rates"
_FLAGS = ("data", "seeds", "bits", "experts", "classes", "protocol", "root", *_LISTS)


def as_run(argv: Sequence[str]) -> list[str]:
    """The words of `jaxsoft run` that mean the same; of the data set that the first imported set is of, unless one is named.

    >>> as_run(["k_centers", "decile(i=0)", "--ipc=1,5", "--quick", "--workdir=runs/mine"])
    ['compare:sets=k_centers+decile(i=0),ipc=1+5,quick', '--workdir=runs/mine']

    Raises:
      ConfigError: no set, a flag without a value, or a word with a `+`.
    """
    sets, given, others, words = list[str](), dict[str, str](), list[str](), iter(argv)
    for word in words:
        name, equals, text = word.lstrip("-").partition("=")
        if not word.startswith("-"):
            sets.append(_checked(word))
        elif name in _FLAGS:
            given[name] = _value(name, text if equals else next(words, ""))
        elif word == "--quick":
            given[name] = ""
        else:
            others += [word, *_rest(word, equals, words)]
    if not sets:
        raise errors.ConfigError(_EXPECTED)
    if "data" not in given and (data := _data(sets, given.get("root", ""))):
        given["data"] = data
    told = {"sets": "+".join(sets)} | given
    return [f"compare:{','.join(f'{name}={text}' if text else name for name, text in told.items())}", *others]


def _checked(word: str) -> str:
    if "+" in word:
        raise errors.ConfigError(f"jaxsoft compare: the name of a set has no '+', got {errors.quoted(word)}")
    return word


def _value(name: str, text: str) -> str:
    """The value of a flag as an argument of a config; items of a list with `+` between them."""
    if not text:
        raise errors.ConfigError(f"--{name} needs a value: --{name}=VALUE")
    return "+".join(values.parsed(text, tuple[str, ...])) if name in _LISTS else text


def _rest(word: str, equals: str, words: Iterator[str]) -> list[str]:
    """The value of a setting that stands in a word of its own, for it is no set."""
    return [next(words, "")] if word.lstrip("-").startswith("config.") and not equals else []


def _data(sets: Sequence[str], root: str) -> str:
    """The data set of the first imported set; empty where there is none."""
    from jaxsoft.distilled.comparing import lookup  # it loads JAX

    return next(filter(None, (lookup.find(text, root).data for text in sets)), "")
