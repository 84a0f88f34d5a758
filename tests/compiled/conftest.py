"""Programs that are compiled for chips that are not here; what needs a compiler that is not here is skipped."""

import chips
import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache


@pytest.fixture(scope="module", autouse=True)
def nothing_is_read_from_the_cache(kept_programs):
    """What is compiled for a chip that is not here can be kept, and cannot be read back: JAX warns, which is an error."""
    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()  # JAX asks once whether there is one
    yield
    jax.config.update("jax_enable_compilation_cache", True)
    compilation_cache.reset_cache()


def _device(name):
    if way_on := chips.missing(name):
        pytest.skip(f"no compiler for {name}: {way_on}")
    return chips.device(name)


@pytest.fixture(scope="session")
def h100():
    """One, for a compiler only."""
    return _device("h100")


@pytest.fixture(scope="module")
def v5e():
    """One, for a compiler only, which must not see flags of XLA for CPUs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("XLA_FLAGS", raising=False)
        yield _device("v5e")
