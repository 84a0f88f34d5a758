"""Settings outside of a config that can change a number: JAX's, XLA's, and the environment's.

Each is one of four kinds. What decides random numbers and types is *pinned* while jaxsoft works, whatever a shell or a
notebook says. Modes in which a run cannot be itself are *refused*. What else can change a number is part of the
*identity* of members and experts: a run goes on only under the settings that it began with. What cannot (caches, logs,
devices, checks that only raise) is *harmless*. An unknown setting counts as one that can.
"""

import contextlib
import fnmatch
import os
from collections.abc import Iterator, Mapping
from typing import Any

import flax
import jax
from jax._src.api_util import InternalFloatingPointError  # what a compiled call raises under JAX_DEBUG_NANS

from jaxsoft import errors, files

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

PINNED_FLAX = ("flax_fix_rng_separator", "flax_preserve_adopted_names", "flax_return_frozendict")
"""Switches of Flax that are off while jaxsoft works: the first draws other weights."""

REFUSED: dict[str, str] = {
    "jax_disable_jit": "everything is one compiled program",
    "jax_no_execution": "nothing would be computed",
    "jax_no_tracing": "nothing could be compiled",
}
"""Setting -> why it must be off."""

_OFF = """
    eager_constant_folding jax_bcoo_cusparse_lowering jax_custom_jvp3 jax_custom_vjp3 jax_disable_most_optimizations
    jax_high_dynamic_range_gumbel jax_pallas_poison_buffers jax_ragged_dot_use_gpu_pallas_triton_lowering
    jax_refs_to_pins jax_remat3 jax_remat_barrier_no_cotangents jax_scan3 jax_softmax_custom_jvp
    jax_threefry_gpu_kernel_lowering jax_use_cpp_shard_args jax_use_emit_pipeline_primitive
    jax_use_simplified_jaxpr_constants
"""
_ON = """
    jax_allow_f16_reductions jax_auto_pcast jax_compiler_enable_remat_pass jax_pallas_use_mosaic_gpu
    jax_ragged_dot_use_ragged_dot_instruction jax_use_direct_linearize
    jax_use_rgv3 jax_use_shardy_partitioner
"""
NUMERIC: dict[str, Any] = {
    **dict.fromkeys(_OFF.split(), False),
    **dict.fromkeys(_ON.split(), True),
    "jax_default_matmul_precision": None,
    "jax_exec_time_optimization_effort": 0.0,
    "jax_memory_fitting_effort": 0.0,
    "jax_memory_fitting_level": "O2",
    "jax_optimization_level": "UNKNOWN",
    "jax_use_hlo_logistic_lowering": None,
    "jax_use_magma": "auto",
}
"""Setting that can change a number -> its usual value, under which it is not told."""

