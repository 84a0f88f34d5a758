"""One program for a whole sweep, compiled once; the best checkpoint; the sealed test set."""

import jax
import numpy as np
import pytest
import tiny

from jaxsoft.training.ensemble import Bucket, Program, Students


@pytest.fixture
def compilations():
    """What XLA compiles while the test runs."""
    seen = []

    def listen(event, seconds, **about):
        if event == "/jax/core/compile/backend_compile_duration":
            seen.append(about.get("fun_name", "?"))

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield seen
    jax.monitoring.unregister_event_duration_listener(listen)


def sweep():
    """Two IPC values with three seeds and two label treatments each, one of them from another teacher epoch."""
    small, large = tiny.MLP._replace(slots=3, batch=3), tiny.MLP
    buckets = (Bucket(small, 6, 3, 2), Bucket(large, 6, 6, 4))
    who = []
    for recipe in (small, large):
        group = tiny.members([0, 1, 2, 0, 1, 2], recipe.slots, rate=[0.1] * 3 + [0.2] * 3)
        group.rows[3:] += tiny.IMAGES  # the second block of rows: the same images, labelled otherwise
        who.append(group)
    return buckets, tuple(who)


def test_a_sweep_is_one_program_and_nothing_is_compiled_or_copied_later(compilations):
    buckets, who = sweep()
    program = Program(buckets, tiny.SHAPE, select=1)
    (bank, evals), who = program.place((tiny.bank(rows=2 * tiny.IMAGES), tiny.evals(7)), who)
    students = program.initialize(who)
    students, reports = program.chunk(bank, evals, who, students, 0)
    assert compilations.count("jit(_chunk)") == 1, compilations
    assert program.compilations == {"initialize": 1, "chunk": 1}
    with jax.transfer_guard("disallow"):
        with pytest.raises(jax.errors.JaxRuntimeError, match="Disallowed"):  # the guard guards
            jax.jit(lambda a: a)(np.ones(3))
        before = len(compilations)
        for index in (1, 2):
            students, reports = program.chunk(bank, evals, who, students, index)
    assert compilations[before:] == []
    assert program.compilations["chunk"] == 1
    assert reports[0].loss.shape == (6,) and reports[1].accuracy.shape == (6, 1)
    for kernel in (s.state.variables["params"]["classifier"]["kernel"] for s in students):
        assert len({np.asarray(k).tobytes() for k in kernel}) == 6, "two members of the sweep are the same"


def test_what_a_chunk_was_given_is_reused():
    program, who = tiny.mlp_program(), tiny.members([0, 1, 2, 3])
    (bank, evals), (who,) = program.place((tiny.bank(), tiny.evals(11, 5)), (who,))
    students = program.initialize((who,))
    program.chunk(bank, evals, (who,), students, 0)
    assert students[0].state.variables["params"]["classifier"]["kernel"].is_deleted()


def test_a_look_reports_without_training():
    program, who = tiny.mlp_program(), tiny.members([0, 1, 2, 3])
    after, report = tiny.train(program, who, chunks=1)[0]
    (look,) = program.look(tiny.bank(), tiny.evals(11, 5), (after,))
    np.testing.assert_allclose(look.accuracy, report.accuracy)
    np.testing.assert_allclose(look.entropy, report.entropy, rtol=1e-5)
    assert not np.asarray(look.loss).any()  # nothing was trained; a NaN would stop whoever looks for them


@pytest.fixture(scope="module")
def history():
    """Twelve chunks; two members so wild that accuracy jumps, two so slow that it stays."""
    return tiny.train(tiny.mlp_program(), tiny.members([0, 1, 2, 3], rate=[0.5, 0.9, 1e-6, 1e-6], steps=24), chunks=12)


def test_best_is_the_latest_of_the_highest_on_the_first_set(history):
    accuracy = np.stack([report.accuracy for _, report in history])  # [chunk, member, set]
    ties, early = 0, 0
    for i in range(4):
        first = accuracy[:, i, 0]
        best = max(range(12), key=lambda c: (first[c], c))
        ties, early = ties + int((first == first[best]).sum() > 1), early + int(best < 11)
        kept, then = history[-1][0].best, history[best][0].state.variables
        np.testing.assert_array_equal(kept.accuracy[i], accuracy[best, i])
        tiny.assert_bitwise(*(jax.tree.map(lambda a, i=i: a[i], v) for v in (kept.variables, then)))
    assert ties >= 2 and early >= 1, "the case is too easy to tell the latest from the first or the best from the last"


def accuracy_by_numpy(variables, data):
    p = variables["params"]
    x = np.asarray(data.images).reshape(-1, 64) * 0.5 + 0.1
    logits = np.maximum(x @ p["dense0"]["kernel"] + p["dense0"]["bias"], 0) @ p["classifier"]["kernel"]
    real = data.labels.ravel() >= 0
    return (np.argmax(logits + p["classifier"]["bias"], 1) == data.labels.ravel())[real].mean()


def test_the_sealed_set_is_read_by_the_chosen_checkpoint(history):
    sealed, students = tiny.evals(40)[0], history[-1][0]
    tested = np.asarray(tiny.mlp_program().test(tiny.bank(), sealed, (students,))[0])
    each = lambda tree: [accuracy_by_numpy(jax.tree.map(lambda a, i=i: a[i], tree), sealed) for i in range(4)]  # noqa: E731
    real = sealed.labels.ravel()[sealed.labels.ravel() >= 0]
    np.testing.assert_allclose(tested.sum(1) / len(real), each(students.best.variables), atol=1e-6)
    assert (tested <= np.bincount(real, minlength=tiny.CLASSES)).all() and tested.shape == (4, tiny.CLASSES)
    assert each(students.best.variables) != each(students.state.variables), "chosen and last cannot be told apart"


def test_experts_keep_no_best(history):
    """With nothing to choose on, the checkpoint is the last one."""
    program, state = tiny.program(tiny.MLP, 4, select=0), history[-1][0].state
    assert program.shapes((tiny.members([0, 1, 2, 3]),))[0].best is None
    sealed = tiny.evals(40)[0]
    tested = np.asarray(program.test(tiny.bank(), sealed, (Students(state, None),))[0])
    last = [accuracy_by_numpy(jax.tree.map(lambda a, i=i: a[i], state.variables), sealed) for i in range(4)]
    np.testing.assert_allclose(tested.sum(1) / 40, last, atol=1e-6)


def test_students_by_kernels_of_our_own_are_those_by_patches():
    """Two steps of two members, and their accuracies: gradients, blocks and evaluation all reach the kernels."""
    recipe, who = tiny.CONV._replace(model="convnet(depth=2, width=16)", augment="none"), tiny.members([0, 1], steps=2)
    kernel, patches = (
        tiny.train(tiny.program(recipe, 2, select=1, lowering=how), who, chunks=1, looked=tiny.evals(3))[0]
        for how in ("kernel", "patches")
    )
    for ours, theirs in zip(jax.tree.leaves(kernel), jax.tree.leaves(patches), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_lowering_asked_for_is_the_one_compiled():
    """The library's convolution shows in the program; patches leave none."""
    for lowering, shows in (("map", True), ("patches", False)):
        program = tiny.program(tiny.CONV._replace(augment="none"), 1, select=1, lowering=lowering)
        members = (tiny.members([0]),)
        program.look(tiny.bank(), tiny.evals(3), program.initialize(members))
        assert (" convolution(" in program._compiled["look"].as_text()) == shows, lowering
