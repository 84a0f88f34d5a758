"""What a program is for: the devices that are here, or others, for which it is only planned or compiled.

Whatever depends on the kind of device (lowerings, blocks, precision, memory) asks here and nowhere else, so that a
program that is compiled for a device far away is the one that would run there.
"""

import contextlib
import contextvars
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax

from jaxsoft import errors


class Target(NamedTuple):
    """Devices of one kind, of all processes together."""

    platform: str  # cpu, gpu or tpu
    devices: int = 1
    memory: int = 0  # bytes that XLA may use of each; 0 where they use the memory of their host
    chip: str = ""  # of `CHIPS`; empty for devices that are here


class Chip(NamedTuple):
    """What a data sheet says of an accelerator, and a measured copy of its bandwidth where there is one."""

    platform: str
    memory: int  # bytes
    bandwidth: float  # bytes a second
    peak: float  # operations a second in bfloat16, dense


CHIPS = {
    "a100": Chip("gpu", 85_000_000_000, 2.04e12, 312e12),
    "h100": Chip("gpu", 84_942_979_072, 3.35e12, 790e12),
    "h200": Chip("gpu", 150_000_000_000, 4.30e12, 790e12),
    "v4": Chip("tpu", 34_359_738_368, 1.2e12, 275e12),
    "v5e": Chip("tpu", 17_179_869_184, 0.82e12, 197e12),
    "v6e": Chip("tpu", 34_359_738_368, 1.64e12, 918e12),
}
# Of an accelerator's memory, what programs may use: on a GPU what JAX takes unless it is told otherwise, on a TPU what its
# compiler leaves (15.75 of 16 GiB of a v5e, 31.24 of 32 of a v6e, 15.25 of 16 of each core of a v4).
_USABLE = {"gpu": 0.75, "tpu": 0.95}
_PLATFORMS: dict[str, str] = {"cuda": "gpu", "rocm": "gpu"}

_aimed: contextvars.ContextVar[Target | None] = contextvars.ContextVar("target", default=None)


def current() -> Target:
    """What is traced and planned now is for this: what `aimed` says, or else the devices that JAX sees."""
    return _aimed.get() or Target(jax.default_backend(), jax.device_count(), _memory(jax.local_devices()[0]))


def platform() -> str:
    """The platform of `current`: cpu, gpu or tpu."""
    there = _aimed.get()
    return there.platform if there else jax.default_backend()


@contextlib.contextmanager
def aimed(at: Target) -> Iterator[None]:
    """Whatever is traced and planned inside is for this."""
    token = _aimed.set(at)
    try:
        yield
    finally:
        _aimed.reset(token)


def is_here() -> bool:
    """Whether the devices of `current` are those that JAX computes on, as far as their kind tells."""
    there = _aimed.get()
    return there is None or (there.platform == jax.default_backend() and not there.chip)


def of(devices: Sequence[Any]) -> Target:
    """The target that some devices of one kind are, whether they are here or only a description for a compiler."""
    kind: str = devices[0].platform
    return Target(_PLATFORMS.get(kind, kind), len(devices), _memory(devices[0]))


def named(text: str) -> Target:
    """The target of a chip of `CHIPS`, as `h200`, or of several, as `8xh200`.

    Raises:
      ConfigError: there is no such chip.
    """
    count, _, name = text.rpartition("x")
    if name not in CHIPS or not (count or "1").isdigit() or count == "0":
        raise errors.ConfigError(f"--for expects one of {', '.join(CHIPS)}, or several as 8xh200; got {text!r}")
    chip = CHIPS[name]
    return Target(chip.platform, int(count or 1), int(_USABLE[chip.platform] * chip.memory), name)


def _memory(device: Any) -> int:
    try:
        return int((device.memory_stats() or {}).get("bytes_limit", 0))
    except (jax.errors.JaxRuntimeError, NotImplementedError):  # a device that is not there
        return 0
