import dataclasses

import numpy as np
import photographs
import pytest

from jaxsoft import errors
from jaxsoft.distilled.inference import class_order

DATA = photographs.dataset()
ROWS = np.concatenate([np.flatnonzero(DATA.train.labels == k)[:40] for k in range(4)])
IMAGES, LABELS = DATA.train.images[ROWS], DATA.train.labels[ROWS]


def seen(images, labels=LABELS, data=DATA):
    return class_order.seen(images, labels, data, photographs.ask)


def test_images_of_their_classes_fit():
    found = class_order.check_order(IMAGES, LABELS, DATA, photographs.ask)
    assert found.verdict == class_order.FITS and found.accuracy > 0.6 and found.known > 0.6
    assert "of the 160 images of the set" in found.lines[0]


def test_pixels_that_leave_the_range_are_clipped_for_the_network():
    loud = (IMAGES / np.float32(255) - 0.5) * 1.3 + 0.5

    def ask(images):
        assert images.dtype == np.uint8 or (images.min() >= 0 and images.max() <= 1)
        return photographs.ask(images)

    assert class_order.seen(loud.astype(np.float32), LABELS, DATA, ask).verdict == class_order.FITS


def test_another_order_of_classes_is_found_and_its_flag_mends_it():
    named = np.array([2, 0, 3, 1])  # class k of the data set is called named[k] in the set
    found = seen(IMAGES, named[LABELS])
    assert found.verdict == class_order.REORDERED
    np.testing.assert_array_equal(np.array(found.classes)[named[LABELS]], LABELS)
    with pytest.raises(errors.ConfigError, match="--classes=1,3,0,2 takes that order; --no_order"):
        class_order.check_order(IMAGES, named[LABELS], DATA, photographs.ask)


def test_exchanged_channels_are_found():
    found = seen(IMAGES[..., ::-1])
    assert (found.verdict, found.arrangement) == (class_order.REARRANGED, "red and blue exchanged")
    with pytest.raises(errors.ConfigError, match="with red and blue exchanged; write the files again"):
        class_order.check_order(IMAGES[..., ::-1], LABELS, DATA, photographs.ask)


def test_exchanged_axes_are_found():
    def rows_matter(images):  # a network that knows upper from lower: a ramp of light
        unit = images / 255 if images.dtype == np.uint8 else images
        slope = (unit[:, :8].mean((1, 2, 3)) - unit[:, 8:].mean((1, 2, 3))) * 50
        return np.stack([slope, -slope], axis=1).astype(np.float32)

    ramp = np.broadcast_to(np.linspace(1, 0, 16)[:, None, None], (16, 16, 3))
    labels = np.arange(40) % 2
    images = np.where(labels[:, None, None, None], ramp[::-1], ramp).astype(np.float32)
    known = dataclasses.replace(DATA, class_names=("up", "down"), validation=type(DATA.validation)(images, labels))
    assert class_order.seen(images, labels, known, rows_matter).verdict == class_order.FITS
    found = class_order.seen(images.swapaxes(1, 2), labels, known, rows_matter)
    assert (found.verdict, found.arrangement) == (class_order.REARRANGED, "rows and columns exchanged")


def test_images_of_something_else_are_at_chance():
    noise = np.random.RandomState(0).randint(0, 256, IMAGES.shape).astype(np.uint8)
    assert seen(noise).verdict == class_order.AT_CHANCE
    with pytest.raises(errors.ConfigError, match="no better than the 25.0% of chance; usual reasons: another data set"):
        class_order.check_order(noise, LABELS, DATA, photographs.ask)


def test_few_images_and_a_network_without_a_reference_tell_nothing():
    few = np.random.RandomState(1).randint(0, 256, (4, *IMAGES.shape[1:])).astype(np.uint8)
    assert seen(few, np.arange(4)).verdict == class_order.UNTOLD
    noise = np.random.RandomState(0).randint(0, 256, IMAGES.shape).astype(np.uint8)
    bare = dataclasses.replace(
        DATA, validation=type(DATA.validation)(DATA.validation.images[:0], DATA.validation.labels[:0])
    )
    assert class_order.check_order(noise, LABELS, bare, photographs.ask).verdict == class_order.UNTOLD
