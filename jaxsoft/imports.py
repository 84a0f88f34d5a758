"""What a config names outside of this package: `package.module:function`, found beside the config or on sys.path.

The folder of the config file counts as a package of its own, by a name made of its real path: its modules meet neither
those of another folder nor those of libraries, whatever they are called, and sys.path stays as it is. Inside of these
modules `import helpers` finds `helpers.py` beside the config first, as a script would. What is imported is remembered as
it was read, so that `sources` knows what runs.
"""

import builtins
import contextlib
import functools
import importlib
import importlib.machinery
import sys
import sysconfig
import traceback
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxsoft import errors, files

_PREFIX = "_beside_"  # of the package that a config's folder is
_STDLIB = Path(sysconfig.get_path("stdlib"))
_PACKAGE = Path(__file__).parent

READ: dict[Path, bytes] = {}
"""The source of every module that was imported from outside of libraries, as it was then."""

_config: Path | None = None
_caches: list[Callable[[], None]] = []
_given: dict[str, Callable[..., Any]] = {}
_found: dict[int, tuple[Any, str, str]] = {}  # what paths led to, with module and name; held, so that its id is its own


def beside(config: Path | None) -> None:
    """Look for modules beside this config file from now on, as they are now; None: on sys.path alone."""
    global _config
    _config = config and config.resolve()
    if old := [name for name in sys.modules if name.startswith(_PREFIX)]:
        for name in old:
            del sys.modules[name]
        for clear in _caches:
            clear()
        if jax := sys.modules.get("jax"):  # its programs are known by texts of specs
            jax.clear_caches()


def beside_what() -> Path | None:
    """The config file beside which modules are looked for."""
    return _config


def is_outside(name: str) -> bool:
    """Whether a name of a spec is a path, such as `mylab.nets:tall`."""
    return ":" in name


def cached(function: Callable[..., Any], most: int = 2**16) -> Any:
    """`functools.lru_cache` for what depends on what paths lead to: emptied when modules are looked for beside another config."""
    kept = functools.lru_cache(most)(function)
    _caches.append(kept.cache_clear)
    return kept


def stamps() -> tuple[tuple[Path, int], ...]:
    """When the files of users' modules were changed last: what was compiled of them does not outlive that."""
    return tuple((path, path.stat().st_mtime_ns) for path in sorted(READ) if path.exists())


def is_found(function: Callable[..., Any]) -> bool:
    """Whether a path led to a function."""
    return id(function) in _found


def place(function: Callable[..., Any]) -> tuple[str, str]:
    """The full name of the module where a function is defined, or where a path found it, and its name there."""
    _, *found = _found.get(id(function), (function, function.__module__, function.__qualname__.partition(".")[0]))
    return found[0], found[1]


def function(path: str) -> Callable[..., Any]:
    """What a path such as `mylab.nets:tall` names: a function, or whatever else can be called.

    Raises:
      ConfigError: there is no such module, it fails, or has no such function; in one line.
    """
    if path in _given:
        return _given[path]
    where, _, name = path.partition(":")
    if where == "object":
        told = "was handed over in Python, to another process: hand it over again, built as it was"
        raise errors.ConfigError(f"{path} {told}")
    module = _imported(where)
    with telling(path):
        found = getattr(module, name, None)
    if found is None:
        own = [n for n, f in vars(module).items() if callable(f) and getattr(f, "__module__", "") == module.__name__]
        raise errors.ConfigError(
            f"module {where} has no function {name!r}; it has: {errors.nearest(name, own, 10) or 'none'}"
        )
    if not callable(found):
        raise errors.ConfigError(f"{path} is not a function, but of type {type(found).__name__}")
    _found[id(found)] = found, module.__name__, name
    return found


def give(path: str, function: Callable[..., Any]) -> None:
    """Let a path, such as `object:focal_x1f2e3d4c5b6a`, lead to a function from now on; its digits say what it is."""
    where, _, name = path.partition(":")
    _given[path], _found[id(function)] = function, (function, where, name)


