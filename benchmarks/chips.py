"""Chips that are not here, as XLA compiles for them: devices that are only a description.

NVIDIA's need JAX's CUDA plugin, without any library of CUDA: `make test` puts it beside the packages of its environment,
where no other program meets it, and `pip install 'jaxsoft[compile-only]'` among them. Google's need libtpu:
`pip install 'jaxsoft[tpu]'`. None needs a driver.
"""

import functools
import importlib
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax.experimental import topologies

from jaxsoft import errors, target

_PLUGIN = "jax_plugins.xla_cuda12"
_ASIDE = Path(sys.prefix) / "compile-only"
_TOPOLOGIES = {"v4": "v4:2x2x1", "v5e": "v5e:2x2", "v6e": "v6e:2x2"}


class _Gpu(NamedTuple):
    """What XLA's compiler asks of a GPU, beside memory and bandwidth; from NVIDIA's data sheets."""

    capability: int  # of compute, the major number
    cores: int  # streaming multiprocessors
    cache: int  # bytes of L2
    shared: tuple[int, int]  # bytes of shared memory: of a multiprocessor, and of a block that opts in
    lanes: int  # float32 operations of a multiprocessor at once
    clock: float  # GHz


_HOPPER: dict[str, Any] = dict(capability=9, cores=132, shared=(233_472, 232_448), lanes=128, clock=1.98)
_GPUS = {
    "a100": _Gpu(8, 108, 41_943_040, (167_936, 166_912), 64, 1.41),
    "h100": _Gpu(cache=52_428_800, **_HOPPER),
    "h200": _Gpu(cache=62_914_560, **_HOPPER),
}
_DESCRIPTION = """
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_core: {gpu.shared[0]} shared_memory_per_block_optin: {gpu.shared[1]}
  core_count: {gpu.cores} fpus_per_core: {gpu.lanes} clock_rate_ghz: {gpu.clock}
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  memory_bandwidth: {chip.bandwidth:.0f} device_memory_size: {chip.memory} l2_cache_size: {gpu.cache}
  cuda_compute_capability {{ major: {gpu.capability} minor: 0 }}
}}
platform_name: "CUDA" dnn_version_info {{ major: 9 minor: 10 patch: 0 }} device_description_str: "{name}"
"""


def missing(name: str) -> str:
    """What a chip's compiler lacks here, as one line; empty where it is here.

    Raises:
      ConfigError: there is no such chip.
    """
    if target.named(name).platform == "tpu":
        return "" if importlib.util.find_spec("libtpu") else errors.install("tpu")
    return "" if _has_plugin() or (_ASIDE / "jax_plugins").is_dir() else errors.install("compile-only")


def device(name: str) -> Any:
    """One device of a chip, for a compiler only: whatever would run there raises.

    Raises:
      ConfigError: there is no such chip, or no compiler for it here.
    """
    return devices(name)[0]


def devices(name: str, count: int = 1) -> list[Any]:
    """So many neighbours of one host, likewise; of a TPU at most four."""
    if way_on := missing(name):
        raise errors.ConfigError(f"no compiler for {name} here; {way_on}")
    if name in _TOPOLOGIES:
        return _tpus(name)[:count]
    _start_plugin()
    described = _DESCRIPTION.format(gpu=_GPUS[name], chip=target.CHIPS[name], name=name)
    shape = f"1x1x{count}"  # slices, hosts, devices of each
    return topologies.get_topology_desc("", platform="cuda", topology=shape, target_config=described).devices


def _tpus(name: str) -> list[Any]:
    os.environ["TPU_SKIP_MDS_QUERY"] = "1"  # it would ask the cloud for the TPU of this machine
    os.environ["ALLOW_MULTIPLE_LIBTPU_LOAD"] = "1"  # no TPU is held that others could want
    jax.devices()  # JAX reads XLA's flags then, and libtpu later: it ends the process for one that it does not know
    os.environ.pop("XLA_FLAGS", None)
    return topologies.get_topology_desc(platform="tpu", topology_name=_TOPOLOGIES[name]).devices


@functools.cache
def _start_plugin() -> None:
    """Once: JAX looks for plugins among its packages by itself."""
    jax.devices()
    if not _has_plugin():
        sys.path.append(str(_ASIDE))
        importlib.import_module(_PLUGIN).initialize()


def _has_plugin() -> bool:
    return bool(importlib.util.find_spec("jax_plugins") and importlib.util.find_spec(_PLUGIN))
