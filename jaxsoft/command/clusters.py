"""Flags that send the waves of a sweep to other machines: what they may be, and the cluster that they name."""

import contextlib
import importlib
import os
import re
import signal
import socket
from collections.abc import Iterator, Mapping
from importlib import util
from typing import Any

from jaxsoft import errors

_ENGINES = ("ray",)
_ANSWER_SECONDS = 10.0
_USUAL = {
    "RAY_USAGE_STATS_ENABLED": "0",  # tells nobody
    "RAY_SCHEDULER_EVENTS": "0",  # prints nothing
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",  # of nodes that are started here; else workers run at nice 15
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",  # this process has devices too, and leaves their memory to workers
}


def check(given: Mapping[str, Any]) -> None:
    """Refuse flags that do not fit each other, before anything is loaded.

    Args:
      given: flags by name: `engine`, `address`, `process`, `coordinator`, `share`.

    Raises:
      ConfigError: an unknown engine, one that is not installed, or flags that exclude one another.
    """
    engine, address = given["engine"], given["address"]
    if address and not engine:
        raise errors.ConfigError(f"--address={address} is of a cluster: it wants --engine=ray, too")
    if not engine:
        return
    if engine not in _ENGINES:
        raise errors.ConfigError(f"--engine expects {' or '.join(_ENGINES)}, got {errors.quoted(engine)}")
    if address and not re.fullmatch(r"auto|[^/]+:\d+", address):
        raise errors.ConfigError(f"--address expects auto or HOST:PORT of a cluster, got {errors.quoted(address)}")
    if others := [f"--{name}" for name in ("process", "coordinator", "share") if given[name]]:
        raise errors.ConfigError(f"--engine={engine} sends waves to workers: it takes no {', no '.join(others)}")
    if not util.find_spec("ray"):
        raise errors.ConfigError(f"--engine=ray needs Ray: {errors.install('cluster')}")


@contextlib.contextmanager
def joined(given: Mapping[str, Any]) -> Iterator[Any]:
    """Ray, once it has joined the cluster that the flags name, or one of this machine alone; left at the end.

    It starts processes by forking, so it goes before JAX has threads. Without an engine it is None.

    Raises:
      ConfigError: nobody is at the address.
    """
    if not given["engine"] or given["dry_run"]:
        yield None
        return
    for name, value in _USUAL.items():
        os.environ.setdefault(name, value)
    ray: Any = importlib.import_module("ray")
    where = given["address"] or "local"
    before = signal.getsignal(signal.SIGTERM)
    try:
        if where not in ("auto", "local"):  # Ray would try for minutes
            host, _, port = where.rpartition(":")
            socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()
        beside = {} if given["address"] else {"include_dashboard": False}
        ray.init(address=where, log_to_driver=False, logging_level="ERROR", **beside)
    except (OSError, RuntimeError, ValueError, OverflowError) as problem:
        raise errors.ConfigError(f"--address={where}: no cluster of Ray ({errors.first_line(problem)})") from None
    finally:
        signal.signal(signal.SIGTERM, before)  # Ray takes it, but signals are this command's
    try:
        yield ray
    finally:
        ray.shutdown()
