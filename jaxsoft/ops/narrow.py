"""Kernels of a ConvNet's block whose images have few channels: its result, and its gradient in the parameters.

The response of such a convolution, an image's windows W [pixels, F] times a kernel k [F, O], is much larger than either.
What the norm needs of it is told by the moments of the windows: with their mean m and covariance C, its mean is m k and
its variance k' C k. What the gradients need of it is told by G = W' dz, where dz is the gradient after the norm. With `rate`
1 / deviation, `d_scale` the gradient in the scale and all else as in `norm`, an image's part of the gradient in k is

  scale * rate * (G - m sum(dz) - rate * d_scale * C k)

W has a column of ones beside its inputs, so that means are moments and sums of dz are in G. A program (Pallas, for Triton)
has one image and a tile of channels. It computes the response to some pixels, uses it and forgets it, so that neither the
response nor its gradient is ever in memory.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton
from jaxtyping import Array, Float

from jaxsoft.ops.lowerings import Geometry
from jaxsoft.ops.norm import EPSILON

# A side of the products: inputs of a window, a column of ones and, in the gradients, one more row of sums.
_SIDE = 32
MOST_INPUTS = _SIDE - 2
# Pixels of a tile, and bytes of a row of it: all that a program holds of it then fits into an H100's registers, with
# nothing of bfloat16 and next to nothing of float32 put aside. No device has timed these, or others.
_PIXELS, _ROW_BYTES = 32, 256
_LAUNCH = triton.CompilerParams(num_warps=8, num_stages=2)
