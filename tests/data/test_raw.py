import numpy as np

from jaxsoft.data import raw


def test_carve_takes_the_asked_number_of_each_class_and_keeps_pairs():
    labels = np.repeat([0, 1, 2], [7, 5, 2]).astype(np.int32)
    part = raw.Part(labels, [f"{k}-{n}" for n, k in enumerate(labels)], lambda item: np.zeros((1, 1, 1), np.uint8))
    stay, out = raw.carve(part, np.array([3, 0, 1]))
    assert np.bincount(out.labels).tolist() == [3, 0, 1]
    assert sorted([*stay.items, *out.items]) == sorted(part.items)
    for split in (stay, out):
        assert [int(item[0]) for item in split.items] == split.labels.tolist()
        numbers = [int(item.split("-")[1]) for item in split.items]
        assert numbers == sorted(numbers)
