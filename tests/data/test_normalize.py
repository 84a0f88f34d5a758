import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.data import normalize

IMAGES = np.random.default_rng(0).integers(0, 256, (2_300, 3, 4, 2), np.uint8)  # more than two chunks
IMAGES[..., 1] //= 3


def test_standardize_has_zero_mean_and_unit_deviation():
    unit = IMAGES / 255
    wanted = (unit - unit.mean((0, 1, 2))) / unit.std((0, 1, 2))
    fitted = normalize.fit("standardize", IMAGES)
    np.testing.assert_allclose(fitted(IMAGES), wanted, atol=1e-5)
    np.testing.assert_allclose(IMAGES * fitted.scale + fitted.shift, wanted, atol=1e-5)  # what a program may fuse
    assert fitted.matrix is None


def test_bytes_and_unit_floats_are_the_same_images():
    unit = (IMAGES / 255).astype(np.float32)
    for name in ("standardize", "zca", "none"):
        fitted = normalize.fit(name, IMAGES)
        np.testing.assert_allclose(fitted(unit), fitted(IMAGES), atol=1e-5)
        assert fitted(IMAGES[:0]).shape == (0, 3, 4, 2)
        np.testing.assert_allclose(normalize.fit(name, unit)(unit), fitted(IMAGES), atol=1e-4)


def test_a_constant_channel_is_only_shifted():
    images = IMAGES.copy()
    images[..., 0] = 77
    fitted = normalize.fit("standardize", images)
    np.testing.assert_allclose(fitted(images)[..., 0], 0, atol=1e-6)
    np.testing.assert_allclose(fitted.scale[0], 1 / 255)


def test_identity_is_the_unit_interval():
    np.testing.assert_allclose(normalize.identity(IMAGES)(IMAGES), IMAGES / 255, atol=1e-7)


def test_zca_whitens_by_the_symmetric_root():
    unit = (IMAGES / 255).reshape(len(IMAGES), -1)
    fitted = normalize.fit("zca(regularization=0.02)", IMAGES)
    root = np.linalg.inv(fitted.matrix.astype(float))
    np.testing.assert_allclose(root @ root, np.cov(unit.T) + 0.02 * np.eye(24), atol=1e-5)
    np.testing.assert_allclose(fitted.matrix, fitted.matrix.T, atol=1e-6)
    np.testing.assert_allclose(
        fitted(IMAGES).reshape(len(IMAGES), -1), (unit - unit.mean(0)) @ fitted.matrix, atol=1e-5
    )


def test_zca_matches_the_reference(golden):
    fitted = normalize.zca(golden["zca/train"], regularization=0.1)
    wanted = golden["zca/train_whitened"]  # of the first images
    np.testing.assert_allclose(fitted(golden["zca/train"][: len(wanted)]), wanted, atol=1e-4)
    np.testing.assert_allclose(fitted(golden["zca/test"]), golden["zca/test_whitened"], atol=1e-4)


@pytest.mark.parametrize(
    "name, message",
    [
        ("standardise", "unknown normalization 'standardise'; closest: standardize"),
        ("zca(eps=1)", "usage: zca"),
        ("zca(regularization=0)", "zca expects regularization > 0"),
        ("zca(regularization=-1)", "zca expects regularization > 0"),
        ("zca(nan)", "regularization expects float, got 'nan'"),
        ("zca(1e999)", "cannot read spec 'zca\\(1e999\\)'"),
        ("zca(-1e999)", "cannot read spec"),
        ("none(1)", "usage: none"),
        ("standardize|zca", "expected one name"),
    ],
)
def test_wrong_names_are_refused(name, message):
    with pytest.raises(errors.ConfigError, match=message):
        normalize.fit(name, IMAGES)
    with pytest.raises(errors.ConfigError, match=message):
        normalize.canonical(name)


@pytest.mark.parametrize(
    "name, wanted",
    [
        ("standardize", "standardize"), ("none()", "none"), ("zca", "zca"), ("zca()", "zca"), ("zca(0.1)", "zca"),
        ("zca( regularization = .1 )", "zca"), ("zca(1)", "zca(regularization=1.0)"), ("zca(1e-2)", "zca(regularization=0.01)"),
    ],
)  # fmt: skip
def test_a_normalization_has_one_spelling(name, wanted):
    assert normalize.canonical(name) == normalize.canonical(wanted) == wanted


@pytest.mark.parametrize("regularization", [1e-300, 1e300])
def test_zca_whose_matrix_no_float_holds_is_refused(regularization):
    images = np.zeros_like(IMAGES)
    images[::2] = 255
    with pytest.raises(errors.ConfigError, match="leaves the range of float32"):
        normalize.zca(images, regularization)


def test_zca_refuses_images_whose_matrix_would_not_fit():
    with pytest.raises(errors.ConfigError, match="150528 x 150528; use standardize"):
        normalize.zca(np.zeros((2, 224, 224, 3), np.uint8))
