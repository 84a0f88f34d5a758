"""What a user says of a set whose files do not say it; all of it is optional."""

import dataclasses
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Options:
    """What is told by flags of `jaxsoft import`; what is empty is read from the files, inferred, or refused.

    Attributes:
      format: the name of a layout; "auto" finds it by what is in the files.
      space: that the images are in, as `spaces` names them.
      kind: of the label rows: hard, probabilities or logits.
      classes: for each class of the set, in order, the class of the data set that it is; "" if they are the same.
      labels: where the labels are, beside the images: a folder of FKD, a table, an array.
      epochs: how many epochs of labels of views; 0 for all.
      draws: how often the sampler of these shuffled for an epoch, 1 or 2; 0 if it can be found out.
      factor: how many images a side are packed into one; 0 if the layout knows.
      decode: how they are cut out: single, multi or bound(N), as `packed` says it.
      w0, w0_initial: frequencies of the sines of fields; 0 if they follow from the width.
      side: in pixels, of decoded fields and of pictures that are resized; 0 for that of the data set.
      run: which of several runs in one file, counted from 0; None if there is one.
      licence: of the files.
    """

    format: str = "auto"
    space: str = ""
    kind: str = ""
    classes: tuple[int, ...] = ()
    labels: Path | None = None
    epochs: int = 0
    draws: int = 0
    factor: int = 0
    decode: str = ""
    w0: float = 0.0
    w0_initial: float = 0.0
    side: int = 0
    run: int | None = None
    licence: str = ""
