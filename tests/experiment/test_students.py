"""Students: which images and which labels a member reads, and that the test split decides nothing."""

import dataclasses
from unittest import mock

import jax
import numpy as np
import pytest
import tiny_run as tiny

from jaxsoft import types
from jaxsoft.experiment import run
from jaxsoft.experiment.inputs import subsets
from jaxsoft.experiment.inputs.prepare import prepare
from jaxsoft.experiment.plan import checks, identity
from jaxsoft.experiment.plan import make as planning
from jaxsoft.experiment.students import waves
from jaxsoft.experiment.teach.experts import teach
from jaxsoft.labels.bank import label_rows
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import evaluate
from jaxsoft.training.ensemble import Program

LABELS = ("hard", "teacher(epoch=3)", "teacher(epoch=1)|temperature(2)|topk(4)", "teacher(epoch=3)|swap(2)")
CHANGES = {"sweep.labels": LABELS}


@pytest.fixture(scope="module")
def data():
    return run.load(tiny.settings())


@pytest.fixture(scope="module")
def experts(data, kept_programs):
    return teach(data, tiny.settings().teacher)


def planned(changes, data, experts):
    """Settings, plan and material of the tiny experiment, changed."""
    settings = tiny.settings(changes)
    checks.check(settings)
    plan = planning.make(settings, data, experts.histories, identity.member_context(settings, data, experts))
    return settings, plan, prepare(plan, settings, data, experts)


@pytest.fixture(scope="module")
def made(data, experts):
    return planned(CHANGES, data, experts)


def each(plan, material):
    """Every member with the bank's rows that it reads."""
    for group, members in zip(plan.buckets, material.members):
        for j, i in enumerate(group.members):
            yield plan.members[i], members.images[j], members.rows[j]


# Which images.


def drawn(changes, data, experts):
    settings = tiny.settings(changes)
    members = planning.make(settings, data, experts.histories, {}).members
    return subsets.draw_tables(members, settings, data, experts)


def test_subsets_are_nested_when_sealed_and_drawn_anew_for_the_paper(data, experts):
    axes = {"sweep.ipc": (1, 2, 5)}
    sealed = drawn(axes, data, experts)
    assert {key: table.shape for key, table in sealed.items()} == {("random", s, 0): (10, 5) for s in (0, 1)}
    paper = drawn(axes | {"protocol": "paper"}, data, experts)
    assert set(paper) == {("random", seed, ipc) for seed in (0, 1) for ipc in (1, 2, 5)}
    for tables in (sealed, paper):
        for table in tables.values():
            assert (data.train.labels[table] == np.arange(10)[:, None]).all()
            assert len(np.unique(table)) == table.size
    of = lambda seed, ipc: paper[subsets.Draw("random", seed, ipc)]  # noqa: E731
    assert (of(0, 2) != of(0, 5)[:, :2]).any() and (of(0, 5) != of(1, 5)).any()
    assert (sealed[subsets.Draw("random", 0)] != sealed[subsets.Draw("random", 1)]).any()


def test_a_subset_seed_of_its_own_makes_seeds_share_images(data, experts):
    tables = drawn({"sweep.subset_seed": (7,)}, data, experts)
    assert set(tables) == {("random", 7, 0)}


def test_members_read_their_subset_and_smaller_ones_read_a_part_of_it(made, data, experts):
    settings, plan, material = made
    tables = subsets.draw_tables(plan.members, settings, data, experts)
    seen = {}
    for member, images, _ in each(plan, material):
        wanted = data.train.images[tables[member.draw(settings.protocol)][:, : member.ipc].ravel()]
        np.testing.assert_array_equal(material.bank.images[images], wanted)
        seen[member.ipc, member.labels, member.seed] = set(images.tolist())
    assert all(seen[1, labels, seed] < seen[2, labels, seed] for labels in LABELS for seed in (0, 1))
    assert len(material.bank.images) < len(data.train)  # the bank holds what is read, and no more


