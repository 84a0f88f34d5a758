"""A run by several processes, on one machine or many: who this one is, how they meet, and whose turn it is.

Each trains its own share of every wave on its own devices. Process 0 goes first where something is made once; the
others find it in the run folder. Nothing else goes between them: they meet at barriers of JAX's coordination service,
which needs no device. Where there is one process alone, nothing here does anything.
"""

import contextlib
import itertools
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import jax

from jaxsoft import errors
from jaxsoft.console import Console

_LONGEST_WAIT_MS = 365 * 24 * 3600 * 1000  # a process that is gone ends a wait much sooner
_PARTING_SECONDS = 10.0  # longer than a stopped process needs to its next boundary

_ENDED = "another process of this run has ended; the same commands go on from there"
_asked = itertools.count()
_FLAGS = "I/N, I from 0 to N-1, and --coordinator=HOST:PORT, the same for all"


def join(process: str, coordinator: str) -> None:
    """Meet the other processes of this run; before JAX has used a device.

    Args:
      process: `I/N`, this one's number and how many there are; `auto` to ask the cluster; empty for one process alone.
      coordinator: `HOST:PORT` of process 0, where all of them meet; a cluster knows it.

    Raises:
      ConfigError: the flags do not fit each other, nobody is there, or the processes differ in their devices.
    """
    if not process and not coordinator:
        return
    numbers = re.fullmatch(r"(\d+)/(\d+)", process)
    if process != "auto" and not (numbers and int(numbers[1]) < int(numbers[2])):
        raise errors.ConfigError(f"--process expects {_FLAGS}; or auto, on a cluster; got {process!r}")
    if numbers and not coordinator:
        raise errors.ConfigError(f"--process={process} needs --coordinator=HOST:PORT, where process 0 runs")
    if coordinator and not re.fullmatch(r".+:\d+", coordinator):
        raise errors.ConfigError(f"--coordinator expects HOST:PORT, such as localhost:12345, got {coordinator!r}")
    _meet(coordinator or None, *(map(int, numbers.groups()) if numbers else (None, None)))
    devices = Counter(device.process_index for device in jax.devices())
    if len(set(devices.values())) > 1:
        found = ", ".join(f"process {i} has {n}" for i, n in sorted(devices.items()))
        raise errors.ConfigError(f"every process needs equally many devices: {found}")


def _meet(coordinator: str | None, index: int | None, count: int | None) -> None:
    # Signals are the console's. Processes compile different programs at different times, so none may wait for another.
    jax.config.update("jax_enable_preemption_service", False)
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_shard_autotuning=false"
    waiting = Console(quiet=index != 0)
    waiting.say(f"waiting for {(count or 1) - 1} more at {coordinator}")
    try:
        with waiting.interruptible():
            jax.distributed.initialize(coordinator, count, index, shutdown_timeout_seconds=int(_PARTING_SECONDS) + 2)
    except ValueError:
        raise errors.ConfigError(f"--process=auto found no cluster (SLURM, Open MPI, TPU); give {_FLAGS}") from None
    except RuntimeError as problem:
        reason = str(problem).strip().splitlines()[0]
        raise errors.ConfigError(f"the processes did not meet: {reason}") from None
    if waiting.stop:
        raise errors.Interrupted("stopped before the run began")


def is_first() -> bool:
    """Whether this is process 0, which holds the run folder, makes what is made once, and speaks."""
    return jax.process_index() == 0


def others() -> range:
    """The numbers of all processes but the first."""
    return range(1, jax.process_count())


def barrier(name: str) -> None:
    """Wait until every process of the run is at the place of this name, which is passed once.

    Raises:
      Interrupted: another process has ended. JAX ends this one too, a moment later.
    """
    if jax.process_count() == 1:
        return
    from orbax.checkpoint import multihost  # the coordination service's barrier; JAX itself has one of devices only

    try:
        multihost.get_barrier_sync_fn()(key=f"jaxsoft {name}", timeout_ms=_LONGEST_WAIT_MS)
    except jax.errors.JaxRuntimeError:
        raise errors.Interrupted(_ENDED) from None


def teach_together(expert_devices: int) -> bool:
    """Whether all processes teach experts together, as each of these takes more devices than a process has."""
    return jax.process_count() > 1 and expert_devices > jax.local_device_count()


def first_says(own: bool) -> bool:
    """What process 0 says, in all processes that ask; each asks equally often, and waits for it.

    Raises:
      Interrupted: process 0 has ended.
    """
    if jax.process_count() == 1:
        return own
    from jax._src import distributed  # its client has no public name

    client: Any = distributed.global_state.client
    key = f"jaxsoft says {next(_asked)}"
    if is_first():
        client.key_value_set(key, str(int(own)))
        return own
    try:
        return client.blocking_key_value_get(key, _LONGEST_WAIT_MS) == "1"
    except jax.errors.JaxRuntimeError:
        raise errors.Interrupted(_ENDED) from None


@contextlib.contextmanager
def turn(name: str) -> Iterator[None]:
    """Process 0 goes through a block alone; once it is done the others follow, and find in the folder what it made."""
    if not is_first():
        barrier(name)
    yield
    if is_first():
        barrier(name)


def leave(code: int) -> None:
    """Before a process ends with an error: others that were stopped too get a moment to end with it, all else is left.

    JAX waits at exit for the others, and ends this process with a signal if they do not come; so it goes before that.
    """
    if not jax.distributed.is_initialized():
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    timer = threading.Timer(_PARTING_SECONDS, os._exit, (code,))
    timer.daemon = True
    timer.start()
