"""Whether a run can start on this machine: one line for each thing that it needs. Nothing is written."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from jaxsoft import errors
from jaxsoft.command import starting

OK, WARNING, PROBLEM = "ok", "warning", "problem"

Finding = tuple[str, str]
"""Its state, one of those three, and what was found; only a problem keeps a run from starting."""

_LITTLE = 1.0  # GB of free space that a run may well need
_CUDA_13 = 580  # the first major version of NVIDIA's driver that CUDA 13 runs with

_EXTRAS = {
    "cuda12": "NVIDIA GPU",
    "cuda13": f"NVIDIA GPU, driver {_CUDA_13} or later",
    "tpu": "Google TPU",
    "compile-only": "compile for GPUs that are not here",
    "prepare": "write sets of TensorFlow Datasets",
    "stream": "decode images while they are trained on",
    "hdf5": "read distilled sets in .h5",
    "cluster": "sweeps on a Ray cluster",
    "test": "run the tests",
    "bench": "compare with PyTorch",
    "docs": "build the documentation",
    "tensorboard": "the sink of this name",
    "wandb": "the sink of this name",
}
"""What each is for."""


def examine() -> list[Finding]:
    """All that was found, in the order in which it is told."""
    found = _tried(_packages)
    started = _tried(_devices)
    with_jax = () if is_ill(started) else (_settings, _memory, _kernels, _programs)
    return found + started + [one for check in (*with_jax, _data, _runs) for one in _tried(check)]


def is_ill(found: Iterable[Finding]) -> bool:
    """Whether something keeps a run from starting."""
    return any(state == PROBLEM for state, _ in found)


def _tried(check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """What a check finds, or what stops it."""
    try:
        with starting.starting_jax():
            return list(check())
    except (errors.JaxsoftError, ImportError, OSError) as problem:
        return [(PROBLEM, errors.first_line(problem))]


def _packages() -> Iterator[Finding]:
    """Python, and the packages that jaxsoft asks for."""
    yield OK, f"python {platform.python_version()} ({sys.executable})"
    try:
        asked = [Requirement(line) for line in metadata.requires("jaxsoft") or ()]
    except metadata.PackageNotFoundError:
        yield WARNING, f"jaxsoft is not installed, so what it asks for is not known; {errors.install()}"
        return
    for one in asked:
        if _is_asked(one):
            yield from _package(one)
    yield OK, _extras()


def _package(asked: Requirement) -> Iterator[Finding]:
    try:
        version = metadata.version(asked.name)
    except metadata.PackageNotFoundError:
        yield PROBLEM, f"{asked.name} is missing; pip install '{asked}'"
        return
    if not asked.specifier.contains(version, prereleases=True):
        yield WARNING, f"{asked.name} {version} is not what jaxsoft is tested with; pip install '{asked}'"


def _extras() -> str:
    """The extras that are here, and those that are not: what each is for, and how it is installed."""
    known = metadata.metadata("jaxsoft").get_all("Provides-Extra") or ()
    here = {name: _is_here(Requirement(f"jaxsoft[{name}]")) for name in known}
    there = ", ".join(name for name in known if here[name]) or "none"
    more = [f"{name} ({_EXTRAS[name]})" if name in _EXTRAS else name for name in known if not here[name]]
    return f"extras: {there}" + f"; not here: {', '.join(more)}: {errors.install('NAME')}" * bool(more)


def _is_here(asked: Requirement) -> bool:
    """Whether a package is installed, and what its extras ask for."""
    try:
        metadata.version(asked.name)
    except metadata.PackageNotFoundError:
        return False
    needs = map(Requirement, metadata.requires(asked.name) or ())
    return all(_is_here(one) for one in needs if not _is_asked(one) and any(_is_asked(one, e) for e in asked.extras))


def _is_asked(one: Requirement, extra: str = "") -> bool:
    """Whether this machine's Python is asked for a package, by an extra or without any."""
    return one.marker is None or one.marker.evaluate({"extra": extra})


