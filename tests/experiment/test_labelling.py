"""Labels that belong to subsets, classes that are left out, ways to choose side by side, and both protocols at once."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_run as tiny

from jaxsoft import errors
from jaxsoft.console import Console
from jaxsoft.experiment import run
from jaxsoft.experiment.inputs.prepare import prepare
from jaxsoft.experiment.plan import checks, identity
from jaxsoft.experiment.plan import make as planning
from jaxsoft.experiment.store import folder
from jaxsoft.experiment.students import outcomes, waves
from jaxsoft.experiment.teach.experts import teach
from jaxsoft.training import fit

VIEWS = "teachers(2, epoch=3, views=5)"
TWO = {"teacher.experts": 2, "sweep.seed": (0,)}


@pytest.fixture(scope="module")
def data():
    return run.load(tiny.settings())


@pytest.fixture(scope="module")
def experts(data, kept_programs):
    return teach(data, tiny.settings(TWO).teacher)


def planned(changes, data, experts):
    settings = tiny.settings(TWO | changes)
    checks.check(settings)
    plan = planning.make(settings, data, experts.histories, identity.member_context(settings, data, experts))
    return settings, plan, prepare(plan, settings, data, experts)


def each(plan, material):
    """Every member with its recipe and its arrays."""
    for group, members in zip(plan.buckets, material.members):
        for j, i in enumerate(group.members):
            yield plan.members[i], group.recipe, jax.tree.map(lambda a, j=j: jnp.asarray(a[j]), members)


def trained(settings, plan, material):
    program, protocol = waves.wave_program(plan, settings), settings.protocol
    looks = []

    def look(seen):
        looks.append(jax.device_get(seen.reports))
        return waves.Next()

    found = waves.train_wave(program, plan, 0, material, None, look, protocol)
    return {o["position"]: o for o in found}, looks


@pytest.mark.parametrize("operation", ["", "|topk(2)"])
def test_a_student_of_views_learns_what_the_experts_say_about_the_very_pixels_it_sees(data, experts, operation):
    changes = {"sweep.ipc": (3,), "sweep.labels": (VIEWS + operation,), "student.augment": "dsa"}
    _, plan, material = planned(changes, data, experts)
    ((member, recipe, arrays),) = each(plan, material)
    assert recipe.views == 5 and recipe.batch == 16 and len(material.bank.rows) == 30 * 5
    networks = [experts.network(e, 3) for e in (0, 1)]
    bank = jax.tree.map(jnp.asarray, material.bank)
    seen = {}
    for t in (0, 1, 2, 3, 10, 11):  # two steps an epoch, and the views of epoch 0 come again in epoch 5
        batch = jax.jit(fit.batch_at, static_argnums=0)(recipe, bank, arrays, jnp.int32(t))
        logits = np.mean([teacher.logits(variables, batch.images) for teacher, variables in networks], 0)
        wanted = np.asarray(jax.nn.softmax(logits))
        if operation:
            wanted = np.where(wanted >= np.sort(wanted)[:, -2:-1], wanted, 0)
        real = np.asarray(batch.mask)
        np.testing.assert_allclose(batch.rows[real], wanted[real], atol=2e-5)
        seen.setdefault(t // 2, set()).update(image.round(4).tobytes() for image in np.asarray(batch.images)[real])
    assert seen[0] == seen[5] != seen[1]
    assert len(seen[0]) == 30


def test_students_of_views_train_and_say_so(data, experts):
    changes = {"sweep.ipc": (1, 2), "sweep.labels": ("hard", VIEWS), "sweep.seed": (0, 1)}
    settings, plan, material = planned(changes, data, experts)
    found, _ = trained(settings, plan, material)
    assert len(found) == 8 and all(o["bad_step"] < 0 for o in found.values())
    starts = {(m.ipc, m.seed): int(a.rows[0]) for m, _, a in each(plan, material) if m.labels == VIEWS}
    assert len(set(starts.values())) == 4  # each subset has labels of its own


def test_a_class_that_is_left_out_is_in_no_batch(data, experts):
    changes = {"sweep.ipc": (2,), "sweep.without": (-1, 4), "sweep.labels": ("teacher(epoch=3)",)}
    settings, plan, material = planned(changes, data, experts)
    (group,) = plan.buckets  # a smaller subset needs no program of its own
    by_class = {}
    for member, recipe, arrays in each(plan, material):
        slots = int(arrays.slots)
        classes = {m: set() for m in (4, -1)}
        for t in range(4):
            which, mask = fit.slots_at(recipe, arrays, jnp.int32(t))
            used = np.asarray(material.bank.images)[np.asarray(arrays.images)[np.asarray(which)[np.asarray(mask)]]]
            classes[member.without] |= {i.tobytes() for i in used}
        by_class[member.without] = slots, classes[member.without]
    assert by_class[-1][0] == 20 and by_class[4][0] == 18
    assert by_class[4][1] < by_class[-1][1] and len(by_class[-1][1] - by_class[4][1]) == 2
    fours = {i.tobytes() for i in data.train.images[data.train.labels == 4]}
    assert not by_class[4][1] & fours and by_class[-1][1] & fours
    found, _ = trained(settings, plan, material)
    row = outcomes.row_of(plan, found[1], {}, settings)
    assert row["without"] == 4 and outcomes.row_of(plan, found[0], {}, settings)["without"] is None
    accuracies = np.array(row["accuracy_by_class"].split(), float)
    images = np.bincount(data.test.labels)
    assert accuracies @ images / images.sum() == pytest.approx(row["test_accuracy"], abs=1e-3)


def test_ways_to_choose_stand_side_by_side(data, experts):
    changes = {
        "sweep.ipc": (2,),
        "sweep.select": ("random", "decile(0)", "hardest", "herding"),
        "sweep.labels": ("hard",),
    }
    settings, plan, material = planned(changes, data, experts)
    images = {m.select: set(np.asarray(a.images).tolist()) for m, _, a in each(plan, material)}
    assert len(images) == 4 and not images["decile(0)"] & images["hardest"]
    assert len(set(plan.keys)) == 4
    alone = planned(changes | {"sweep.select": (), "select": "hardest"}, data, experts)
    assert set(alone[1].keys) == {plan.keys[2]}  # however it is said, it is the same student


def test_both_protocols_at_once_leave_the_sealed_numbers_as_they_are(data, experts):
    changes = {"sweep.seed": (0, 1), "student.learning_rate": 1.0, "student.evaluations": 6}
    sealed, _ = trained(*planned(changes, data, experts))
    settings, plan, material = planned(changes | {"protocol": "both"}, data, experts)
    both, looks = trained(settings, plan, material)
    for g, group in enumerate(plan.buckets):
        for j, i in enumerate(group.members):
            for name in ("val_accuracy", "test_accuracy", "accuracy_by_class"):
                assert both[i][name] == sealed[i][name]
            assert both[i]["paper_accuracy"] == max(report[g].accuracy[j, 1] for report in looks)
            assert both[i]["paper_accuracy"] >= both[i]["test_accuracy"] - 1e-6
            assert sealed[i]["paper_accuracy"] is None
    assert any(o["paper_accuracy"] > o["test_accuracy"] + 1e-6 for o in both.values())


def test_subjects_may_be_counted_from_the_worst_class(data, experts):
    changes = {"subjects": "accuracy", "sweep.without": (-1, 0), "sweep.labels": ("teacher(epoch=3)|drop_class(9)",)}
    settings = tiny.settings(TWO | changes)
    order = experts.class_order(data).tolist()
    plan = planning.make(settings, data, experts.histories, {}, order)
    assert {m.labels for m in plan.members} == {f"teacher(epoch=3)|drop_class({order[9]})"}
    assert {m.without for m in plan.members} == {-1, order[0]}


def test_a_class_that_is_not_there_is_refused(data):
    settings = tiny.settings({"sweep.without": (10,)})
    with pytest.raises(errors.ConfigError, match=r"^config\.sweep\.without=10 but classes are 0\.\.9; -1: none$"):
        checks.check_data(settings, data)


def test_learned_labels_are_those_of_the_students_own_subset(data, experts):
    learned = {"looks": 1, "look_outer_steps": 2, "unroll_steps": 3, "first_unroll_steps": 2, "window_steps": 2}
    learned |= {"students": 1, "judges": 1, "meta_batch": 16, "margin": 2.0, "outer_learning_rate": 0.2}
    changes = {f"learned.{name}": value for name, value in learned.items()}
    changes |= {"sweep.labels": ("hard", "learned", "learned|topk(1)"), "sweep.ipc": (1,), "sweep.seed": (0, 1)}
    _, plan, material = planned(changes, data, experts)
    bank = np.asarray(material.bank.rows)
    rows = {(m.seed, m.labels): bank[np.asarray(a.rows)] for m, _, a in each(plan, material)}
    for seed in (0, 1):
        soft, hard = rows[seed, "learned"], rows[seed, "hard"]
        assert soft.shape == hard.shape == (10, 10) and (soft.argmax(1) == hard.argmax(1)).all()
        np.testing.assert_allclose(soft.sum(1), 1, atol=1e-5)
        np.testing.assert_array_equal(rows[seed, "learned|topk(1)"], np.where(hard == 1, soft, 0))
        start = np.exp(2) / (np.exp(2) + 9)
        assert np.abs(soft - np.where(hard == 1, start, (1 - start) / 9)).max() > 0.01  # something was learned
    assert (rows[0, "learned"] != rows[1, "learned"]).any()


def test_the_key_of_learned_labels_has_whose_training_they_are_learned_through(data, experts):
    def keys(**changes):
        changed = {name.replace("_of_", "."): value for name, value in changes.items()}
        settings = tiny.settings(TWO | {"sweep.labels": ("learned",), "sweep.model": ("mlp(hidden=8)",)} | changed)
        return planning.make(settings, data, experts.histories, identity.member_context(settings, data, experts)).keys

    assert not set(keys()) & set(keys(student_of_model="mlp(hidden=4)"))
    assert not set(keys()) & set(keys(learned_of_students=9))
    assert keys() == keys(learned_of_judges=9)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"learned.optimizer": "sdg"}, r"^config\.learned\.optimizer: unknown optimizer 'sdg'"),
        ({"learned.augment": "flp"}, r"^config\.learned\.augment: unknown augmentation 'flp'"),
        ({"student.model": "mpl", "sweep.model": ("mlp",)}, r"^config\.student\.model: unknown model 'mpl'"),
    ],
)
def test_what_learning_cannot_do_is_said_before_teachers_are_trained(change, message):
    with pytest.raises(errors.ConfigError, match=message):
        checks.check(tiny.settings({"sweep.labels": ("learned",)} | change))


def test_a_run_goes_on_with_the_order_of_subjects_and_the_precision_that_it_began_with(data, experts, tmp_path):
    """Another machine could see two classes the other way round, and would choose another precision."""
    settings = tiny.settings(TWO | {"subjects": "accuracy", "sweep.without": (-1, 0)})
    with folder.RunFolder(tmp_path) as place:
        assert run._begun(settings, data, place) == settings  # nothing has begun
        begun = run.decide(settings, data, experts, place, Console())
        with mock.patch.object(type(experts), "class_order", side_effect=AssertionError("ordered anew")):
            assert run.decide(settings, data, experts, place, Console()) == begun
        altered = place.read_json("plan.json")
        for group in altered["groups"]:
            group["recipe"]["precision"] = "bfloat16"
        place.write_json("plan.json", altered)
    with folder.RunFolder(tmp_path) as place:
        assert run._begun(settings, data, place).precision == "bfloat16"
    assert begun.subjects == tuple(experts.class_order(data).tolist())
