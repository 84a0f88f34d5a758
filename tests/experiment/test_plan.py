"""The plan: buckets, waves, halving, bytes and shares, by hand; and what it refuses."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from jaxsoft import config, errors, target, types
from jaxsoft.experiment.machine import memory
from jaxsoft.experiment.plan import checks, identity
from jaxsoft.experiment.plan import make as plan
from jaxsoft.experiment.plan.plan import Plan, PlannedBucket
from jaxsoft.experiment.plan.stored import repeated
from jaxsoft.experiment.plan.sweep import MemberSpec, to_text
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.training import cost
from jaxsoft.training.recipe import Recipe

CLASSES, EACH = 3, 8
CONTEXT = {"data": "ab"}
HISTORY = [{"epoch": e, "val_accuracy": 0.1 * e, "label_entropy": 1.0 - 0.1 * e} for e in range(6)]


@pytest.fixture(scope="module")
def dataset():
    labels = np.repeat(np.arange(CLASSES, dtype=np.int32), EACH)
    split = types.Split(np.zeros((len(labels), 2, 2, 1), np.uint8), labels)
    return types.Dataset("made", ("cat", "dog", "owl"), split, split, split, "f" * 64, "nowhere", "none")


def settings(**groups):
    given = {
        "teacher": {"model": "mlp(hidden=4)", "epochs": 5},
        "student": {"model": "mlp(hidden=4)", "steps": 10, "batch": 4, "evaluations": 2},
        "sweep": {"ipc": (1, 4), "labels": ("hard", "teacher(epoch=5)"), "seed": (0, 1, 2)},
        "compute": {"block": 2},
    }
    for name, group in groups.items():
        given[name] = given.get(name, {}) | group if isinstance(group, dict) else group
    return config.read(given)


def refusal(function, *args, **kwargs):
    with pytest.raises(errors.ConfigError) as caught:
        function(*args, **kwargs)
    return str(caught.value)


def by_hand(counts=(5, 3), waves=(((0, 3), (0, 2)), ((3, 5), (2, 3))), steps=(10, 6), block=2, chunks=4):
    """A plan of two buckets; nothing in it was computed."""
    recipes = (Recipe("mlp(hidden=4)", CLASSES, 3, 3), Recipe("mlp(hidden=4)", CLASSES, 6, 4))
    ends = np.cumsum((0, *counts)).tolist()
    buckets = tuple(
        PlannedBucket(r, tuple(range(a, b)), s, block, r.batch) for r, a, b, s in zip(recipes, ends, ends[1:], steps)
    )
    members = tuple(
        MemberSpec(1, "hard", i, i, "mlp(hidden=4)", 0.1, 0.0, steps=steps[i >= counts[0]], epochs=0)
        for i in range(sum(counts))
    )
    return Plan(members, tuple(m.key("{}") for m in members), buckets, waves, chunks, (2, 2, 1), 1000, devices=1)


def trained(ranges):
    """How often each member of each group is in a wave."""
    counts = [np.zeros(max(w[g][1] for w in ranges), int) for g in range(len(ranges[0]))]
    for wave in ranges:
        for count, (start, stop) in zip(counts, wave):
            count[start:stop] += 1
    return [count.tolist() for count in counts]


def test_members_of_one_shape_share_a_bucket(dataset):
    made = plan.make(settings(), dataset, [HISTORY], CONTEXT)
    assert len(made.members) == 12
    assert [made.members[i].ipc for g in made.buckets for i in g.members] == [1] * 6 + [4] * 6
    assert [(g.recipe.slots, g.recipe.batch, g.steps) for g in made.buckets] == [(3, 3, 10), (12, 4, 10)]
    assert sorted(i for g in made.buckets for i in g.members) == list(range(12))
    assert len(set(made.keys)) == 12
    own = [{"student": identity.of_student(CONTEXT, m), "code": identity.code_of(settings(), m)} for m in made.members]
    assert made.keys == tuple(m.key(to_text({**CONTEXT, **told})) for m, told in zip(made.members, own))


def test_what_may_vary_within_a_bucket_does_not_split_it(dataset):
    varied = settings(sweep={"ipc": (2,), "learning_rate": (0.1, 0.2), "weight_decay": (0.0, 0.1)})
    made = plan.make(varied, dataset, [HISTORY], CONTEXT)
    assert [(len(g.members), g.steps) for g in made.buckets] == [(24, 10)]
    models = settings(sweep={"ipc": (2,), "model": ("mlp(hidden=4)", "mlp(hidden=5)")})
    assert [len(g.members) for g in plan.make(models, dataset, [HISTORY], CONTEXT).buckets] == [6, 6]


def test_a_member_is_looked_at_as_often_beside_longer_ones_as_alone(dataset):
    made = plan.make(settings(sweep={"ipc": (2,), "steps": (5, 9)}), dataset, [HISTORY], CONTEXT)
    assert [(len(g.members), g.steps) for g in made.buckets] == [(6, 5), (6, 9)]
    assert [b.chunk_steps for b in made.buckets_of()] == [-(-5 // made.chunks), -(-9 // made.chunks)]


def test_waves_that_a_budget_cuts_have_blocks_that_fit_them(dataset):
    small = plan.make(settings(compute={"memory_gb": 1e-9}), dataset, [HISTORY], CONTEXT)
    assert len(small.waves) == 6
    assert {b.members for b in small.buckets_of()} == {1 * small.devices}


def test_waves_are_not_cut_below_one_student_of_each_shape_on_each_device(dataset, monkeypatch):
    """A bucket has a place on every device whatever a wave brings, so more waves would hold as much and train less."""
    monkeypatch.setattr(jax, "device_count", lambda: 4)
    made = plan.make(settings(compute={"memory_gb": 1e-9}), dataset, [HISTORY], CONTEXT)
    assert made.waves == (((0, 3), (0, 3)), ((3, 6), (3, 6)))
    assert {b.members for b in made.buckets_of()} == {made.devices} == {4}


def test_epochs_become_steps_of_the_subset(dataset):
    made = plan.make(settings(student={"steps": 0, "epochs": 7}), dataset, [HISTORY], CONTEXT)
    assert [g.steps for g in made.buckets] == [7 * 1, 7 * 3]  # 3 slots in a batch of 3, 12 slots in batches of 4


def test_buckets_are_the_widest_range_in_whole_blocks_and_chunks():
    buckets = by_hand().buckets_of()
    assert [(b.members, b.block, b.chunk_steps) for b in buckets] == [(4, 2, 3), (2, 2, 2)]
    spread = dataclasses.replace(by_hand(), devices=3).buckets_of()
    assert [b.members for b in spread] == [6, 6]  # a block for each device


@pytest.mark.parametrize(
    "platform, most", [("cpu", 90 + 0.65 * 50), ("gpu", 90 - 60), ("tpu", 90 - 60)], ids=["cpu", "gpu", "tpu"]
)
def test_buckets_that_need_most_come_before_others_have_second_copies(platform, most):
    with target.aimed(target.Target(platform)):
        assert cost.at_once([20, 90, 30], [40, 0, 20]) == pytest.approx(int(most))
        assert cost.at_once([20, 90, 30], [0, 0, 0]) == pytest.approx(int(90 + 0.65 * 50 * (platform == "cpu")))


def test_an_earlier_wave_than_a_halving_keeps_its_width():
    halved = by_hand().halve(1)
    assert [(b.members, b.block) for b in halved.buckets_of(0)] == [(3, 1), (2, 1)]
    assert halved.buckets_of() == halved.buckets_of(1) == halved.buckets_of(2)
    assert [(b.members, b.block) for b in halved.buckets_of()] == [(1, 1), (1, 1)]


def test_useful_share_counts_padding_of_members_steps_and_batches():
    useful = 5 * 10 * 3 + 3 * 6 * 4 * (6 / 8)  # the second group's epoch is 6 images in two batches of 4
    computed = 2 * (4 * 3 * 4 * 3 + 2 * 2 * 4 * 4)  # waves x (members x chunk steps x chunks x batch)
    assert by_hand().useful_share() == pytest.approx(useful / computed, rel=1e-12)


def test_bytes_are_those_of_all_states_and_of_the_largest_block():
    made = by_hand()
    state = [cost.state_bytes(g.recipe, (2, 2, 1)) for g in made.buckets]
    block = [cost.training_bytes(g.recipe, (2, 2, 1), 2, g.tile) for g in made.buckets]
    looked_at = [cost.evaluation_bytes(g.recipe, (2, 2, 1), 6, made.evaluation_batch()) for g in made.buckets]
    assert made.state_bytes() == 4 * (int(1.85 * state[0]) + 8 * 3) + 2 * (int(1.85 * state[1]) + 8 * 6)
    assert made.temporary_bytes() == max(block + looked_at) > 0
    assert made.bytes() == made.state_bytes() + 1000 + made.temporary_bytes()
    two = dataclasses.replace(made, devices=2)
    assert two.temporary_bytes() >= 2 * max(block)
    assert two.bytes() == two.state_bytes() + 2000 + two.temporary_bytes()


def test_one_wave_when_there_is_room(dataset):
    made = plan.make(settings(), dataset, [HISTORY], CONTEXT)
    assert made.waves == (((0, 6), (0, 6)),)


def test_the_budget_cuts_equal_waves(dataset):
    whole = plan.make(settings(), dataset, [HISTORY], CONTEXT)
    budget = (whole.temporary_bytes() + whole.shared_bytes + 0.4 * whole.state_bytes()) / 1e9  # 2.5 waves' worth
    made = plan.make(settings(compute={"memory_gb": budget}), dataset, [HISTORY], CONTEXT)
    assert made.waves == (((0, 2), (0, 2)), ((2, 4), (2, 4)), ((4, 6), (4, 6)))
    assert made.bytes() <= 1e9 * budget < whole.bytes()
    assert made.members == whole.members  # how, never what
    assert made.keys == whole.keys


def test_a_budget_for_nothing_trains_one_student_of_each_shape_at_a_time(dataset):
    made = plan.make(settings(compute={"memory_gb": 1e-9}), dataset, [HISTORY], CONTEXT)
    assert len(made.waves) == 6
    assert trained(made.waves) == [[1] * 6, [1] * 6]


@pytest.mark.parametrize("counts", [(1, 1), (5, 3), (1, 8), (7, 7), (13, 2)])
def test_halving_keeps_every_member_once_until_nothing_is_left_to_halve(counts):
    """Waves before the one that failed are finished and stay as they are."""
    now = by_hand(counts, waves=tuple(tuple((n * w // 2, n * (w + 1) // 2) for n in counts) for w in range(2)))
    rounds = 0
    with pytest.raises(errors.ConfigError, match=r"config\.student\.batch .* config\.student\.model") as caught:
        while True:
            smaller = now.halve(1)
            assert smaller.waves[:1] == now.waves[:1]
            assert smaller.since == 1
            assert trained(smaller.waves) == [[1] * n for n in counts]
            widths = [[max(b - a for a, b in (w[g] for w in p.waves[1:])) for g in (0, 1)] for p in (now, smaller)]
            assert all(after <= before for before, after in zip(*widths)) and widths[0] != widths[1]
            assert all(
                a.members <= b.members and a.block <= b.block for a, b in zip(smaller.buckets_of(), now.buckets_of())
            )
            assert all(g.block <= max(1, w) for g, w in zip(smaller.buckets, widths[1]))
            now, rounds = smaller, rounds + 1
    assert all(b - a <= 1 for wave in now.waves[1:] for a, b in wave)
    assert rounds == int(np.ceil(np.log2(max(-(-n // 2) for n in counts))))
    assert "\n" not in str(caught.value)


def test_halving_ends_where_each_device_has_one_student_of_each_shape():
    """A bucket has a place on every device: half as many members would hold as much, in twice the waves."""
    counts = 12, 3
    now = dataclasses.replace(by_hand(counts, waves=(tuple((0, n) for n in counts),), block=1), devices=4)
    held = [now.state_bytes()]
    with pytest.raises(errors.ConfigError, match="one student of each shape at a time on each device; lower"):
        while True:
            now = now.halve(0)
            held.append(now.state_bytes())
    assert [len(now.waves), [b.members for b in now.buckets_of()]] == [4, [4, 4]]
    assert held == sorted({*held}, reverse=True)


@pytest.mark.parametrize("width, block, devices, wanted", [(9, 8, 2, 10), (12, 8, 4, 12), (8, 8, 2, 8), (9, 8, 1, 16)])
def test_blocks_on_several_devices_are_even(width, block, devices, wanted):
    """As many blocks, with fewer idle; on one device plans stay as they were."""
    whole = by_hand((width * devices, 1), waves=(((0, width * devices), (0, 1)),), block=block)
    made = plan.cut(dataclasses.replace(whole, devices=devices), 10**12)
    assert made.buckets_of()[0].members == wanted * devices


def test_the_shapes_survive_the_file(dataset, tmp_path):
    made = plan.make(settings(), dataset, [HISTORY], CONTEXT)
    halved = made.halve(0).halve(1).halve(1)
    assert (halved.buckets[0].block, halved.since) == (1, 1)
    stored = json.loads(json.dumps(halved.as_json()))
    assert repeated(made, stored, RunFolder(tmp_path)) == halved
    assert [m["member"] for m in stored["members"]] == list(made.keys)
    assert stored["groups"][0]["recipe"]["model"] == "mlp(hidden=4)"


def test_a_plan_with_other_members_is_refused(dataset, tmp_path):
    made = plan.make(settings(), dataset, [HISTORY], CONTEXT)
    other = plan.make(settings(), dataset, [HISTORY], {"data": "cd"})
    with pytest.raises(
        errors.CheckpointError, match="^the stored plan has other members; choose another --workdir, or "
    ):
        repeated(made, other.as_json(), RunFolder(tmp_path))


def test_the_plan_depends_on_nothing_but_its_arguments(dataset):
    one, two = (plan.make(settings(compute={"block": 0}), dataset, [HISTORY], CONTEXT) for _ in range(2))
    assert one == two


def test_an_accuracy_becomes_an_epoch_once_there_are_experts(dataset):
    named = settings(sweep={"labels": ("teacher(accuracy=0.3)", "teacher(epoch=3)")})
    assert {m.labels for m in plan.make(named, dataset, [HISTORY], CONTEXT).members} == {"teacher(epoch=3)"}
    before = plan.make(named, dataset, None, CONTEXT)
    assert {m.labels for m in before.members} == {"teacher(accuracy=0.3)", "teacher(epoch=3)"}


CLOSEST = "closest: {} (all of them: {})"


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (
            {"student": {"epochs": 3}},
            "config.student needs exactly one of steps and epochs above 0, got steps=10, epochs=3",
        ),
        ({"student": {"steps": 0}}, "config.student needs exactly one of steps and epochs above 0, got steps=0, epochs=0"),
        ({"teacher": {"steps": 3}}, "config.teacher needs exactly one of steps and epochs above 0, got steps=3, epochs=5"),
        ({"teacher": {"model": "mpl"}}, "config.teacher.model: unknown model 'mpl'; closest: mlp, "),
        ({"student": {"model": "mlp(hiden=3)"}}, "config.student.model: mlp(hiden=3) in 'mlp(hiden=3)': "),
        ({"sweep": {"model": ("mlp", "mlp(0)")}}, "config.sweep.model: mlp: hidden expects int >= 1, got 0"),
        ({"student": {"optimizer": "adam"}}, "config.student.optimizer: unknown optimizer 'adam'; closest: adamw, sgd "),
        ({"teacher": {"schedule": "cos"}}, "config.teacher.schedule: unknown schedule 'cos'; closest: cosine, "),
        ({"student": {"augment": "das"}}, "config.student.augment: unknown augmentation 'das'; closest: dsa, "),
        ({"select": "randm"}, "config.select: unknown selection 'randm'; closest: random, "),
        ({"select": "decile"}, "config.select: decile in 'decile': missing a required argument: 'i'; usage: decile(i: int)"),
        ({"data": {"normalize": "zac"}}, "config.data.normalize: unknown normalization 'zac'; closest: zca, "),
        ({"data": {"normalize": "zca(-1)"}}, "config.data.normalize: zca expects regularization > 0, got -1.0"),
        ({"sweep": {"labels": ("teacher(epoch=6)",)}}, "label spec 'teacher(epoch=6)' asks for epoch 6; "
         "config.teacher.epochs is 5, the largest possible"),
        ({"sweep": {"labels": ("teachers(2, epoch=1)",)}}, "label spec 'teachers(2, epoch=1)' needs 2 experts; "
         "config.teacher.experts is 1"),
        ({"sweep": {"labels": ("teacher(epoch=1)|tokp(3)",)}}, "config.sweep.labels: unknown label operation 'tokp'; "),
    ],
)  # fmt: skip
def test_settings_are_refused_before_any_data_is_read(groups, message):
    assert refusal(checks.check, settings(**groups)).startswith(message)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"sweep": {"ipc": (1, 9)}}, "config.sweep.ipc: ipc=9 but class 0 (cat) has 8 train images; the largest possible is 8"),
        (
            {"sweep": {"labels": ("teacher(epoch=1)|topk(4)",)}},
            "config.sweep.labels: topk: k must be in 1..3, the number of classes, got 4 (in 'teacher(epoch=1)|topk(4)')",
        ),
        ({"select": "decile(10)"}, "config.select: decile expects i in 0..9, got 10"),
        ({"select": "decile(0)"}, "config.select: ipc=4 but decile 0 of class 0 has 1 train images; the largest "
         "possible is 1"),
        ({"student": {"model": "convnet(depth=2)"}}, "config.student.model: convnet: depth=2 halves the image 2 times"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_data_is_refused_before_training(dataset, groups, message):
    checks.check(settings(**groups))
    assert refusal(checks.check_data, settings(**groups), dataset).startswith(message)
    assert refusal(plan.make, settings(**groups), dataset, None, CONTEXT).startswith(message)


def test_calls_are_cut_short_on_several_cpu_devices(dataset, monkeypatch):
    """There XLA keeps memory of every step of a block until a call ends."""
    whole = plan.make(settings(), dataset, [HISTORY], CONTEXT)
    monkeypatch.setattr(plan, "_MOST_BLOCK_STEPS", 10)
    assert plan.make(settings(), dataset, [HISTORY], CONTEXT).waves == whole.waves  # one device keeps nothing
    monkeypatch.setattr(jax, "device_count", lambda: 2)
    made = plan.make(settings(), dataset, [HISTORY], CONTEXT)
    # Six members of each of two buckets, in blocks of two on each of two devices: two blocks of 5 steps in each bucket.
    assert len(made.waves) == 2 and trained(made.waves) == [[1] * 6, [1] * 6]
    assert made.keys == whole.keys


@pytest.mark.parametrize(
    "platform, budget, of_one, blocks",
    [
        ("cpu", 1, (10, 20), [8, 8]),
        ("gpu", 320, (10, 20), [8, 8]),
        ("gpu", 140, (10, 20), [4, 2]),
        ("gpu", 150, (10, 100), [8, 1]),
    ],
)
def test_an_accelerators_blocks_are_halved_until_half_of_the_budget_is_left(
    monkeypatch, platform, budget, of_one, blocks
):
    """The greediest first, and none more once that is a single member: the others need less."""
    bytes_of = lambda recipe, shape, block, *rest: of_one[recipe.slots == 6] * block  # noqa: E731
    monkeypatch.setattr(plan.cost, "training_bytes", bytes_of)
    with target.aimed(target.Target(platform)):
        made = plan._narrowed(by_hand(block=8), budget)
    assert [bucket.block for bucket in made.buckets] == blocks


def test_what_no_machine_holds_is_refused_with_bytes(dataset, monkeypatch):
    monkeypatch.setattr(memory, "most_bytes", lambda: 10)
    with pytest.raises(errors.ConfigError, match=r"model: one such network takes .* GB, and there are .* GB of memory"):
        plan.make(settings(), dataset, [HISTORY], CONTEXT)
    monkeypatch.setattr(checks, "require_memory", lambda *_: None)
    with pytest.raises(
        errors.ConfigError, match=r"one student of each shape at a time takes about .* GB, and there are"
    ):
        plan.make(settings(), dataset, [HISTORY], CONTEXT)


def test_too_many_images_are_refused_with_what_holds_them(dataset, monkeypatch):
    monkeypatch.setattr(plan, "shared_bytes", lambda *_: 10**15)
    with pytest.raises(
        errors.ConfigError, match=r"label rows of all take .*,000.0 GB of it: take a part of config.sweep.ipc"
    ):
        plan.make(settings(), dataset, [HISTORY], CONTEXT)


def test_more_members_than_a_plan_can_hold_are_refused_before_they_are_made():
    many = {"seed": range(20_000), "subset_seed": range(20_000)}
    with pytest.raises(errors.ConfigError, match=r"have .*,000,000 combinations: to plan them takes about .* GB"):
        checks.check(settings(sweep=many))


@pytest.mark.parametrize("model", ["mlp(layers=201)", "convnet(depth=201)"])
def test_networks_of_absurd_depth_are_refused(model):
    with pytest.raises(errors.ConfigError, match=r"config.student.model: .* expects int <= 200, got 201"):
        checks.check(settings(student={"model": model}))
