"""Settings outside of a config: each is pinned, refused, part of the identity, or known to change nothing."""

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import errors, models, numerics, rng


def drawn():
    return jax.random.uniform(rng.key(3, rng.Stream.ORDER), (4,)).tolist()


def test_every_setting_of_this_jax_is_sorted_into_one_kind():
    """A release of JAX that brings a new one turns this red: say in numerics.py whether it can change a number."""
    for name in jax.config.values:
        kinds = [
            name in numerics.PINNED,
            name in numerics.REFUSED,
            name in numerics.NUMERIC,
            numerics.is_harmless(name),
        ]
        assert kinds.count(True) == 1, (name, kinds)


def test_the_usual_values_are_those_of_this_jax():
    usual = numerics.NUMERIC | numerics.PINNED
    there = {name: getattr(value, "value", value) for name, value in jax.config.values.items()}
    assert {name: there[name] for name in usual if name in there} == {n: v for n, v in usual.items() if n in there}


@pytest.mark.parametrize(
    "name, value", [("jax_threefry_partitionable", False), ("jax_random_seed_offset", 7), ("jax_enable_x64", True)]
)
def test_what_is_pinned_has_one_value_inside_and_its_own_outside(name, value):
    plain = drawn()
    before = getattr(jax.config, name)
    jax.config.update(name, value)
    try:
        assert name == "jax_enable_x64" or drawn() != plain
        assert numerics.overridden() == [
            f"{name.upper()}={value} is not used: jaxsoft pins it to {numerics.PINNED[name]}"
        ]
        with numerics.pinned():
            assert drawn() == plain
            assert jnp.arange(3.0).dtype == jnp.float32
            assert numerics.overridden() == []
        assert getattr(jax.config, name) == value
    finally:
        jax.config.update(name, before)
    assert drawn() == plain


def test_every_setting_of_this_flax_is_known():
    """Flax draws other weights under one of them; a new one turns this red: pin it if it can change a number."""
    harmless = {
        "flax_filter_frames", "flax_profile", "flax_use_orbax_checkpointing", "flax_use_flaxlib", "flax_array_ref",
        "flax_pytree_module", "flax_max_repr_depth", "flax_always_shard_variable", "flax_hijax_variable",
        "nnx_graph_mode", "nnx_graph_updates", "nnx_sow_capture_noop",
    }  # fmt: skip
    assert set(flax.config._values) - harmless == set(numerics.PINNED_FLAX)


def test_flax_draws_the_same_weights_whatever_a_shell_says():
    def weights():
        return models.build("mlp(hidden=2)", 2).init(jax.random.key(0), jnp.zeros((1, 2, 2, 1)))

    plain = weights()
    with flax.config.temp_flip_flag("fix_rng_separator", True):
        assert numerics.overridden() == ["FLAX_FIX_RNG_SEPARATOR=True is not used: jaxsoft pins it to False"]
        with numerics.pinned():
            jax.tree.map(np.testing.assert_array_equal, weights(), plain)


def test_pins_hold_inside_what_a_notebook_opened():
    plain = drawn()
    with jax.threefry_partitionable(False), jax.enable_x64(True):
        with numerics.pinned():
            assert drawn() == plain
        assert drawn() != plain


@pytest.mark.parametrize("name", numerics.REFUSED)
def test_a_mode_in_which_nothing_runs_is_refused_in_one_line(name):
    jax.config.update(name, True)
    try:
        with pytest.raises(errors.ConfigError, match=f"^{name.upper()} is on, but .*; turn it off for jaxsoft$"):
            with numerics.pinned():
                pass
    finally:
        jax.config.update(name, False)


def test_what_can_change_a_number_is_the_identity(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/nowhere --xla_force_host_platform_device_count=4")
    assert numerics.identity() == {}
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/nowhere --xla_cpu_enable_fast_math=true --xla_a=1")
    monkeypatch.setenv("JAX_SOMETHING_NEW", "1")
    monkeypatch.setenv("JAX_LOG_COMPILES", "1")
    monkeypatch.setenv("LIBTPU_INIT_ARGS", "--fast")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    found = {
        "XLA_FLAGS": "--xla_a=1 --xla_cpu_enable_fast_math=true",
        "JAX_SOMETHING_NEW": "1",
        "LIBTPU_INIT_ARGS": "--fast",
    }
    assert numerics.identity() == found
    with jax.default_matmul_precision("bfloat16"):
        assert numerics.identity() == found | {"JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"}
    recorded = numerics.recorded()
    assert recorded["OPENBLAS_NUM_THREADS"] == "3" and found.items() <= recorded.items()


def test_of_flags_of_one_name_the_last_counts_and_a_file_of_flags_is_read(monkeypatch, tmp_path):
    monkeypatch.setenv("XLA_FLAGS", "--xla_b=1 --xla_a=0 --xla_a=1")
    assert numerics.identity() == {"XLA_FLAGS": "--xla_a=1 --xla_b=1"}
    (tmp_path / "flags").write_text("--xla_a=1\n--xla_dump_to=x --xla_b=1\n")
    monkeypatch.setenv("XLA_FLAGS", str(tmp_path / "flags"))
    assert numerics.identity() == {"XLA_FLAGS": "--xla_a=1 --xla_b=1"}


@pytest.mark.parametrize("name", ["JAX_LOG_SPACE_SOFTMAX", "JAX_NAN_CHECK_REPLACE", "JAX_ENABLE_PLATFORM_FAST_MATH"])
def test_a_name_that_sounds_harmless_is_not_known_for_that(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert numerics.identity()[name] == "1"


@pytest.mark.parametrize("name", ["JAX_COORDINATOR_ADDRESS", "JAX_LOCAL_DEVICE_IDS", "JAX_LOG_COMPILES"])
def test_where_a_process_runs_is_no_part_of_a_number(monkeypatch, name):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.setenv(name, "1")
    assert numerics.identity() == {}


def test_differences_are_told_by_name():
    assert numerics.difference({}, {}) == ""
    told = numerics.difference({"A": "1", "B": "2"}, {"B": "3", "C": "4"})
    assert told == "A was 1, is not set now; B was 2, is 3 now; C was not set, is 4 now"
