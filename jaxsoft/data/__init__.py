"""Real images: which sets there are, prepared once, loaded as memory maps, normalised and selected."""

from jaxsoft.data.asked import root_folder as root_folder
from jaxsoft.data.classes import check_ipc as check_ipc
from jaxsoft.data.datasets import available as available
from jaxsoft.data.datasets import load as load
from jaxsoft.data.datasets import names as names
from jaxsoft.data.datasets import prepare as prepare
from jaxsoft.data.datasets import verify as verify
from jaxsoft.data.stand_in import STAND_IN as STAND_IN
from jaxsoft.data.stand_in import stand_in as stand_in
