"""Learning-rate schedules: functions of progress, the fraction of training that is done, in [0, 1).

Progress may be traced and differ between members. The module is the registry: a public function is a legal name.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def constant(progress: Float[Array, ""]) -> Float[Array, ""]:
    """Factor 1 throughout."""
    return jnp.ones_like(progress)


def cosine(progress: Float[Array, ""]) -> Float[Array, ""]:
    """Half a cosine from 1 to 0: (1 + cos(pi * progress)) / 2."""
    return (1 + jnp.cos(jnp.pi * progress)) / 2


def step(progress: Float[Array, ""], factor: float = 0.3, parts: int = 4) -> Float[Array, ""]:
    """Training in equal parts, each at `factor` times the rate of the one before: factor ** floor(progress * parts).

    The paper's students use `step(0.3, 4)`: the rate falls to three tenths every quarter of the run.
    """
    # A hair is added because t/steps*parts may round to just below the whole number it stands for.
    return jnp.float32(factor) ** jnp.floor(progress * parts + 1e-5)
