"""Settings outside of a config that can change a number: JAX's, XLA's, and the environment's.

Each is one of four kinds. What decides random numbers and types is *pinned* while jaxsoft works, whatever a shell or a
notebook says. Modes in which a run cannot be itself are *refused*. What else can change a number is part of the
*identity* of members and experts: a run goes on only under the settings that it began with. What cannot (caches, logs,
devices, checks that only raise) is *harmless*. An unknown setting counts as one that can.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import jax
from jax._src.api_util import InternalFloatingPointError  # what a compiled call raises under JAX_DEBUG_NANS

from jaxsoft import errors

PINNED: dict[str, Any] = {
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_enable_custom_prng": False,
    "jax_default_prng_impl": "threefry2x32",
    "jax_legacy_prng_key": "allow",
    "jax_enable_x64": False,
    "jax_numpy_dtype_promotion": "standard",
}
"""Setting -> its value while jaxsoft works."""

REFUSED: dict[str, str] = {
    "jax_disable_jit": "everything is one compiled program",
    "jax_no_execution": "nothing would be computed",
    "jax_no_tracing": "nothing could be compiled",
}
"""Setting -> why it must be off."""

NUMERIC: dict[str, Any] = {
    "jax_allow_f16_reductions": True,
    "jax_bcoo_cusparse_lowering": False,
    "jax_compiler_enable_remat_pass": True,
    "jax_default_matmul_precision": None,
    "jax_disable_most_optimizations": False,
    "jax_exec_time_optimization_effort": 0.0,
    "jax_high_dynamic_range_gumbel": False,
    "jax_memory_fitting_effort": 0.0,
    "jax_memory_fitting_level": "O2",
    "jax_optimization_level": "UNKNOWN",
    "jax_pallas_use_mosaic_gpu": True,
    "jax_ragged_dot_use_gpu_pallas_triton_lowering": False,
    "jax_ragged_dot_use_ragged_dot_instruction": True,
    "jax_softmax_custom_jvp": False,
    "jax_threefry_gpu_kernel_lowering": False,
    "jax_use_direct_linearize": True,
    "jax_use_magma": "auto",
    "jax_use_shardy_partitioner": True,
}
"""Setting that can change a number -> its usual value, under which it is not told."""

_HARMLESS_WORDS = (
    "array_garbage", "backend_target", "captured_constants", "check", "collectives_implementation", "compilation_cache",
    "logging", "log_", "_log", "debug", "default_device", "distributed", "dump", "eager_constant_folding",
    "embedded_constants", "enable_recoverability", "explain", "explicit_x64", "export_", "jax2tf", "mock_",
    "mosaic_allow_hlo", "num_cpu_devices", "numpy_rank_promotion", "pgle", "pjrt_client", "platform", "poison",
    "pprint", "preemption", "profile_version", "persistent_cache", "raise_", "remove_", "serialization", "share_binary",
    "simplified_jaxpr", "sort_devices", "source_", "thread_guard", "timeout", "topology", "traceback", "transfer_size",
    "transport", "transfer_socket", "transfer_guard", "visible_devices", "xla_backend", "cpu_enable_async_dispatch", "disallow_mesh",
    "pipeline_primitive", "vmap_shmap", "cross_host", "auto_pcast", "custom_vjp3", "remat3", "scan3", "refs_to_pins",
    "error_checking", "runtime_errors", "verbose_errors",
)  # fmt: skip
"""Parts of names of JAX's settings that change no number: where, how fast, how loudly, and with which checks."""

_HARMLESS_FLAGS = (
    "xla_dump", "xla_force_host_platform_device_count", "xla_gpu_shard_autotuning", "xla_log", "xla_hlo_profile",
    "xla_gpu_force_compilation_parallelism", "xla_gpu_kernel_cache_file", "xla_gpu_per_fusion_autotune_cache_dir",
    "xla_cpu_parallel_codegen_split_count",
)  # fmt: skip
_KEYED_VARIABLES = ("LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE", "TF_XLA_FLAGS")
_RECORDED = ("OPENBLAS_", "MKL_", "OMP_NUM_THREADS", "NPY_DISABLE_CPU_FEATURES", "CUBLAS_", "TF_CUDNN_DETERMINISTIC")
"""Variables that can move last bits, as another processor does: they are written down, not compared."""


_NOT_FINITE = (
    "JAX_DEBUG_NANS or JAX_DEBUG_INFS stopped at a value that is not finite ({}); without it, members that diverge are "
    "marked and the others go on"
)


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """What decides random numbers and types has one value inside; afterwards all is as it was.

    Also a decorator.

    Raises:
      ConfigError: a mode is on in which nothing can run.
    """
    for name, reason in REFUSED.items():
        if _value(name):
            raise errors.ConfigError(f"{name.upper()} is on, but {reason}; turn it off for jaxsoft")
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.transfer_guard("allow"))  # it is up again around the compiled calls
        for name, value in PINNED.items():
            stack.enter_context(_held(name, value))
        try:
            yield
        except (FloatingPointError, InternalFloatingPointError) as problem:
            raise errors.ConfigError(_NOT_FINITE.format(" ".join(map(str, problem.args[:2])).splitlines()[0])) from None


@contextlib.contextmanager
def _held(name: str, value: Any) -> Iterator[None]:
    """One setting at a value: in this thread, or everywhere if JAX has it for all threads alone."""
    if (local := getattr(jax, name.removeprefix("jax_"), None)) is not None:
        with local(value):
            yield
        return
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


def overridden() -> list[str]:
    """What this process's settings say that is not used, one line each."""
    return [
        f"{name.upper()}={_told(_value(name))} is not used: jaxsoft pins it to {_told(value)}"
        for name, value in PINNED.items()
        if _told(_value(name)) not in (_told(value), "None")
    ]


def identity() -> dict[str, str]:
    """The settings that can change a number and are not as usual: name -> value. Empty on most machines."""
    found = {name.upper(): _told(_value(name)) for name, usual in NUMERIC.items() if _value(name) != usual}
    found |= {name: text for name, text in os.environ.items() if name.startswith("JAX_") and not _is_known(name)}
    found |= {name: os.environ[name] for name in _KEYED_VARIABLES if os.environ.get(name)}
    flags = sorted(
        flag for flag in os.environ.get("XLA_FLAGS", "").split() if not flag.lstrip("-").startswith(_HARMLESS_FLAGS)
    )
    return found | ({"XLA_FLAGS": " ".join(flags)} if flags else {})


def recorded() -> dict[str, str]:
    """What is written down of the settings around a run: its identity, and what can move last bits."""
    return identity() | {name: text for name, text in sorted(os.environ.items()) if name.startswith(_RECORDED)}


def difference(there: Mapping[str, str], now: Mapping[str, str]) -> str:
    """Which settings differ, in words; empty if none does."""
    return "; ".join(
        f"{name} was {there.get(name, 'not set')}, is {now.get(name, 'not set')} now"
        for name in sorted({*there, *now})
        if there.get(name) != now.get(name)
    )


def is_harmless(name: str) -> bool:
    """Whether a setting of JAX changes no number, by its name."""
    return any(word in name for word in _HARMLESS_WORDS)


def _is_known(variable: str) -> bool:
    name = variable.lower()
    return name in PINNED or name in REFUSED or name in NUMERIC or is_harmless(name)


def _value(name: str) -> Any:
    """The value of a setting in this thread; its usual one where this JAX does not have it."""
    return getattr(jax.config, name, {**NUMERIC, **PINNED}.get(name))


def _told(value: Any) -> str:
    return str(getattr(value, "value", value))
