"""How a command starts JAX: its devices, and where compiled programs are kept."""

import contextlib
import functools
import os
from collections.abc import Iterator
from pathlib import Path

from jaxsoft import errors

_MOST_CPU_DEVICES = 8  # each holds a copy of the images


@contextlib.contextmanager
def starting_jax() -> Iterator[None]:
    """What JAX says of its environment, in one line: a platform that is not there, a switch neither on nor off.

    Raises:
      ConfigError: it cannot start.
    """
    try:
        yield
    except (RuntimeError, ValueError, AssertionError) as problem:
        names = sorted(name for name in os.environ if name.startswith(("JAX_", "XLA_", "CUDA_VISIBLE")))
        reason = str(problem).strip().partition("\n")[0] or "no platform that was asked for is here"
        told = ", ".join(f"{name}={os.environ[name]}" for name in names) or "no variable of JAX is set"
        raise errors.ConfigError(f"JAX cannot start: {reason} ({told})") from None


def set_up_jax(keep_programs: bool) -> None:
    """One device for each core on CPU, and a persistent compilation cache; what the user has set up stays."""
    _spread_over_cores()
    if keep_programs:
        _keep_programs()


@functools.cache
def set_up_for_caller() -> None:
    """As `set_up_jax`, for a function that is called from Python; where JAX is at work already, all stays as it is."""
    if _spread_over_cores():
        _keep_programs()


def _spread_over_cores() -> bool:
    """Ask for a device for each core, unless the user has; says whether JAX has yet to start."""
    import jax

    forced = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if forced or jax.config.jax_num_cpu_devices >= 0:  # pyright: ignore[reportAttributeAccessIssue]
        return True
    with contextlib.suppress(RuntimeError):  # it is at work
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        jax.config.update("jax_num_cpu_devices", min(_MOST_CPU_DEVICES, cores))
        return True
    return False


def _keep_programs() -> None:
    import jax

    if not jax.config.jax_compilation_cache_dir:  # pyright: ignore[reportAttributeAccessIssue]
        jax.config.update("jax_compilation_cache_dir", programs_folder())
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def programs_folder() -> str:
    """Where compiled programs are kept: where the user says, else in the user's cache; it may be a URL."""
    import jax

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~")) / ".cache") / "jaxsoft" / "xla"
    return jax.config.jax_compilation_cache_dir or str(cache)  # pyright: ignore[reportAttributeAccessIssue]
