"""Fields of DDiF: decoded as its published code decodes them, with its gradients, and kept compressed."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.data.formats import tensors
from jaxsoft.distilled import fields
from jaxsoft.distilled.kept import KIND, read

GOLDEN = Path(__file__).resolve().parents[3] / "shared" / "golden"
W0 = {"cifar": 10.0, "imagenet": 40.0}
SIZES = (8, 8), (5, 7), (16, 9)


@pytest.fixture(scope="module")
def recorded():
    with np.load(Path(__file__).parents[1] / "golden" / "ddif.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def state(recorded, net):
    prefix = f"{net}/state/"
    return {name.removeprefix(prefix): array for name, array in recorded.items() if name.startswith(prefix)}


@pytest.mark.parametrize("net", W0)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_decoded_images_and_places_are_those_of_the_published_code(recorded, net, size):
    """Six images and three grids, of squares and of what is none; sines of up to 60 are compared to 1e-4."""
    own, name = state(recorded, net), "{}x{}".format(*size)
    how = fields.decoder(own, size)
    assert how["w0"].tolist() == [30, W0[net]]  # as depth and width tell
    np.testing.assert_allclose(fields.decode(own, how), recorded[f"{net}/decode_{name}"], atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(fields.coordinates(*size), recorded[f"coordinates_{name}"], atol=1e-6)


@pytest.mark.parametrize("net", W0)
def test_larger_images_are_those_of_the_published_code(recorded, net):
    path = GOLDEN / "systems_parity.npz"
    if not path.exists():
        pytest.skip("images of 32x32 are not in tests/golden/; looked for systems_parity.npz beside the checkout")
    with np.load(path, allow_pickle=False) as file:
        wanted, places = file[f"ddif/{net}/decode_32x32"], file["ddif/coordinates_32x32"]
    found = fields.decode(own := state(recorded, net), fields.decoder(own, (32, 32)))
    np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=1e-4)
    np.testing.assert_allclose(fields.coordinates(32, 32), places, atol=1e-6)


@pytest.mark.parametrize("net", W0)
def test_gradients_with_respect_to_weights_are_those_of_the_published_code(recorded, net):
    """14 arrays: of the sum of image times R, 8x8."""

    def loss(own):
        images = jax.vmap(lambda field: fields.image(field, 8, 8, 30.0, W0[net]))(own)
        return (images * recorded[f"{net}/grad_of_sum_with"]).sum()

    for name, found in jax.jit(jax.grad(loss))(state(recorded, net)).items():
        wanted = recorded[f"{net}/grad/{name}"]
        assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max(), name


def test_numbers_of_a_field_and_how_many_a_budget_buys(recorded):
    for ipc, channels, height, width, layers, hidden, each, count in recorded[
        "budget/rows_ipc_C_H_W_layers_width_params_fields"
    ].tolist():
        assert fields.numbers(layers, hidden, channels) == each
        assert ipc * height * width * channels // fields.numbers(layers, hidden, channels) == count
    for net in W0:
        assert fields.numbers(*fields.dimensions(state(recorded, net))) == recorded[f"{net}/params_per_field"]


def test_chunks_give_what_all_at_once_give(recorded, monkeypatch):
    own = state(recorded, "cifar")
    whole = fields.decode(own, fields.decoder(own, (5, 7)))
    monkeypatch.setattr(fields, "_CHUNK_BYTES", 3 * 4 * 5 * 7 * 6)  # three of four fields
    np.testing.assert_allclose(fields.decode(own, fields.decoder(own, (5, 7))), whole, rtol=1e-6)


def test_recorded_files_give_their_decoded_images():
    found = sorted((GOLDEN / "files" / "ddif").glob("*/*.pt"))
    if not found:
        pytest.skip("looked for files of DDiF beside the checkout")
    for path in found:
        own = fields.stacked(tensors.read(path)["nf"])
        decoded = fields.decode(own, fields.decoder(own, (8, 8))).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(decoded, np.load(path.with_suffix(".decoded_8x8_nchw.npy")), atol=1e-4)


@pytest.mark.parametrize("space", ["standardised", "whitened"])
def test_a_kept_set_is_compressed_where_channels_are_scaled_and_shifted(recorded, space, tmp_path):
    """Decoded when it is read, once; whitened ones have their pixels beside. The record's digest knows the decoder."""
    own, mean, std = state(recorded, "cifar"), np.array([0.4, 0.5, 0.6], "f4"), np.array([0.1, 0.2, 0.3], "f4")

    def to_pixels(images):
        pixels = images * std + mean
        return pixels if space == "standardised" else np.roll(pixels, 1, axis=1)

    digests = set()
    for w0 in (10.0, 11.0):
        how = fields.decoder(own, (8, 8), w0)
        arrays, told = fields.kept(own, how, to_pixels)
        assert ("images" in arrays) == (space == "whitened") != told["decoded_when_read"]
        record = {
            "data": {},
            "class_names": ["a", "b"],
            "image_shape": [8, 8, 3],
            "kind": "hard",
            "ipc": 2,
            "decoder": told,
        }
        folder = tmp_path / f"{w0:g}"
        digests.add(KIND.keep(folder, record, arrays | {"labels": np.array([0, 0, 1, 1])})["digest"])
        there = read(str(folder))
        np.testing.assert_allclose(there.images, to_pixels(fields.decode(own, how)), atol=1e-5)
        assert there.images is there.images
    assert len(digests) == 2


def test_what_is_no_field_or_says_no_frequency_is_refused(recorded):
    own = state(recorded, "cifar")
    states = [{name: array[n] for name, array in own.items()} for n in range(4)]
    stacked = fields.stacked(states)
    assert all(np.array_equal(stacked[name], own[name]) for name in own)
    last = "last_layer.linear.weight"
    for bad, words in [
        ({}, "wanted a list"),
        ([], "wanted a list"),
        ([{}], "wanted net.K.linear"),
        ([{**states[0], "more": np.ones(2)}], "wanted net.K.linear"),
        ([{**states[0], last: np.ones((3, 5), "f4")}], "do not fit one another"),
        ([states[0], {**states[1], last: np.ones((3, 5), "f4")}], "field 1 is of another shape"),
        ([states[0], {**states[1], last: np.full((3, 6), np.nan, "f4")}], "of field 1 is not finite"),
        ([{**states[0], last: np.ones((3, 6), int)}], "wanted net.K.linear"),
    ]:
        with pytest.raises(ValueError, match=words):
            fields.stacked(bad)
    with pytest.raises(errors.ConfigError, match=r"2 layers of width 5; wanted --w0="):
        fields.decoder(
            {name: np.zeros([4] + [5 if n == 6 else n for n in a.shape[1:]], "f4") for name, a in own.items()}, (8, 8)
        )
    for given in ({"w0": -1.0}, {"w0_initial": np.inf}):
        with pytest.raises(errors.ConfigError, match="wanted numbers above 0"):
            fields.decoder(own, (8, 8), **given)
    for sides in ((1, 8), (1 << 15, 1 << 15)):
        with pytest.raises(errors.DataError, match="cannot be decoded"):
            fields.decoder(own, sides)