_HARMLESS = """
    check_vma jax2tf_* jax_array_garbage_collection_guard jax_backend_target jax_captured_constants_*
    jax_check_proxy_envs jax_check_static_indices jax_check_tracer_leaks jax_compilation_cache_*
    jax_compiler_detailed_logging_min_ops jax_coordinator_address jax_coordinator_bind_address jax_coordinator_port
    jax_cpu_collectives_implementation jax_cpu_enable_async_dispatch jax_cpu_get_global_topology_timeout_minutes
    jax_cpu_get_local_topology_timeout_minutes jax_cross_host_* jax_cuda_visible_devices jax_debug_*
    jax_default_device jax_disable_bwd_checks jax_disable_vmap_shmap_error jax_disallow_mesh_context_manager
    jax_distributed_* jax_dump_* jax_embedded_constants_max_bytes jax_enable_checks jax_enable_compilation_cache
    jax_enable_pgle jax_enable_preemption_service jax_enable_recoverability jax_error_checking_behavior_*
    jax_experimental_unsafe_xla_runtime_errors jax_explain_cache_misses jax_explicit_x64_dtypes jax_export_*
    jax_force_dcn_cross_host_transfers jax_hlo_source_file_canonicalization_regex jax_include_debug_info_in_dumps
    jax_include_full_tracebacks_in_locations jax_local_device_ids jax_log_checkpoint_residuals jax_log_compiles
    jax_logging_level jax_mock_gpu_topology jax_mosaic_allow_hlo jax_mtls_* jax_mutable_array_checks jax_num_cpu_devices
    jax_numpy_rank_promotion jax_oneapi_visible_devices jax_pallas_auto_assign_collective_ids*
    jax_pallas_enable_debug_checks jax_pallas_verbose_errors
    jax_partition_index jax_persistent_cache_* jax_pgle_* jax_pjrt_client_create_options jax_platform_name
    jax_platforms jax_pprint_use_color jax_raise_on_ppermute_sort_diff
    jax_raise_persistent_cache_errors
    jax_remove_custom_partitioning_ptr_from_cache_key jax_remove_size_one_mesh_axis_from_type
    jax_rocm_visible_devices jax_send_traceback_to_runtime jax_serialization_version jax_share_binary_between_hosts
    jax_share_binary_between_hosts_timeout_ms jax_slice_index jax_sort_devices_by_process_index
    jax_source_url_schema jax_thread_guard jax_traceback_filtering jax_traceback_in_locations_limit
    jax_tracer_error_num_traceback_frames jax_transfer_guard* jax_xla_backend jax_xla_profile_version
    mock_num_gpu_processes xla_cpu_parallel_codegen_split_count* xla_dump* xla_force_host_platform_device_count*
    xla_gpu_force_compilation_parallelism* xla_gpu_kernel_cache_file* xla_gpu_per_fusion_autotune_cache_dir*
    xla_gpu_shard_autotuning* xla_hlo_profile* xla_log*
""".split()
"""JAX's settings and XLA's flags that change no number: where, how fast, how loudly, which checks. `*` is any end."""
_MOST_BYTES = 1 << 20  # of a file of flags
_KEYED_VARIABLES = ("LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE", "TF_XLA_FLAGS")
_RECORDED = ("OPENBLAS_", "MKL_", "OMP_NUM_THREADS", "NPY_DISABLE_CPU_FEATURES", "CUBLAS_", "TF_CUDNN_DETERMINISTIC")
"""Variables that can move last bits, as another processor does: they are written down, not compared."""


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """What decides random numbers and types has one value inside; afterwards all is as it was. Also a decorator.

    Raises:
      ConfigError: a mode is on in which nothing can run.
    """
    for name, reason in REFUSED.items():
        if _value(name):
            raise errors.ConfigError(f"{name.upper()} is on, but {reason}; turn it off for jaxsoft")
    with contextlib.ExitStack() as stack:
        stack.enter_context(jax.transfer_guard("allow"))  # it is up again around the compiled calls
        for name, value in PINNED.items():
            if (local := getattr(jax, name.removeprefix("jax_"), None)) is not None:
                stack.enter_context(local(value))
            else:  # JAX has it for all threads alone
                stack.callback(jax.config.update, name, getattr(jax.config, name))
                jax.config.update(name, value)
        for name in PINNED_FLAX:
            stack.enter_context(flax.config.temp_flip_flag(name.removeprefix("flax_"), False))
        try:
            yield
        except (FloatingPointError, InternalFloatingPointError) as problem:
            told = " ".join(map(str, problem.args[:2])).splitlines()[0]
            raise errors.ConfigError(
                f"JAX_DEBUG_NANS or JAX_DEBUG_INFS stopped at a value that is not finite ({told}); without it, members "
                "that diverge are marked and the others go on"
            ) from None


def overridden() -> list[str]:
    """What this process's settings say that is not used, one line each."""
    pins = [(name, _told(name), str(value)) for name, value in PINNED.items()]
    pins += [(name, str(getattr(flax.config, name)), "False") for name in PINNED_FLAX]
    return [
        f"{name.upper()}={there} is not used: jaxsoft pins it to {value}"
        for name, there, value in pins
        if there not in (value, "None")
    ]


def identity() -> dict[str, str]:
    """The settings that can change a number and are not as usual: name -> value. Empty on most machines."""
    found = {name.upper(): _told(name) for name, usual in NUMERIC.items() if _value(name) != usual}
    for name, text in os.environ.items():
        is_known = any(name.lower() in kind for kind in (PINNED, REFUSED, NUMERIC)) or is_harmless(name.lower())
        if (name in _KEYED_VARIABLES and text) or (name.startswith("JAX_") and not is_known):
            found[name] = text
    flags = _xla_flags(os.environ.get("XLA_FLAGS", ""))
    return found | ({"XLA_FLAGS": flags} if flags else {})


def _xla_flags(text: str) -> str:
    """The flags that can change a number, by name; of several of one name the last counts, as in XLA."""
    if text and not text.lstrip().startswith("-"):  # then it names a file that holds them
        try:
            text = files.read(text.strip(), _MOST_BYTES).decode(errors="replace")
        except OSError:
            return text
    last = {flag.lstrip("-").partition("=")[0]: flag for flag in text.split()}
    return " ".join(flag for name, flag in sorted(last.items()) if not is_harmless(name))


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
    """Whether a setting of JAX, or a flag of XLA, changes no number."""
    return any(fnmatch.fnmatchcase(name, known) for known in _HARMLESS)


def _value(name: str) -> Any:
    """The value of a setting in this thread; its usual one where this JAX does not have it."""
    return getattr(jax.config, name, {**NUMERIC, **PINNED}.get(name))


def _told(name: str) -> str:
    value = _value(name)
    return str(getattr(value, "value", value))  # of an enumeration