def _devices() -> Iterator[Finding]:
    """Versions, and the devices that JAX really computes on."""
    starting.set_up_jax(keep_programs=False)  # JAX would make the folder for them
    import jax

    from jaxsoft.experiment.machine.environment import environment

    seen = environment()
    jax.block_until_ready(jax.numpy.ones(8) + 1)
    del seen["versions"]["python"]  # told already
    versions = [f"{name} {version or 'not installed'}" for name, version in seen["versions"].items()]
    yield OK, f"{', '.join(versions)}; commit {seen['commit'] or 'not known'}"
    yield OK, f"{seen['device_count']} x {seen['device']}, platform {jax.default_backend()}; {seen['platform']}"
    if jax.default_backend() == "cpu":
        yield from _unseen_gpus()


def _unseen_gpus() -> Iterator[Finding]:
    """What NVIDIA's driver finds where JAX computes on the CPU, and what to do about it."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=3, check=True).stdout
    except FileNotFoundError:
        return
    except (OSError, subprocess.SubprocessError) as problem:
        yield WARNING, f"NVIDIA's driver is here, but finds no GPU: {errors.first_line(problem)}"
        return
    for name, _, driver in (line.rpartition(", ") for line in told.splitlines()[:1]):
        major = driver.partition(".")[0]
        extra = "cuda13" if major.isdigit() and int(major) >= _CUDA_13 else "cuda12"
        switches = ("JAX_PLATFORMS", "CUDA_VISIBLE_DEVICES")
        hiding = [f"{name}={os.environ[name]}" for name in switches if name in os.environ]
        cure = f"{', '.join(hiding)} may hide it" if hiding else errors.install(extra)
        yield WARNING, f"JAX does not see the GPU that is here ({name}, driver {driver}): {cure}"


def _settings() -> Iterator[Finding]:
    """What the shell says to JAX and XLA."""
    from jaxsoft import numerics

    with numerics.pinned():
        pass
    counts = numerics.identity().items()
    told = numerics.overridden() + [f"{name}={v} can change numbers: it is part of every key" for name, v in counts]
    yield from ((WARNING, line) for line in told)
    if not told:
        yield OK, "settings of JAX and XLA: the usual ones"


def _memory() -> Iterator[Finding]:
    from jaxsoft import config
    from jaxsoft.experiment.machine import memory

    most, used = memory.most_bytes(), memory.budget_bytes(config.Settings())
    yield OK, f"memory: {most / 1e9:.1f} GB, of which the students of a wave may take {used / 1e9:.1f} GB"


def _kernels() -> Iterator[Finding]:
    """Whether a GPU computes with kernels of our own, which it has to show to be right."""
    from jaxsoft import target
    from jaxsoft.ops import checked

    if target.platform() != "gpu":
        return
    why = checked.fault()
    yield (WARNING, checked.told(why)) if why else (OK, "kernels: checked against other ways to compute the same")


def _programs() -> Iterator[Finding]:
    """Where compiled programs are kept: a folder, or what only JAX can open."""
    where = starting.programs_folder()
    yield (OK, f"compiled programs: {where}") if "://" in where else _folder("compiled programs", Path(where))


def _data() -> Iterator[Finding]:
    """Where prepared data lies, and what of it is there."""
    from jaxsoft import data

    yield _folder("data", data.root_folder())
    states: dict[str, list[str]] = {}
    for name, state, _ in data.available():
        states.setdefault(state, []).append(name)
    yield OK, "data sets: " + "; ".join(f"{state}: {', '.join(names)}" for state, names in states.items())
    for name in states.get("half prepared", ()):
        yield WARNING, f"{name} is only half prepared; run: jaxsoft data prepare {name}"


def _runs() -> Iterator[Finding]:
    yield _folder("run folders", Path("runs"), PROBLEM)


def _folder(what: str, path: Path, otherwise: str = WARNING) -> Finding:
    """A folder that is written to, or the one above it that there is; `otherwise` is the state where nothing can be."""
    path = path.absolute()
    there = next(one for one in (path, *path.parents) if os.path.exists(one))
    free = shutil.disk_usage(there).free / 1e9
    told = f"{what}: {path}{'' if there == path else ' (not there yet)'}, {free:.1f} GB free"
    if not (there.is_dir() and os.access(there, os.W_OK | os.X_OK)):
        return otherwise, f"{told}, cannot be written"
    return (WARNING, f"{told}, which is little") if free < _LITTLE else (OK, told)