def test_decile_takes_the_images_that_the_expert_finds_easy(data, experts):
    _, plan, material = planned({"select": "decile(i=0)"}, data, experts)
    bank = experts.logits(data.train, np.arange(len(data.train), dtype=np.int32), [3])
    p = np.exp(bank.logits[0, 0].astype(np.float64))
    loss = -np.log((p / p.sum(-1, keepdims=True))[np.arange(len(p)), data.train.labels])
    easy = {c: np.argsort(np.where(data.train.labels == c, loss, np.inf))[:2] for c in range(10)}  # of 20 images
    wanted = data.train.images[np.concatenate([np.sort(easy[c]) for c in range(10)])]
    for member, images, _ in each(plan, material):
        taken = material.bank.images[images]
        if member.ipc == 2:
            assert {i.tobytes() for i in taken} == {i.tobytes() for i in wanted}
    settings = tiny.settings({"select": "decile(i=0)"})
    rows = list(trained(plan, settings, material))
    assert len(rows) == 8 and all(0 <= row["test_accuracy"] <= 1 for row in rows)


# Which labels.


def test_every_slot_reads_the_finished_row_of_its_own_image(made, data, experts):
    settings, plan, material = made
    tables = subsets.draw_tables(plan.members, settings, data, experts)
    bank = experts.logits(data.train, np.arange(len(data.train), dtype=np.int32), [1, 3])
    finished = {labels: np.asarray(label_rows(LabelSpec.parse(labels), bank)) for labels in LABELS}
    for member, _, rows in each(plan, material):
        ids = tables[member.draw(settings.protocol)][:, : member.ipc].ravel()
        np.testing.assert_allclose(material.bank.rows[rows], finished[member.labels][ids], atol=1e-5)
    hard = next(rows for member, _, rows in each(plan, material) if (member.labels, member.ipc) == ("hard", 1))
    np.testing.assert_array_equal(material.bank.rows[hard], np.eye(10))


def test_treatments_of_a_seed_share_images_and_initialisation(made):
    settings, plan, material = made
    program = waves.wave_program(plan, settings)
    states, starts = program.initialize(waves.members_of(plan, 0, material)), {}
    for group, members, begun in zip(plan.buckets, material.members, states):
        for j, i in enumerate(group.members):
            leaves = [np.asarray(leaf[j]) for leaf in jax.tree.leaves(begun.state.variables)]
            member = plan.members[i]
            start = np.concatenate([leaf.ravel() for leaf in leaves])
            starts.setdefault(member.seed, []).append(start)
            first = next(k for k in group.members if plan.members[k].seed == member.seed)
            np.testing.assert_array_equal(members.images[j], members.images[group.members.index(first)])
            assert members.seed[j] == member.seed
    for alike in starts.values():
        assert len(alike) == 2 * len(LABELS)
        assert all(np.array_equal(start, alike[0]) for start in alike)
    assert not np.array_equal(starts[0][0], starts[1][0])


# What a member's key stands for.


def test_keys_change_with_what_determines_numbers_and_with_nothing_else(data, experts):
    def keys(changes, dataset=data, taught=experts):
        settings = tiny.settings(changes)
        context = identity.member_context(settings, dataset, taught)
        return planning.make(settings, dataset, taught.histories, context).keys

    whole = keys({})
    others = [
        keys({}, dataset=dataclasses.replace(data, fingerprint="other")),
        *(
            keys(changes)
            for changes in (
                {"data.normalize": "none"}, {"select": "easiest"}, {"protocol": "paper"}, {"student.batch": 8},
                {"student.optimizer": "adamw"}, {"student.evaluations": 4}, {"student.augment": "dsa('flip')"},
                {"student.schedule": "cosine"}, {"student.steps": 13}, {"student.learning_rate": 0.2},
                {"student.weight_decay": 0.1}, {"student.model": "mlp(hidden=4)"},
            )
        ),
    ]  # fmt: skip
    assert len({key for each in (whole, *others) for key in each}) == 8 * (1 + len(others))
    taught = keys({}, taught=experts._replace(key="other"))
    hard = [m.labels == "hard" for m in planning.make(tiny.settings(), data, experts.histories, {}).members]
    assert [a == b for a, b in zip(taught, whole)] == hard  # who reads no teacher is the same student beside any
    easy = [keys({"select": "easiest"}, taught=experts._replace(key=key)) for key in ("one", "other")]
    assert not set(easy[0]) & set(easy[1])  # but the teacher may have chosen the images
    assert keys({"learned.students": 9}) == whole
    assert keys({"name": "x", "compute.memory_gb": 1e-5, "compute.block": 1, "teacher.store": "y"}) == whole
    assert set(keys({"sweep.ipc": (2, 1), "sweep.seed": (1, 0, 2)})) > set(whole)


