"""Weights of PyTorch say here what they said there; what is not known is refused in one line."""

import jax
import numpy as np
import pytest
from conftest import KEPT, WHOLE

from jaxsoft import errors, models
from jaxsoft.data.formats import tensors

FILES = WHOLE.parent / "files"
CHECKED = {  # file -> whose images and logits are recorded beside it, and what it is
    "resnet18_w8_imagenet_stem.pt": "resnet18(stem=imagenet, width=8)",
    "resnet18_w8_imagenet_stem.safetensors": "resnet18(stem=imagenet, width=8)",
    "resnet18_w4_small_stem_fp16.safetensors": "resnet18(stem=small, width=4)",
    "convnet_d3_instance.pt": "convnet(depth=3, width=8, norm=instance)",
    "convnet_d3_instance.safetensors": "convnet(depth=3, width=8, norm=instance)",
    "convnet_d3_batch.pt": "convnet(depth=3, width=8, norm=batch)",
    "convnet_d3_batch.safetensors": "convnet(depth=3, width=8, norm=batch)",
    "convnet_d3_idc_names.pt": "convnet(depth=3, width=8, norm=batch)",
}
SHAPE = (16, 16, 3)


def said(network, images):
    return np.asarray(jax.jit(models.build(network.model, network.num_classes).apply)(network.variables, images))


def convnet(norm="none", blocks=2, width=4, side=4, gap=0):
    """A state_dict as PyTorch names it."""
    state, step, rng = {}, 3 + (norm != "none") + gap, np.random.default_rng(0)
    for d in range(blocks):
        state[f"features.{d * step}.weight"] = rng.normal(size=(width, width if d else 3, 3, 3))
        state[f"features.{d * step}.bias"] = rng.normal(size=width)
        if norm != "none":
            state |= {f"features.{d * step + 1}.{leaf}": rng.normal(size=width) for leaf in ("weight", "bias")}
        if norm == "batch":
            state |= {f"features.{d * step + 1}.running_{leaf}": np.ones(width) for leaf in ("mean", "var")}
    state["classifier.weight"] = rng.normal(size=(5, width * side**2))
    return state | {"classifier.bias": rng.normal(size=5)}


@pytest.mark.parametrize(
    "name, model",
    [
        ("torch_convnet_legacy.pt", "convnet(depth=2, width=4, norm=batch)"),
        ("torch_resnet18.pt", "resnet18(stem=small, width=2)"),
    ],
)
def test_networks_that_pytorch_wrote_say_what_they_said_there(name, model):
    network = models.from_state_dict(tensors.read(KEPT.parent / name), SHAPE)
    assert network.model == model
    with np.load(KEPT.parent / "torch_networks.npz") as kept:
        np.testing.assert_allclose(said(network, kept[f"{name}/images"]), kept[f"{name}/logits"], atol=1e-5)


@pytest.mark.skipif(not FILES.exists(), reason="files of related systems are not beside the checkout")
@pytest.mark.parametrize("name", CHECKED)
def test_checkpoints_of_related_systems_give_the_recorded_logits(name):
    with np.load(FILES / "checkpoints" / "checks.npz") as kept:
        images, logits = (kept[f"{name.partition('.')[0]}/{what}"] for what in ("input_nchw", "logits"))
    images = images.transpose(0, 2, 3, 1)
    network = models.from_state_dict(tensors.read(FILES / "checkpoints" / name), images.shape[1:])
    assert network.model == CHECKED[name]
    np.testing.assert_allclose(said(network, images), logits, atol=1e-4)


@pytest.mark.skipif(not FILES.exists(), reason="files of related systems are not beside the checkout")
@pytest.mark.parametrize(
    "name, model",
    [
        ("checkpoints/convnet_d3_dataparallel.pt", "convnet(depth=3, width=8, norm=instance)"),
        ("checkpoints/cifar10_conv3.pth", "convnet(depth=3, width=4, norm=batch)"),
        ("paper/expert/model_17.pth", "convnet(depth=2, width=4, norm=instance)"),
    ],
)
def test_what_is_wrapped_around_weights_is_taken_off(name, model):
    side = 8 if "model_17" in name else 32
    assert models.from_state_dict(tensors.read(FILES / name), (side, side, 3)).model == model


