"""Many members in blocks: where the member axis appears.

Those of a block are vmapped together, and one block follows another, so that what a block holds stays in cache (CPU) or
fills the chip (GPU); `cost.choose_block` says how many.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def in_blocks(function: Callable, block: int, *trees: Any) -> Any:
    """A function of one member for all of some trees; the last block is filled up with the last member.

    Args:
      function: of one member's part of each tree.
      block: members that are vmapped together.
      trees: whose arrays have the members along their first axis.

    Returns:
      What the function gives, stacked along the first axis.
    """
    members = len(jax.tree.leaves(trees)[0])
    if members == block:
        return jax.vmap(function)(*trees)
    spare = -members % block
    if spare:
        trees = jax.tree.map(lambda a: jnp.concatenate([a, jnp.repeat(a[-1:], spare, axis=0)]), trees)
    cut = jax.tree.map(lambda a: a.reshape(-1, block, *a.shape[1:]), trees)
    done = jax.lax.map(lambda part: jax.vmap(function)(*part), cut)
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:members], done)
