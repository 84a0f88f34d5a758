"""What takes the place of a dataset that is not here, to plan with."""

import pytest

from jaxsoft import data


@pytest.mark.parametrize(
    "name, sizes, shape, classes",
    [
        ("cifar10", (45_000, 5_000, 10_000), (32, 32, 3), 10),
        ("cifar100", (45_000, 5_000, 10_000), (32, 32, 3), 100),
        ("tiny_imagenet", (90_000, 10_000, 10_000), (64, 64, 3), 200),
        ("imagenet64", (1_153_000, 128_000, 50_000), (64, 64, 3), 1000),
    ],
)
def test_it_has_the_sizes_of_the_published_set_and_takes_no_memory(name, sizes, shape, classes):
    found = data.stand_in(name)
    assert (len(found.train), len(found.validation), len(found.test)) == sizes
    assert (found.image_shape, found.num_classes) == (shape, classes)
    assert found.train.images.base.nbytes == 1 and found.fingerprint == data.STAND_IN


def test_of_photographs_it_has_the_side_that_they_are_seen_with():
    found = data.stand_in("imagenet", validation=0.04, side=224)
    assert (len(found.train), len(found.test), found.image_shape) == (1_230_000, 50_000, (224, 224, 3))
    assert data.stand_in("imagenet") is None


def test_it_is_cut_as_the_set_would_be():
    found = data.stand_in("cifar10", validation=0.0, limit=7)
    assert (len(found.train), len(found.validation)) == (70, 0)
    assert len(data.stand_in("cifar100", validation=0.0001).validation) == 100, "one image of each class at least"


@pytest.mark.parametrize("name", ["digits", "image_folder", "tfds:mnist", "mylab.data:birds", "nothing"])
def test_a_set_of_no_known_size_has_none(name):
    assert data.stand_in(name) is None
