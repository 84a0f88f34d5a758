"""What a user is told when something cannot be done: one line, and the exit code of the command."""

import contextlib
import difflib
import errno
import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path


class JaxsoftError(Exception):
    """Base of the errors that a user can mend. The command line prints the message alone, without a traceback.

    Every argument is one line of the message: a line break inside of one came from a name or a value, and is escaped.

    >>> str(JaxsoftError("these differ:", "  width"))
    'these differ:\\n  width'
    """

    exit_code = 1

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class ConfigError(JaxsoftError):
    """A setting is unknown, of the wrong type, out of range, or does not fit the others."""

    exit_code = 2


class DataError(JaxsoftError):
    """A dataset is missing, half prepared, or corrupt."""

    exit_code = 3


class CheckpointError(JaxsoftError):
    """A checkpoint or a run folder does not match what is asked of it."""

    exit_code = 4


class Interrupted(JaxsoftError):
    """The user or the machine asked to stop; all that was done is saved, and the same command goes on from there."""

    exit_code = 75


FINISHED_WITH_FAILED_MEMBERS = 5


def nearest(name: str, choices: Iterable[str], count: int = 3) -> str:
    """The `count` choices that are closest in spelling to `name`, joined by commas.

    >>> nearest("tempratur", ["temperature", "topk", "swap"], count=1)
    'temperature'
    """
    choices = sorted(choices)
    close = difflib.get_close_matches(name, choices, n=count, cutoff=0.5)
    rest = sorted((c for c in choices if c not in close), key=lambda c: -difflib.SequenceMatcher(None, name, c).ratio())
    return ", ".join((close + rest)[:count])


def unknown(kind: str, name: str, choices: Iterable[str], where: str) -> str:
    """The message for a name that nothing answers to: what was asked, the three closest, where the whole list is."""
    own = "; one's own is written package.module:function" if re.fullmatch(r"\w+(\.\w+)+", name) else ""
    return f"unknown {kind} {name!r}; closest: {nearest(name, choices)} (all of them: {where}){own}"


def install(extra: str = "") -> str:
    """The command that installs an extra: of the jaxsoft that is installed, wherever from, else of this checkout.

    >>> install("bench")
    "pip install 'jaxsoft[bench]'"
    """
    from importlib import metadata  # slow to import

    is_installed = any(metadata.distributions(name="jaxsoft"))
    what = "jaxsoft" if is_installed else str(Path(__file__).parents[1])
    return f"pip install {'' if is_installed else '-e '}{shlex.quote(what + f'[{extra}]' * bool(extra))}"


def quoted(value: object, most: int = 300) -> str:
    """A value that is wrong as a message may hold it: on one line, and not without end.

    >>> quoted("a\\nb"), quoted(10**9999)
    ("'a\\\\nb'", 'a value of type int that is too long to show')
    """
    try:
        text = " ".join(repr(value).split("\n"))
    except ValueError:  # an integer of thousands of digits
        return f"a value of type {type(value).__name__} that is too long to show"
    return text if len(text) <= most else f"{text[:most]}... ({len(text)} characters)"


def first_line(problem: BaseException) -> str:
    """What an exception of others says, in one line; its name if it says nothing."""
    return (str(problem).strip() or type(problem).__name__).splitlines()[0]


def shown(text: str) -> str:
    """Text from outside as a terminal or a page may show it: what does not print is escaped, so it can command nothing.

    >>> shown("cat\\x1b[2J")
    'cat\\\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def lines(text: str) -> str:
    """The same for text of several lines: the breaks between them stay."""
    return "\n".join(map(shown, text.split("\n")))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What cannot be written is a CheckpointError that says what, why, and that nothing is lost."""
    try:
        yield
    except OSError as problem:
        intact = "what was there before is intact, mend this and run the same command again"
        rest = "was its folder moved or deleted?" if problem.errno == errno.ENOENT else intact
        why = problem.strerror or first_line(problem)  # of many files at once there is no one reason
        raise CheckpointError(f"cannot write {path}: {why}; {rest}") from problem
