"""Teachers that are asked at every step: their labels are those of the pixels that the student sees, and only of these."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_run as tiny

import jaxsoft
from jaxsoft import errors
from jaxsoft.experiment import run
from jaxsoft.experiment.inputs.prepare import prepare
from jaxsoft.experiment.plan import checks, identity
from jaxsoft.experiment.plan import make as planning
from jaxsoft.experiment.students import waves
from jaxsoft.experiment.teach.experts import teach
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import cost, ensemble, fit
from jaxsoft.training.recipe import Recipe

EPOCHS = 4  # of students: 30 images in batches of 16, so two steps each
BASE = {"teacher.experts": 2, "teacher.models": ("mlp(hidden=8)", "mlp(hidden=4)")}
BASE |= {"sweep.seed": (0,), "sweep.ipc": (3,), "student.augment": "dsa", "student.steps": 2 * EPOCHS}
BASE |= {"student.evaluations": 4}
SEE = jax.jit(fit.batch_at, static_argnums=0)
PLAIN = "teachers(2, epoch=3, online=true)"
STORED = f"teachers(2, epoch=3, views={EPOCHS})"
ONLINE = "teachers(2, epoch=3, mix=cutmix, online=true)"


@pytest.fixture(scope="module")
def data():
    return run.load(tiny.settings(BASE))


@pytest.fixture(scope="module")
def experts(data, kept_programs):
    return teach(data, tiny.settings(BASE).teacher)


@pytest.fixture(scope="module")
def planned(data, experts):
    """A function from label specs and changed settings to a plan and what its students read."""

    def make(*labels, **changes):
        changed = {name.replace("__", "."): value for name, value in changes.items()}
        settings = checks.check(tiny.settings(BASE | {"sweep.labels": labels} | changed))
        plan = planning.make(settings, data, experts.histories, identity.member_context(settings, data, experts))
        return settings, plan, prepare(plan, settings, data, experts)

    return make


def batches(plan, material, steps=tuple(range(2 * EPOCHS))):
    """What each member sees at some steps, with the entries that are real."""
    bank = jax.tree.map(jnp.asarray, material.bank)
    for group, members in zip(plan.buckets, material.members):
        for j in range(len(group.members)):
            own = jax.tree.map(lambda a, j=j: jnp.asarray(a[j]), members)
            seen = [jax.device_get(SEE(group.recipe, bank, own, jnp.int32(t))) for t in steps]
            yield [(b.images[b.mask], b.rows[b.mask]) for b in seen]


def trained(settings, plan, material, **resume):
    """All students after each chunk, copied to the host."""
    program = waves.wave_program(plan, settings)
    told = ensemble.fit(program, material.bank, material.evals, material.members, plan.chunks, **resume)
    return [jax.tree.map(np.array, (students, reports)) for _, students, reports in told]


def said(experts, images):
    networks = [experts.network(e, 3) for e in (0, 1)]
    return np.mean([recipe.logits(variables, jnp.asarray(images)) for recipe, variables in networks], 0)


@pytest.mark.parametrize(("mix", "operations"), [("cutmix", ""), ("mixup(0.3)", "|temperature(2)|topk(3)")])
def test_of_views_they_are_the_labels_that_would_be_stored(planned, mix, operations):
    """Views as many as epochs, so that each is seen once: the same pixels and the same labels, to rounding."""
    sources = (f'teachers(2, epoch=3, {how}, mix="{mix}"){operations}' for how in (f"views={EPOCHS}", "online=true"))
    kept, asked = batches(*planned(*sources)[1:])
    for (images, rows), (same, found) in zip(kept, asked, strict=True):
        np.testing.assert_allclose(images, same, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found, rows, atol=2e-5)


def test_without_a_mix_they_are_of_the_augmentation_that_every_student_sees(planned, experts):
    hard, asked = batches(*planned("hard", PLAIN)[1:])
    for (images, _), (same, rows) in zip(hard, asked, strict=True):
        np.testing.assert_allclose(images, same, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(rows, jax.nn.softmax(said(experts, images)), atol=2e-5)
    assert (asked[0][0] != asked[2][0]).any()


def test_a_loss_of_logits_is_given_logits_and_operations_may_read_the_class(planned, experts):
    ((images, rows), *_), *_ = batches(*planned(PLAIN, student__loss="mse")[1:], steps=(0,))
    np.testing.assert_allclose(rows, said(experts, images), atol=2e-5)
    hard, asked = batches(*planned("hard", PLAIN + "|swap(1)|hard")[1:])
    assert all((one[1] == other[1]).all() for one, other in zip(hard, asked))


@pytest.fixture(scope="module")
def together(planned):
    """Students of stored and of online labels, and those who see no views: after each of four chunks."""
    settings, plan, material = planned(STORED, ONLINE, PLAIN, sweep__seed=(0, 1))
    return settings, plan, material, trained(settings, plan, material)


def test_students_train_as_on_stored_labels(together):
    *_, material, history = together
    (kept, asked, _), reports = history[-1]
    for one, other in zip(jax.tree.leaves(kept.state.variables), jax.tree.leaves(asked.state.variables)):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(reports[0].loss, reports[1].loss, rtol=1e-5)
    assert len(material.bank.rows) == 2 * 30 * EPOCHS  # of the stored ones alone, for two subsets
    assert list(material.bank.teachers) == ["0@3", "1@3"]


def test_alone_as_among_others_and_resumed_as_never_stopped(planned, together):
    *run_of, history = together
    (alone,), _ = trained(*planned(PLAIN, sweep__seed=(1,)))[-1]
    for one, other in zip(jax.tree.leaves(alone.state), jax.tree.leaves(history[-1][0][2].state)):
        np.testing.assert_allclose(one[0], other[1], atol=1e-5)
    resumed = trained(*run_of, students=history[1][0], done=2)
    jax.tree.map(np.testing.assert_array_equal, resumed, history[2:])


def test_who_asks_nobody_has_no_trace_of_teachers(planned):
    """The bank, and so the compiled text of members without online labels, is what it was."""
    _, plan, material = planned("hard", "teacher(epoch=3)")
    assert material.bank.teachers is None and material.bank.classes is None
    assert all(bucket.recipe.asked == {} and "online" not in bucket.recipe.record() for bucket in plan.buckets)


def test_each_online_spec_is_a_bucket_that_is_read_back(planned):
    _, plan, _ = planned("hard", PLAIN, ONLINE, sweep__seed=(0, 1))
    assert [len(bucket.members) for bucket in plan.buckets] == [2, 2, 2]
    for bucket, stored in zip(plan.buckets, plan.as_json()["groups"]):
        assert Recipe(**stored["recipe"]) == bucket.recipe
    assert [bucket.recipe.teachers for bucket in plan.buckets[1:]] == ["mlp(hidden=8)|mlp(hidden=4)"] * 2


def test_the_plan_counts_teachers_once_and_no_rows(planned, data):
    settings, with_them, _ = planned(PLAIN, ONLINE, sweep__seed=(0, 1))
    _, without, _ = planned("hard", sweep__seed=(0, 1))
    own = sum(4 * (64 * width + width + 10 * width + 10) for width in (8, 4))
    rows = 2 * 30 * 10 * 4
    found = planning.shared_bytes(settings, with_them.members, data)
    assert found == without.shared_bytes - rows + own


@pytest.mark.parametrize(("teacher", "student"), [(2048, 4), (512, 512)])
def test_memory_is_near_what_xla_plans(teacher, student):
    """Of a teacher that is wide beside its student, and of one that is not: the student has its memory after it."""
    recipe = Recipe(f"mlp(hidden={student})", 10, 64, 64, online="teacher(epoch=1, online=true)", mix="none")
    recipe, shape, block = recipe._replace(teachers=f"mlp(hidden={teacher})"), (8, 8, 1), 2

    def abstract(*shape, kind: Any = jnp.float32) -> Any:
        return jax.ShapeDtypeStruct(shape, kind)

    def start(recipe):
        return jax.eval_shape(lambda: fit.initialize(recipe, shape, jnp.int32(0)))

    teachers = {name: start(one).variables for name, one in recipe.asked.items()}
    images, slots = abstract(64, *shape, kind=jnp.uint8), abstract(block, 64, kind=jnp.int32)
    bank = fit.Bank(images, abstract(1), abstract(1), abstract(0, 10), None, teachers)
    whole, real = abstract(block, kind=jnp.int32), abstract(block)
    members = fit.Member(whole, slots, slots, whole, real, real, whole, whole)
    students = jax.tree.map(lambda a: abstract(block, *a.shape, kind=a.dtype), start(recipe))

    def train(bank, members, students):
        return jax.vmap(lambda m, s: fit.train_chunk(recipe, bank, m, s, jnp.int32(0), 2))(members, students)

    analysis: Any = jax.jit(train).lower(bank, members, students).compile().memory_analysis()
    planned = analysis.temp_size_in_bytes
    predicted = cost.training_bytes(recipe, shape, block, 64)
    assert planned / 1.2 < predicted < planned * 1.2, (predicted, planned)


def test_a_key_knows_the_code_of_a_mix_that_is_not_the_usual_one():
    settings = tiny.settings(BASE | {"sweep.labels": ("teacher(epoch=3, views=4, mix=mixup)", ONLINE, STORED, PLAIN)})
    told = [set(identity.code_of(settings, member)) for member in checks.sweep.expand(settings)]
    assert [{name for name in names if "mixing" in name} for names in told] == [
        {"mixing mixup"},
        {"mixing cutmix"},
        set(),
        set(),
    ]


@pytest.mark.parametrize(
    "labels, message",
    [
        ("teacher(epoch=3, online=true, views=4)", "give one of views and online, got 'views=4 and online=true'"),
        ("teacher(epoch=3, online=true)|shuffle", "take no operation that draws once for an image, got 'shuffle'"),
        (
            "teacher(epoch=3, online=true)|topk(2)|stored(int8)",
            "asked for at every step and never stored, got 'stored'",
        ),
        ("teacher(epoch=3, mix=mixup)", "mix is of views, give views= or online=true, got 'mix=mixup'"),
        ("teacher(epoch=3, views=4, mix=cutmx)", "unknown way to mix 'cutmx'"),
        ("teacher(epoch=3, views=4, mix='mixup(1000)')", r"alpha must be in \[0.01, 100\]"),
        ("teacher(epoch=3, online=2)", "online expects bool, got 2"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_the_plan(labels, message):
    with pytest.raises(errors.ConfigError, match=rf"^config\.sweep\.labels: .*{message}") as problem:
        checks.check(tiny.settings(BASE | {"sweep.labels": (labels,)}))
    assert "\n" not in str(problem.value)


def test_what_is_usual_is_not_told():
    for written, told in (
        ("teacher(epoch=3, views=4, mix=cutmix)", "teacher(epoch=3, views=4)"),
        ("teacher(epoch=3, online=true, mix=none)", "teacher(epoch=3, online=true)"),
        ('teachers(2, epoch=3, views=4, mix="mixup(alpha=0.8)")', "teachers(2, epoch=3, views=4, mix=mixup)"),
        ('teacher(views=4, mix="mixup(1)")', "teacher(views=4, mix='mixup(alpha=1.0)')"),
    ):
        assert str(LabelSpec.parse(written)) == told and str(LabelSpec.parse(told)) == told


def test_there_are_no_rows_to_look_at_or_to_export(data, experts, tmp_path):
    student = jaxsoft.Student(model="mlp(hidden=8)", batch=16, steps=4, learning_rate=0.1, evaluations=1)
    results = jaxsoft.train_students(data, experts, student, jaxsoft.Sweep(ipc=(1,), labels=(PLAIN,)))
    with pytest.raises(errors.ConfigError, match=r"^there are no rows: teachers\(.*\) was asked at every step$"):
        results.labels(0)
    with pytest.raises(errors.ConfigError, match="are asked of experts at every step; take --codec=none"):
        results.export(0, tmp_path / "taken")
    results.export(0, tmp_path / "taken", codec="none", images=True)
    told = jaxsoft.load_export(tmp_path / "taken")
    assert told.labels == PLAIN and told.record["reached"]["test_accuracy"] == results[0]["test_accuracy"]
    assert not list((tmp_path / "taken").glob("*_best.pt"))  # tensors would need a label for each image
