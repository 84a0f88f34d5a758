import dataclasses

import numpy as np
import photographs
import pytest

from jaxsoft import errors
from jaxsoft.data import datasets, normalize
from jaxsoft.distilled.inference import spaces

IPC = 20


@pytest.fixture(scope="module")
def real():
    """Images of each class, in order, in [0, 1]."""
    train, random = photographs.dataset().train, np.random.RandomState(3)
    rows = np.concatenate([random.permutation(np.flatnonzero(train.labels == k))[:IPC] for k in range(4)])
    return train.images[rows] / np.float32(255)


def noisy(images, amount=0.5):
    """As optimising leaves them: with noise of half their deviation."""
    noise = np.random.RandomState(1).normal(size=images.shape) * amount * images.std()
    return (images + noise).astype(np.float32)


def averages(images):
    """Means of three images each."""
    return (images + np.roll(images, 1, axis=0) + np.roll(images, 2, axis=0)) / np.float32(3)


def forward(pixels, space):
    """Images of a space, by what `to_pixels` undoes: the transform of `data/normalize.py`."""
    return (
        spaces.space_of(space, photographs.dataset()).forward.store_beyond(pixels)
        if "zca" in space
        else affine(pixels, space)
    )


def affine(pixels, space):
    known = spaces.space_of(space, photographs.dataset()).forward
    return (pixels * 255 * known.scale + known.shift).astype(np.float32)


MADE = {"real": lambda images: images, "noisy": noisy, "averages": averages}


@pytest.mark.parametrize("made", MADE)
@pytest.mark.parametrize("space", ["pixels", "bytes", "standardize", "zca"])
def test_a_space_is_recognised(real, space, made):
    images = MADE[made](forward(real, space))
    found = spaces.judged(images, photographs.dataset())
    assert space in found.choices, found
    if made == "real" or space in ("pixels", "bytes"):
        assert spaces.infer_space(images, photographs.dataset()).space == space, found
    if space == "zca":
        assert spaces.infer_space(images, photographs.dataset(), "MTT").space == space


@pytest.mark.parametrize(
    "space",
    ["pixels", "bytes", "standardize", "standardize(imagenet)", "standardize(mean=(0.1, 0.2, 0.3), std=(0.5, 1, 2))"],
)
def test_an_affine_space_is_undone(real, space):
    images = noisy(real)
    np.testing.assert_allclose(spaces.to_pixels(affine(images, space), space, photographs.dataset()), images, atol=1e-5)


@pytest.mark.parametrize("space", ["zca", "zca(regularization=0.01)", "zca(standardized=true)"])
def test_whitening_is_undone(real, space):
    images = noisy(real)
    np.testing.assert_allclose(
        spaces.to_pixels(forward(images, space), space, photographs.dataset()), images, atol=1e-4
    )


def test_statistics_are_of_all_published_train_images(real):
    data = photographs.dataset()
    published = np.concatenate([data.train.images, data.validation.images])
    whitened = normalize.fit("zca", published)(real)
    np.testing.assert_allclose(spaces.to_pixels(whitened, "zca", data), real, atol=1e-4)
    standardised = normalize.standardize(published)(real)
    np.testing.assert_allclose(spaces.to_pixels(standardised, "standardize", data), real, atol=1e-5)


def test_whitening_of_standardised_images_has_their_covariance(real):
    data = photographs.dataset()
    published = np.concatenate([data.train.images, data.validation.images])
    flat = normalize.standardize(published)(published).reshape(len(published), -1).astype(np.float64)
    matrix = spaces.space_of("zca(standardized=true)", data).forward.matrix
    assert matrix is not None
    root = np.linalg.inv(matrix.astype(np.float64))
    wanted = np.cov(flat.T) + 0.1 * np.eye(flat.shape[1])
    np.testing.assert_allclose(root @ root, wanted, atol=2e-3 * np.abs(wanted).max())


def test_bytes_stay_bytes():
    images = photographs.dataset().train.images[:3]
    assert spaces.infer_space(images, photographs.dataset()).space == "pixels"
    assert spaces.to_pixels(images, "pixels", photographs.dataset()) is images


def test_pixels_stay_as_they_are(real):
    wild = real * np.float32(1.5) - np.float32(0.2)
    np.testing.assert_array_equal(spaces.to_pixels(wild, "pixels", photographs.dataset()), wild)


def test_of_constants_that_fit_as_well_a_system_uses_one(real):
    data = dataclasses.replace(photographs.dataset(), name="cifar100")
    near = noisy(real)
    images = ((near - 0.48) / 0.25).astype(np.float32)
    ambiguous = spaces.judged(images, data)
    assert len(ambiguous.choices) > 1
    with pytest.raises(errors.ConfigError, match=r"cannot be told.*--space='standardize"):
        spaces.infer_space(images, data)
    told = [name for name in ambiguous.choices if name == "standardize(cifar100)"]
    if told:
        assert spaces.infer_space(images, data, "MTT").space == "standardize(cifar100)"


def test_what_fits_nothing_is_refused():
    noise = np.random.RandomState(0).normal(3, 5, size=(40, 16, 16, 3)).astype(np.float32)
    with pytest.raises(errors.ConfigError, match="no known space of photographs"):
        spaces.infer_space(noise, photographs.dataset())


def test_channels_first_that_were_read_as_last_are_refused(real):
    scrambled = np.ascontiguousarray(forward(real, "standardize").transpose(0, 3, 1, 2)).reshape(real.shape)
    assert spaces.judged(scrambled, photographs.dataset()).scores["standardize"] < -6


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("zac", "unknown space 'zac'; closest: zca"),
        ("standardize(imagnet)", "unknown constants 'imagnet'; closest: imagenet"),
        ("standardize(mean=(0.1, 0.2), std=(1, 1))", "for each of 3 channels"),
        ("standardize(mean=(0.1,), std=(0,))", "std above 0"),
        ("standardize(mean=(0.1,))", "std above 0"),
        ("zca(regularization=0)", "regularization > 0"),
    ],
)
def test_a_space_that_is_none_is_refused_in_a_line(real, space, message):
    with pytest.raises(errors.ConfigError, match=message.replace("(", r"\(")) as caught:
        spaces.to_pixels(real, space, photographs.dataset())
    assert "\n" not in str(caught.value)


def test_one_channel_and_small_images():
    data = datasets.load("digits")
    rows = np.concatenate([np.flatnonzero(data.train.labels == k)[:5] for k in range(10)])
    pixels = data.train.images[rows] / np.float32(255)
    published = np.concatenate([data.train.images, data.validation.images])
    for name, wanted in (("none", "pixels"), ("standardize", "standardize"), ("zca", "zca")):
        found = spaces.judged(normalize.fit(name, published)(pixels), data)
        assert found.space == wanted, found
