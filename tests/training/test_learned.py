"""Learning labels: one outer step by hand, the pool, what judges them, and whole lessons with a known answer."""

import dataclasses
import functools
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxsoft import config, errors
from jaxsoft.experiment.learned import learn as learning
from jaxsoft.experiment.learned import many as learners
from jaxsoft.experiment.learned import one as learned
from jaxsoft.training.evaluate import eval_set
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset

SETTINGS = config.Learned(
    looks=2,
    look_outer_steps=3,
    meta_batch=16,
    unroll_steps=8,
    first_unroll_steps=4,
    window_steps=2,
    students=2,
    judges=2,
    learning_rate=0.1,
    margin=4.0,
)
RECIPE = Recipe("mlp(hidden=6)", tiny.CLASSES, 6, 6, SETTINGS.optimizer)
SLOTS = np.array([[0, 3, 1, 4, 2, 5], [9, 6, 7, 10, 8, 11], [0, 3, 1, 4, 8, 11]], np.int32)


def change(**changes):
    return dataclasses.replace(SETTINGS, **changes)


def blobs(count, seed):
    """Images of three classes that nothing but the mean of a third of the pixels tells apart; image i has class i % 3."""
    classes = np.arange(count, dtype=np.int32) % 3
    images = np.random.default_rng(seed).standard_normal((count, *tiny.SHAPE)).astype(np.float32)
    for i, c in enumerate(classes):
        images[i].reshape(-1)[c::3] += 2
    return images, classes


def material():
    images, classes = blobs(tiny.IMAGES, 0)
    bank = tiny.bank()._replace(images=jnp.asarray(images), rows=jnp.zeros((0, 3)))
    return learned.Material(bank, jnp.asarray(classes), eval_set(*blobs(30, 1), batch=15))


MATERIAL = material()


def with_students(settings):
    return learned.Lesson(settings, RECIPE._replace(optimizer=settings.optimizer), MATERIAL)


def subsets(which):
    which = list(which)
    return learned.ImageSet(np.array(which, np.int32), SLOTS[which])


def one(m=0):
    return jax.tree.map(lambda a: jnp.asarray(a[m]), subsets(range(3)))


@functools.partial(jax.jit, static_argnums=0)
def start(settings):
    return with_students(settings).start(one())


@functools.partial(jax.jit, static_argnums=0)
def outer_step(settings, learner, t):
    return with_students(settings).outer_step(one(), learner, t)


def test_first_labels_are_true_classes_with_a_margin_and_ages_are_spread():
    learner = start(SETTINGS)
    share = np.exp(4) / (np.exp(4) + 2)
    rows = np.where(np.eye(3)[SLOTS[0] % 3] == 1, share, (1 - share) / 2)
    np.testing.assert_allclose(jax.nn.softmax(learner.logits), rows, rtol=1e-5)
    assert learner.pool.age.tolist() == [0, 2]
    assert len(set(learner.pool.member.seed.tolist())) == 2


@jax.jit
def gradient(logits, who, meta):
    return jax.grad(lambda z: with_students(SETTINGS).meta_loss(z, who, meta)[0])(logits)


def by_hand(settings, learner, students):
    """The mean gradient over some students of the pool, and where Adam goes with it."""
    wanted = []
    for p in students:
        meta = with_students(settings)._outside(one(), jnp.int32(1), jnp.int32(p))
        who = jax.tree.map(lambda a, p=p: a[p], learner.pool)
        wanted.append(gradient(learner.logits, who, meta))
    adam = optax.adam(settings.outer_learning_rate)  # the cosine begins at 1
    update, _ = adam.update(sum(wanted) / len(wanted), adam.init(learner.logits))
    return learner.logits + update


def test_an_outer_step_is_adam_on_the_mean_gradient_of_the_pool():
    learner = start(SETTINGS)
    after, loss = outer_step(SETTINGS, learner, jnp.int32(1))
    np.testing.assert_allclose(after.logits, by_hand(SETTINGS, learner, (0, 1)), atol=1e-5)
    assert after.pool.age.tolist() == [2, 4] and loss > 0


