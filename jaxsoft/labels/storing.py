"""What is done to many rows at once, by NumPy on the host: by name in a label spec, as in `ops`.

A function of `rows` [..., K] gives such rows again; a row depends on none beside it. The arguments after the first are
what the user writes in the spec. After it a label has a row alone.
"""

import numpy as np
from jaxtyping import Float32

from jaxsoft.labels import codecs


def stored(rows: Float32[np.ndarray, "*N K"], codec: str) -> Float32[np.ndarray, "*N K"]:
    """The row as a codec gives it back: what an export with that codec holds, to the bit.

    `codec` is `float32`, `float16`, `int8` (8 bits a number), `int4`, or with the N largest numbers alone `"top3:int8"`
    and the like, as `jaxsoft export --codec` takes them. A ConfigError if there is none such.

    >>> stored(np.array([0.6, 0.25, 0.1, 0.05], np.float32), "top2:int4").round(3).tolist()
    [0.6029999852180481, 0.24699999392032623, 0.07500000298023224, 0.07500000298023224]
    """
    codecs.parse(codec, rows.shape[-1], "stored: codec ")
    return codecs.again(rows.reshape(-1, rows.shape[-1]), codec).reshape(rows.shape)
