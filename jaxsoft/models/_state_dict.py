"""Weights that PyTorch saved as variables of our networks: names, orders of axes, and the architecture they are of.

Known are the ConvNet of dataset distillation, as MTT, DC and DATM name it (`features.0`, `classifier`) and as IDC, NCFM
and RDED do (`layers.conv.0`), and ResNet-18 and -50 with the names of torchvision and timm, or of CIFAR's (`shortcut`).
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from jaxsoft import errors, spec

_WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # keys of a checkpoint that hold the weights
_PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of compiled models
_KNOWN = "a ConvNet (features.0 or layers.conv.0, classifier) or a ResNet-18 or -50 (conv1, bn1, layer1.0.conv1, fc)"
_MODULES = (
    (r"classifier|fc|linear", "classifier"),
    (r"layers\.(conv|norm)\.(\d+)", r"\1\2"),
    (r"conv1", "conv1"),
    (r"bn1", "norm1"),
    (r"layer(\d)\.(\d+)\.conv(\d)", r"layer\1_\2/conv\3"),
    (r"layer(\d)\.(\d+)\.bn(\d)", r"layer\1_\2/norm\3"),
    (r"layer(\d)\.(\d+)\.(?:downsample|shortcut)\.0", r"layer\1_\2/conv_around"),
    (r"layer(\d)\.(\d+)\.(?:downsample|shortcut)\.1", r"layer\1_\2/norm_around"),
)
"""Modules of PyTorch, and what they are called here."""
_STATISTICS = {"running_mean": "mean", "running_var": "var"}
_BLOCKS: dict[tuple[int, ...], str] = {
    (2, 2, 2, 2, 2): "resnet18",
    (3, 4, 6, 3, 3): "resnet50",
}  # blocks of each stage, convolutions of a block

Arrays = dict[tuple[str, str, str], np.ndarray]
"""Variables by collection, path of the module, and leaf."""


class Found(NamedTuple):
    """A network that a file holds: the spec of its architecture, its classes K, and what it is applied with."""

    model: str
    num_classes: int
    variables: dict[str, Any]


def network(found: Any, image_shape: tuple[int, ...], model: str = "") -> Found:
    """See `models.from_state_dict`, which compares what this finds with the network itself."""
    if len(image_shape) != 3:
        raise errors.DataError("networks are read from state_dicts for images, not for clips")
    state = state_dict(found)
    arrays = _renamed(state)
    is_convnet = ("params", "conv0", "kernel") in arrays
    kernel = arrays.get(("params", "classifier", "kernel"))
    if kernel is None or not (is_convnet or ("params", "layer1_0/conv1", "kernel") in arrays):
        raise errors.DataError(f"names such as {next(iter(state), '')!r:.60} are not those of {_KNOWN}")
    if is_convnet:
        inferred, side = _convnet(arrays, image_shape)
        _check_gaps(state, inferred)
        arrays["params", "classifier", "kernel"] = _by_channel_last(kernel, side)
    else:
        inferred = _resnet(arrays)
    return Found(model or str(inferred), kernel.shape[1], _tree(arrays))


def state_dict(found: Any) -> dict[str, np.ndarray]:
    """The arrays by name of a state_dict, in float32, out of what is wrapped around it; DataError if there are none."""
    while inner := [found[key] for key in _WRAPPERS if isinstance(found, dict) and isinstance(found.get(key), dict)]:
        found = inner[0]
    if not isinstance(found, dict) or not all(isinstance(array, np.ndarray) for array in found.values()):
        raise errors.DataError(f"it holds a {type(found).__name__} that is no state_dict; save model.state_dict()")
    for prefix in _PREFIXES:
        if found and all(str(name).startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): array for name, array in found.items()}
    state = {str(name): array for name, array in found.items() if not str(name).endswith("num_batches_tracked")}
    for name, array in state.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            told = "numbers that are not finite" if array.dtype.kind == "f" else array.dtype.name
            raise errors.DataError(f"{name!r:.60} holds {told}; wanted floats")
    return {name: np.asarray(array, np.float32) for name, array in state.items()}


def _renamed(state: Mapping[str, np.ndarray]) -> Arrays:
    """All arrays under our names, with the axes in our order; those of modules that are not known are refused."""
    features = _features(state)
    found: Arrays = {}
    for name, array in state.items():
        torch_module, _, leaf = name.rpartition(".")
        module = features.get(torch_module)
        for pattern, ours in _MODULES:
            if match := re.fullmatch(pattern, torch_module):
                module = match.expand(ours)
        if module is None or leaf not in ("weight", "bias", *_STATISTICS):
            raise errors.DataError(f"{name!r:.60} is not of {_KNOWN}")
        found[_place(module, leaf, array)] = _turned(array)
    return found


def _features(state: Mapping[str, np.ndarray]) -> dict[str, str]:
    """What the modules of a sequence `features` are called here: each convolution begins a block."""
    numbers = {int(n) for name in state for n in re.findall(r"^features\.(\d{1,4})\.", name)}
    found, depth = {}, -1
    for n in sorted(numbers):
        is_conv = state.get(f"features.{n}.weight", np.zeros(0)).ndim == 4
        depth += is_conv
        found[f"features.{n}"] = f"{'conv' if is_conv else 'norm'}{depth}"
    return found


def _place(module: str, leaf: str, array: np.ndarray) -> tuple[str, str, str]:
    if leaf in _STATISTICS:
        return "batch_stats", module, _STATISTICS[leaf]
    return "params", module, leaf if leaf == "bias" else "kernel" if array.ndim in (2, 4) else "scale"


def _turned(array: np.ndarray) -> np.ndarray:
    """OIHW to HWIO, (out, in) to (in, out), C, H, W of a layer norm to H, W, C."""
    axes = {4: (2, 3, 1, 0), 3: (1, 2, 0), 2: (1, 0)}.get(array.ndim)
    return array.transpose(axes) if axes else array


def _by_channel_last(kernel: np.ndarray, side: tuple[int, int, int]) -> np.ndarray:
    """A dense kernel [C * H * W, K] with its inputs in the order H, W, C."""
    return kernel.reshape(*side, -1).transpose(1, 2, 0, 3).reshape(kernel.shape)


def _convnet(arrays: Arrays, image_shape: tuple[int, ...]) -> tuple[spec.Call, tuple[int, int, int]]:
    """The spec of a ConvNet, and channels, height and width of its last map."""
    depth = sum(module.startswith("conv") and leaf == "kernel" for _, module, leaf in arrays)
    width, inputs = arrays["params", "conv0", "kernel"].shape[-1], len(arrays["params", "classifier", "kernel"])
    height, wide = image_shape[:2]
    maps = {"avg": (width, height >> depth, wide >> depth), "none": (width, height, wide)}
    pooling = next((name for name, sizes in maps.items() if np.prod(sizes) == inputs), None)
    if pooling is None:
        (_, h, w), shape = maps["avg"], "x".join(map(str, image_shape))
        raise errors.DataError(
            f"its classifier reads {inputs:,} numbers, and {depth} blocks of {width} channels leave {width}x{h}x{w} of "
            f"images of {shape}: it is of images of another size"
        )
    scale = arrays.get(("params", "norm0", "scale"))
    norm = "none" if scale is None else "layer" if scale.ndim == 3 else "instance"
    norm = "batch" if ("batch_stats", "norm0", "mean") in arrays else norm
    named = {"depth": depth, "width": width, "norm": norm} | ({} if pooling == "avg" else {"pooling": pooling})
    return spec.Call("convnet", kwargs=named), maps[pooling]


def _check_gaps(state: Mapping[str, np.ndarray], inferred: spec.Call) -> None:
    """Refuse a sequence in which there is a layer that names do not tell, such as a norm without parameters."""
    convs = [n for n in range(10_000) if state.get(f"features.{n}.weight", np.zeros(0)).ndim == 4]
    block = 2 + (inferred.kwargs["norm"] != "none") + ("pooling" not in inferred.kwargs)
    for one, next_ in zip(convs, convs[1:]):
        if next_ - one != block:
            told = f"features.{one} and features.{next_} are {next_ - one} layers apart, and blocks of {inferred} have"
            raise errors.DataError(f"{told} {block}: there is a layer without parameters that is not known")


def _resnet(arrays: Arrays) -> spec.Call:
    """The spec of a ResNet."""
    stages = [{m.partition("/")[0] for _, m, _ in arrays if m.startswith(f"layer{s}_")} for s in range(1, 5)]
    convs = sum(bool(re.fullmatch(r"layer1_0/conv\d", module)) for _, module, _ in arrays)
    name = _BLOCKS.get((*map(len, stages), convs))
    if name is None or ("params", "conv1", "kernel") not in arrays:
        blocks = "-".join(str(len(stage)) for stage in stages)
        raise errors.DataError(
            f"it is a ResNet of {blocks} blocks of {convs} convolutions; ResNet-18 and -50 are known"
        )
    window, _, _, width = arrays["params", "conv1", "kernel"].shape
    norm = {} if ("batch_stats", "norm1", "mean") in arrays else {"norm": "instance"}
    named = norm | {"stem": "imagenet" if window == 7 else "small"} | ({} if width == 64 else {"width": width})
    return spec.Call(name, kwargs=named)


def _tree(arrays: Arrays) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for (collection, module, leaf), array in arrays.items():
        inner = tree.setdefault(collection, {})
        for name in module.split("/"):
            inner = inner.setdefault(name, {})
        inner[leaf] = np.ascontiguousarray(array)
    return tree