def test_a_student_that_is_not_finite_has_no_say_and_is_replaced():
    learner = start(SETTINGS)
    variables = jax.tree.map(lambda a: a.at[0].set(jnp.nan), learner.pool.state.variables)
    broken = learner._replace(pool=learner.pool._replace(state=learner.pool.state._replace(variables=variables)))
    after, loss = outer_step(SETTINGS, broken, jnp.int32(1))
    np.testing.assert_allclose(after.logits, by_hand(SETTINGS, learner, (1,)), atol=1e-5)
    assert np.isfinite(loss) and (after.pool.state.bad_step >= 0).tolist() == [True, False]
    after, loss = outer_step(SETTINGS, after, jnp.int32(2))
    assert np.isfinite(loss) and after.pool.age[0] == 2 and (after.pool.state.bad_step < 0).all()


def test_an_outer_step_without_a_finite_student_changes_nothing_and_has_no_loss():
    learner = start(SETTINGS)
    variables = jax.tree.map(lambda a: jnp.full_like(a, jnp.nan), learner.pool.state.variables)
    broken = learner._replace(pool=learner.pool._replace(state=learner.pool.state._replace(variables=variables)))
    after, loss = outer_step(SETTINGS, broken, jnp.int32(1))
    np.testing.assert_array_equal(after.logits, learner.logits)
    assert np.isnan(loss), "0 would be a perfect one"


def test_a_student_that_stopped_in_its_window_has_no_say_whatever_its_loss(monkeypatch):
    def meta_loss(self, logits, student, meta):
        return logits.sum(), student._replace(state=student.state._replace(bad_step=student.age))

    monkeypatch.setattr(learned.Lesson, "meta_loss", meta_loss)
    learner = start(SETTINGS)
    after, loss = with_students(SETTINGS).outer_step(one(), learner, jnp.int32(1))
    np.testing.assert_array_equal(after.logits, learner.logits)
    assert np.isnan(loss) and (after.pool.state.bad_step >= 0).all()


def test_a_persistent_pool_grows_old_with_the_curriculum():
    """The reach of 6 outer steps grows from 4 to 8 by the middle; ages beside it, two steps a window."""
    learner, ages = start(SETTINGS), []
    for t in range(1, 7):
        learner, _ = outer_step(SETTINGS, learner, jnp.int32(t))
        ages.append(learner.pool.age.tolist())
    reach = [int(with_students(SETTINGS)._reach(jnp.int32(t))) for t in range(1, 7)]
    assert reach == [4, 5, 6, 8, 8, 8]
    assert ages == [[2, 4], [4, 2], [6, 4], [8, 6], [2, 8], [4, 2]]


def test_meta_images_are_all_those_outside_the_subset():
    draw = jax.jit(lambda subset, t: with_students(change(meta_batch=600))._outside(subset, t, jnp.int32(0)))
    for m in range(3):
        drawn = [np.asarray(draw(one(m), jnp.int32(t))) for t in (1, 2)]
        assert set(drawn[0]) == set(range(tiny.IMAGES)) - set(SLOTS[m].tolist())
        assert (drawn[0] != drawn[1]).any()


LESSON = change(margin=0.0, pool="fresh", look_outer_steps=20, outer_learning_rate=0.3)


@functools.cache
def lesson(*which):
    return list(learners.learn(with_students(LESSON), subsets(which)))


def test_labels_that_know_nothing_learn_the_true_classes():
    """From uniform labels, which teach nothing: the gradient through training finds out what each image shows."""
    looks = lesson(0, 1, 2)
    assert [look.outer_step for look in looks] == [0, 20, 40]
    assert np.isnan(looks[0].meta_loss).all() and (looks[2].meta_loss < looks[1].meta_loss).all()
    np.testing.assert_allclose(looks[0].rows, 1 / 3, rtol=1e-6)
    np.testing.assert_array_equal(looks[-1].rows.argmax(-1), SLOTS % 3)
    assert (looks[0].judged.accuracy < 0.6).all() and (looks[-1].judged.accuracy > 0.7).all()


def test_labels_of_a_subset_do_not_depend_on_its_neighbours():
    for one, other in zip(lesson(0, 1, 2), lesson(1, 0, 1)):
        np.testing.assert_allclose(one.rows[[1, 0]], other.rows[:2], atol=1e-5)
        np.testing.assert_allclose(one.judged.accuracy[[1, 0]], other.judged.accuracy[:2], atol=1e-6)
    assert np.abs(lesson(0, 1, 2)[-1].rows[0] - lesson(0, 1, 2)[-1].rows[1]).max() > 1e-3


