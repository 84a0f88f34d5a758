"""Optimizers whose rate and weight decay may be traced, and so differ between members.

The module is the registry: a public function is a legal name in a config. Each takes the rate of the present step and
the weight decay first, and returns an optax transformation; its state does not depend on either.
"""

import optax
from jax.typing import ArrayLike


def sgd(learning_rate: ArrayLike, weight_decay: ArrayLike, momentum: float = 0.0) -> optax.GradientTransformation:
    """Stochastic gradient descent with PyTorch's conventions.

    Weight decay is coupled (added to the gradient before the momentum): g += wd * p; m = momentum * m + g; p -= lr * m.
    """
    return optax.chain(
        optax.add_decayed_weights(weight_decay),  # pyright: ignore[reportArgumentType]
        optax.trace(decay=momentum) if momentum else optax.identity(),
        optax.scale_by_learning_rate(learning_rate),  # pyright: ignore[reportArgumentType]
    )


def adamw(
    learning_rate: ArrayLike, weight_decay: ArrayLike, b1: float = 0.9, b2: float = 0.999
) -> optax.GradientTransformation:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), eps 1e-8."""
    return optax.chain(
        optax.scale_by_adam(b1=b1, b2=b2),
        optax.add_decayed_weights(weight_decay),  # pyright: ignore[reportArgumentType]
        optax.scale_by_learning_rate(learning_rate),  # pyright: ignore[reportArgumentType]
    )