@pytest.mark.parametrize("wrap", [
    lambda s: {"model": s}, lambda s: {"state_dict": {f"module.{k}": v for k, v in s.items()}, "epoch": 3},
    lambda s: {"model": {"state_dict": s}}, lambda s: {f"_orig_mod.{k}": v for k, v in s.items()},
    lambda s: {**s, "features.1.num_batches_tracked": np.array(3)},
])  # fmt: skip
def test_wrappers_and_prefixes_change_nothing(wrap):
    plain, wrapped = (models.from_state_dict(each, SHAPE) for each in (convnet("batch"), wrap(convnet("batch"))))
    assert plain.model == wrapped.model == "convnet(depth=2, width=4, norm=batch)"
    jax.tree.map(np.testing.assert_array_equal, plain.variables, wrapped.variables)


def test_inputs_of_a_dense_layer_change_their_order_and_kernels_their_axes():
    state = convnet("instance")
    params = models.from_state_dict(state, SHAPE).variables["params"]
    kernel = params["classifier"]["kernel"].reshape(4, 4, 4, 5)  # H W C K
    torch = state["classifier.weight"].reshape(5, 4, 4, 4).astype(np.float32)  # K C H W
    assert kernel[1, 2, 3, 4] == torch[4, 3, 1, 2]
    assert params["conv1"]["kernel"][0, 1, 2, 3] == np.float32(state["features.4.weight"][3, 2, 0, 1])


def test_names_of_cifars_residual_networks_are_known():
    network = models.build("resnet18(width=2)", 5)
    shapes = jax.eval_shape(network.init, jax.random.key(0), np.zeros((1, *SHAPE), np.float32))
    state = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(shapes):
        module, _, kind = jax.tree_util.keystr(path[1:], simple=True, separator=".").rpartition(".")
        name = module.replace("conv_around", "shortcut.0").replace("norm_around", "shortcut.1")
        name = name.replace("norm", "bn").replace("_", ".").replace("classifier", "linear")
        turned = np.zeros(leaf.shape).transpose() if len(leaf.shape) == 2 else np.zeros(leaf.shape)
        turned = turned.transpose(3, 2, 0, 1) if len(leaf.shape) == 4 else turned
        leaves = {"kernel": "weight", "scale": "weight", "mean": "running_mean", "var": "running_var"}
        state[f"{name}.{leaves.get(kind, kind)}"] = turned
    assert models.from_state_dict(state, SHAPE).model == "resnet18(stem=small, width=2)"
    assert models.from_state_dict(state, SHAPE, "resnet18(width=2)").model == "resnet18(width=2)"
    for name in [name for name in state if name.startswith("layer1.1")]:
        del state[name]
    with pytest.raises(errors.DataError, match="a ResNet of 1-2-2-2 blocks of 2 convolutions"):
        models.from_state_dict(state, SHAPE)


@pytest.mark.parametrize(
    "state, model, told",
    [
        ([1], "", "holds a list that is no state_dict"),
        ({"epoch": 3}, "", "holds a dict that is no state_dict"),
        ({}, "", "names such as '' are not those of a ConvNet"),
        ({"encoder.weight": np.ones((2, 2))}, "", "'encoder.weight' is not of a ConvNet"),
        ({**convnet(), "classifier.weight": np.ones((5, 64), np.int64)}, "", "holds int64; wanted floats"),
        ({**convnet(), "classifier.bias": np.full(5, np.nan)}, "", "numbers that are not finite"),
        ({k: v for k, v in convnet().items() if "classifier" not in k}, "", "names such as 'features.0.weight'"),
        (
            {k: v for k, v in convnet().items() if k != "features.0.bias"},
            "",
            "conv0/bias of shape .4., the file has none",
        ),
        (
            convnet(side=3),
            "",
            "classifier reads 36 numbers, and 2 blocks of 4 channels leave 4x4x4 of images of 16x16x3",
        ),
        (convnet(gap=1), "", "features.0 and features.4 are 4 layers apart"),
        (
            convnet(),
            "convnet(depth=2, width=8, norm=none)",
            r"kernel of shape \[128, 5\], the file has of shape \[64, 5\]",
        ),
        (convnet(), "convnet(depth=2, width=4)", r"params/norm0/bias of shape \[4\], the file has none"),
    ],
)
def test_what_is_not_such_a_network_is_refused(state, model, told):
    with pytest.raises(errors.DataError, match=told) as refused:
        models.from_state_dict(state, SHAPE, model)
    assert "\n" not in str(refused.value)