def test_judges_see_all_labels_alike():
    last = lesson(0, 1, 2)[-1]
    again = learners.judge(with_students(LESSON), subsets(range(3)), last.rows)
    np.testing.assert_array_equal(again.accuracy, last.judged.accuracy)
    wrong = np.roll(np.eye(3, dtype=np.float32)[SLOTS % 3], 1, axis=-1)
    assert (learners.judge(with_students(LESSON), subsets(range(3)), wrong).accuracy < 0.3).all()


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"learning_rate": 1e30}, "all 2 judges of learned labels diverged, the first at step 1: "),
        ({"optimizer": "adamw(b2=1.0)"}, "all 2 judges of learned labels diverged, the first at step 0: "),
    ],
)
def test_judges_that_learned_nothing_do_not_judge(changes, told):
    settings = change(**changes)
    with pytest.raises(errors.ConfigError) as refusal:
        rows = np.eye(3, dtype=np.float32)[SLOTS[:1] % 3]
        learners.judge(with_students(settings), subsets([0]), rows)
    todo = f"lower config.learned.learning_rate ({settings.learning_rate:g}) or change config.learned.optimizer ("
    assert str(refusal.value).startswith(told) and todo in str(refusal.value)


def test_accuracy_is_of_the_judges_that_finished():
    accuracy = jnp.array([0.5, 0.9, 0.1], jnp.float32)
    judged = learned.judged(accuracy, jnp.array([-1, -1, 4], jnp.int32))
    np.testing.assert_allclose(judged.accuracy, 0.7, rtol=1e-6)
    assert (int(judged.judges), int(judged.bad_step)) == (2, 4)
    none = learned.judged(accuracy, jnp.array([7, 4, 9], jnp.int32))
    assert np.isnan(none.accuracy) and (int(none.judges), int(none.bad_step)) == (0, 4)


def lesson_of(monkeypatch, labels, loss, judges=8):
    """Two looks at two subsets whose programs are stubs."""
    fine = learned.Judged(jnp.full(2, 0.5), jnp.array([8, judges]), jnp.array([-1, 3]))
    learner = start(SETTINGS)._replace(logits=jnp.asarray(labels, jnp.float32))
    stubs = {"_start": learner, "_chunk": (learner, np.array(loss, np.float32)), "_validate": fine}
    for name, result in stubs.items():
        monkeypatch.setattr(learners, name, lambda *_, result=result, mesh=None: result)
    return list(learners.learn(with_students(SETTINGS), subsets([0, 1])))


def test_labels_that_were_not_learned_are_not_handed_on(monkeypatch):
    labels = np.zeros((2, 6, 3))
    looks = lesson_of(monkeypatch, labels, [2.0, 1.0], judges=5)
    assert [(look.outer_step, look.judged.judges.tolist()) for look in looks] == [(step, [8, 5]) for step in (0, 3, 6)]
    with pytest.raises(errors.ConfigError, match="judges of learned labels diverged, the first at step 3: "):
        lesson_of(monkeypatch, labels, [2.0, 1.0], judges=0)
    with pytest.raises(
        errors.ConfigError, match="^no student stayed finite in outer steps 1 to 3 .* seed 1; lower conf"
    ):
        lesson_of(monkeypatch, labels, [2.0, np.nan])
    labels[1, 2, 0] = np.nan
    with pytest.raises(
        errors.ConfigError, match="^learned labels are not finite; lower config.learned.outer_learning_"
    ):
        lesson_of(monkeypatch, labels, [2.0, 1.0])


@pytest.mark.parametrize(
    "changes, slots, told",
    [
        ({"window_steps": 5}, 6, "window_steps <= first_unroll_steps <= unroll_steps, got 5, 4, 8"),
        ({"first_unroll_steps": 9}, 6, "got 2, 9, 8"),
        ({}, 24, "24 of 24 training images, none is left to judge students by"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, slots, told):
    dataset = mock.Mock(spec=Dataset, train=range(tiny.IMAGES))
    with pytest.raises(errors.ConfigError, match=told):
        learning.check(config.Settings(learned=change(**changes)), dataset, [slots])
