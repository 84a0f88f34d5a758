"""Programs that learn labels are for the devices on which the subsets lie, here or not."""

import jax
import numpy as np
import programs

from jaxsoft import config, target
from jaxsoft.experiment.learned import many
from jaxsoft.experiment.learned.one import ImageSet, Lesson, Material
from jaxsoft.training.recipe import Recipe


def lowered(sets, mesh):
    """What a method of a lesson is told that it is for, and the program."""
    told = []

    def method(lesson, subset):
        told.append(target.platform())
        return subset.seed + lesson.material.classes.sum()

    bank = programs._bank(4, 0, (8, 8, 1), np.uint8, 2)
    held_out = programs._eval_set(3, 3, (8, 8, 1), np.uint8)
    recipe = Recipe("mlp(layers=1)", 2, 2, 2)
    lesson = Lesson(config.Settings().learned, recipe, Material(bank, jax.ShapeDtypeStruct((4,), np.int32), held_out))
    return told, many._spread(method, many._SPREAD).lower(lesson, sets, mesh=mesh)


def subsets(**named):
    return ImageSet(*(jax.ShapeDtypeStruct(shape, np.int32, **named) for shape in ((2,), (2, 3))))


def test_for_a_chip_that_is_not_here(h100):
    sets = subsets(sharding=many.places([h100])[1])
    told, program = lowered(sets, many.mesh_of(sets))
    assert told == ["gpu"] and program.compile().input_shardings[0][1].seed.mesh.devices.tolist() == [h100]


def test_for_the_devices_that_are_here_where_subsets_are_on_the_host():
    sets = ImageSet(np.zeros(2, np.int32), np.zeros((2, 3), np.int32))
    told, _ = lowered(sets, many.mesh_of(sets))
    assert told == ["cpu"] and many.mesh_of(sets).devices.tolist() == jax.local_devices()