# What decides.


def trained(plan, settings, material, looks=None, chosen=None):
    """Outcomes by position in the plan; keeps what was seen after every chunk and the checkpoints that were chosen."""

    def look(seen):
        if looks is not None:
            looks.append(jax.device_get(seen.reports))
        return waves.Next()

    test = Program.test

    def spy(self, bank, split, now):
        if chosen is not None:
            chosen.append(jax.device_get([bucket.best for bucket in now]))
        return test(self, bank, split, now)

    with mock.patch.object(Program, "test", spy):
        program = waves.wave_program(plan, settings)
        outcomes = waves.train_wave(program, plan, 0, material, None, look, settings.protocol)
    return sorted(outcomes, key=lambda outcome: outcome["position"])


def test_test_labels_decide_nothing_when_sealed(data, experts):
    permuted = np.random.default_rng(0).permutation(data.test.labels)
    other = dataclasses.replace(data, test=types.Split(data.test.images, permuted))
    outcomes, best = {}, {}
    for name, dataset in (("as it is", data), ("permuted", other)):
        settings, plan, material = planned({}, dataset, experts)
        best[name] = []
        outcomes[name] = trained(plan, settings, material, chosen=best[name])
    jax.tree.map(np.testing.assert_array_equal, *best.values())
    values = [[o["val_accuracy"] for o in outcomes[name]] for name in outcomes]
    assert values[0] == values[1]
    tests = [[o["test_accuracy"] for o in outcomes[name]] for name in outcomes]
    assert tests[0] != tests[1]  # the permutation was noticed where it should be


def test_the_sealed_checkpoint_is_the_best_on_validation(data, experts):
    settings, plan, material = planned({}, data, experts)
    looks, chosen = [], []
    outcomes = trained(plan, settings, material, looks, chosen)
    for g, group in enumerate(plan.buckets):
        for j, i in enumerate(group.members):
            seen = [report[g].accuracy[j, 0] for report in looks]
            assert outcomes[i]["val_accuracy"] == pytest.approx(max(seen), abs=0)
            assert chosen[0][g].accuracy[j, 0] == max(seen)


def test_the_papers_protocol_takes_the_best_checkpoint_on_test(monkeypatch, data, experts):
    """Its looks see all of that split; what is counted at the end is in pieces here."""
    sealed_looks, looks = [], []
    settings, plan, material = planned({}, data, experts)
    (whole,) = material.test
    monkeypatch.setattr(evaluate, "PIECE_BYTES", data.test.images.nbytes // 2 - 1)
    assert len([*material.test]) == 3
    sealed = trained(plan, settings, material, sealed_looks)
    # The same subsets, so that only the choice differs.
    paper_settings = dataclasses.replace(settings, protocol="paper")
    opened = material._replace(evals=(whole, *material.evals))
    paper = trained(plan, paper_settings, opened, looks)
    for g, group in enumerate(plan.buckets):
        for j, i in enumerate(group.members):
            seen = [report[g].accuracy[j] for report in looks]
            best = max(accuracy[0] for accuracy in seen)
            assert paper[i]["test_accuracy"] == pytest.approx(best, abs=1e-7)  # counted, not averaged in float32
            latest = [accuracy[1] for accuracy in seen if accuracy[0] == best][-1]
            assert paper[i]["val_accuracy"] == pytest.approx(latest, abs=0)
            for one, other in zip(sealed_looks, looks):  # the training is the same
                np.testing.assert_allclose(one[g].loss[j], other[g].loss[j], rtol=1e-5)
            assert paper[i]["test_accuracy"] >= sealed[i]["test_accuracy"]


def test_the_paper_opens_test_from_the_start(data, experts):
    _, _, material = planned({"protocol": "paper"}, data, experts)
    counts = [int((split.labels >= 0).sum()) for split in material.evals]
    assert counts == [500, 259]
    _, _, material = planned({}, data, experts)
    assert [int((split.labels >= 0).sum()) for split in (*material.evals, *material.test)] == [259, 500]