@contextlib.contextmanager
def telling(what: str) -> Iterator[None]:
    """Say in one line what goes wrong inside of a user's code, with file and line; `what` begins it."""
    try:
        yield
    except errors.JaxsoftError:
        raise
    except (Exception, SystemExit) as problem:
        raise errors.ConfigError(f"{what}: {located(problem)}") from None


def located(problem: BaseException, file: str = "") -> str:
    """Where in a user's code an exception came from, its type and its first line; `file` counts as such code."""
    frames = traceback.extract_tb(problem.__traceback__)
    places = [(f.filename, f.lineno) for f in frames if f.filename == file or not is_library(f.filename)]
    text = errors.first_line(problem)
    if isinstance(problem, SyntaxError):
        places, text = [(problem.filename, problem.lineno)], problem.msg
    name, line = places[-1] if places else (file, None)
    where = f"{name}, line {line}: " if line else f"{name}: " if name else ""
    return f"{where}{type(problem).__name__}: {text}"


@functools.cache
def is_library(file: str) -> bool:
    """Whether a file belongs to this package, to Python, or to a folder into which packages are installed."""
    path = Path(file)
    ours = file.startswith("<") or path.is_relative_to(_STDLIB) or path.is_relative_to(_PACKAGE)
    return ours or any(map(_is_installed_into, path.parents))


def name_in(package: str, module: str, names: Sequence[str] = ()) -> str:
    """The full name of what a module of a package calls `module`, of which it may want `names`: a neighbour's, if any."""
    home = package.partition(".")[0]
    wanted = [module, *(f"{module}.{name}" for name in names)]
    return f"{home}.{module}" if home.startswith(_PREFIX) and any(_has(home, w) for w in wanted) else module


def plain(module: str) -> str:
    """The name of a module as its users know it."""
    return module.partition(".")[2] if module.startswith(_PREFIX) else module


def _imported(where: str) -> types.ModuleType:
    home = _home(_config.parent) if _config else ""
    with telling(f"module {where}"):
        try:
            module = importlib.import_module(name_in(home, where))
        except ModuleNotFoundError as problem:
            if not f"{where}.".startswith(f"{problem.name}."):
                raise
            beside = f"beside {_config} nor " if _config else ""
            raise errors.ConfigError(f"module {where} not found {beside}on sys.path") from None
    _remember()
    return module


def _home(folder: Path) -> str:
    """The package that a folder is."""
    name = _PREFIX + files.digest([str(folder)])[:12]
    if name not in sys.modules:
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return name


def _has(home: str, module: str) -> bool:
    """Whether a module lies in a home; folders without Python files are none."""
    path = Path(sys.modules[home].__path__[0], *module.split("."))
    return path.with_name(f"{path.name}.py").is_file() or (path / "__init__.py").is_file()


def _remember() -> None:
    """Read the sources of what was imported by the way."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str) and file.endswith(".py") and Path(file) not in READ and not is_library(file):
            with contextlib.suppress(OSError):
                READ[Path(file)] = Path(file).read_bytes()


@functools.cache
def _is_installed_into(folder: Path) -> bool:
    return next(folder.glob("*.dist-info"), None) is not None


class _Finder:
    """Finds the modules of homes, for which there is `_Loader`."""

    @staticmethod
    def find_spec(name: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        found = importlib.machinery.PathFinder.find_spec(name, path) if name.startswith(_PREFIX) else None
        if found and isinstance(found.loader, importlib.machinery.SourceFileLoader):
            found.loader = _Loader(name, found.loader.path)
        return found


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module whose imports look at its neighbours first; from its source, which is remembered."""

    def get_code(self, fullname: str) -> types.CodeType:
        READ[Path(self.path)] = source = self.get_data(self.path)
        return self.source_to_code(source, self.path)

    def exec_module(self, module: types.ModuleType) -> None:
        imports = functools.partial(_import, module.__name__)
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": imports}
        super().exec_module(module)


def _import(own: str, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
    """The import statement of a module of a home."""
    full = name if level else name_in(own, name, fromlist or ())
    found = builtins.__import__(full, globals, locals, fromlist, level)
    if full == name or fromlist:
        return found
    return sys.modules[f"{own.partition('.')[0]}.{name.partition('.')[0]}"]


sys.meta_path.insert(0, _Finder)  # pyright: ignore[reportArgumentType]
