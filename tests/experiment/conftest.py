"""What the tests of whole runs share."""

import jax
import pytest


@pytest.fixture(scope="module")
def kept_programs(tmp_path_factory):
    """Tests that train the same shapes compile them once, into JAX's persistent cache: yours, or a temporary one."""
    folder = jax.config.jax_compilation_cache_dir or tmp_path_factory.getbasetemp() / "programs"
    wanted = {"jax_compilation_cache_dir": str(folder), "jax_persistent_cache_min_compile_time_secs": 0}
    before = {name: getattr(jax.config, name) for name in wanted}
    for name, value in wanted.items():
        jax.config.update(name, value)
    yield folder
    for name, value in before.items():
        jax.config.update(name, value)
