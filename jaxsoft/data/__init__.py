"""Real images: which sets there are, prepared once, loaded as memory maps, normalised and selected.

datasets    the front door: load, prepare, verify, list
sets/       one file a dataset; the package is the registry
formats/    published files of every kind: archives, pickles, pictures, folders of pictures
prepared/   arrays on the disk, with their digests
arrays      a user's own arrays at the door
classes, select, normalize    rows and their classes, which images, and what a network sees of them
"""

from jaxsoft.data.classes import check_ipc as check_ipc
from jaxsoft.data.classes import class_counts as class_counts
from jaxsoft.data.datasets import available as available
from jaxsoft.data.datasets import load as load
from jaxsoft.data.datasets import names as names
from jaxsoft.data.datasets import prepare as prepare
from jaxsoft.data.datasets import verify as verify
