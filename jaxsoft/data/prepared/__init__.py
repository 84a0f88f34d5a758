"""The prepared form of a dataset: an image and a label array per split, and one JSON file that is written last.

A folder without `dataset.json` is not prepared, whatever else lies in it. Train rows are stored in the order of
`classes.spread`, so that what `load` cuts from them are plain slices of the memory map; a validation split that the set
has of its own comes after them. Every byte is compared with its digest whenever the set is opened.
"""

from jaxsoft.data.prepared.reading import MANIFEST, Prepared, glimpse, origin, read
from jaxsoft.data.prepared.writing import Kept, hold, write

__all__ = ["MANIFEST", "Kept", "Prepared", "glimpse", "hold", "origin", "read", "write"]
