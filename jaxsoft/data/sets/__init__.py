"""The datasets there are: this package is the registry. A dataset is one module of it, which defines

- `TITLE`, `SOURCE`, `LICENCE`: what it is, where from, on which terms;
- `FILES`: what a user has to place where `find` looks ("" when the images travel with a library);
- `SIDE`: the images' side in pixels, None when it is the user's choice;
- `find(where, argument)`: the published files below `where`, or None; `argument` is what follows the colon of `tfds:mnist`;
- `read(found, resize)`: a `raw.Raw`, the images still to be decoded.

Nothing else has to know its name.
"""

import importlib
import pkgutil
from types import ModuleType


def modules() -> dict[str, ModuleType]:
    """Every dataset's module by its name; what begins with _ is shared by several."""
    names = (module.name for module in pkgutil.iter_modules(__path__) if not module.name.startswith("_"))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}
