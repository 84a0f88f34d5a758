"""Label rows against NumPy and the reference; identity of rows."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxsoft import errors, rng
from jaxsoft.labels import bank as banks
from jaxsoft.labels import ops
from jaxsoft.labels.bank import LogitBank, label_rows
from jaxsoft.labels.spec import LabelSpec

E, P, N, K = 3, 2, 8, 5
SPECS = [
    "hard",
    "hard|smooth",
    "teacher(epoch=5)",
    "teachers(epoch=10)|shuffle",
    "teacher(1, 10)|mix(0.5)|swap(2)|topk(3)",
]


@pytest.fixture(scope="module")
def bank():
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(E, P, N, K)).astype(np.float32) * 3
    return LogitBank(logits, (5, 10), np.arange(100, 100 + N, dtype=np.int32), np.arange(N, dtype=np.int32) % K)


def rows(text, bank):
    return np.asarray(label_rows(LabelSpec.parse(text), bank))


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def test_rows_come_from_the_expert_and_epoch_named(bank):
    for expert in range(E):
        for place, epoch in enumerate((5, 10)):
            got = rows(f"teacher({expert}, {epoch})", bank)
            np.testing.assert_allclose(got, softmax(bank.logits[expert, place]), atol=1e-6)


def test_pooling_is_over_logits_unless_probabilities_are_named(bank):
    logits = bank.logits[:2, 1]
    np.testing.assert_allclose(rows("teachers(2, epoch=10)", bank), softmax(logits.mean(0)), atol=1e-6)
    got = rows("teachers(2, pool=probabilities, epoch=10)", bank)
    np.testing.assert_allclose(got, softmax(logits).mean(0), atol=1e-6)


def test_operations_run_from_left_to_right(bank):
    p = softmax(bank.logits[0, 0])
    cut = np.where(p >= np.sort(p)[:, [-2]], p, 0)
    np.testing.assert_allclose(rows("teacher(epoch=5)|topk(2)|smooth(0.5)", bank), 0.5 * cut + 0.1, atol=1e-6)
    smoothed = 0.5 * p + 0.1
    wanted = np.where(cut > 0, smoothed, 0)
    np.testing.assert_allclose(rows("teacher(epoch=5)|smooth(0.5)|topk(2)", bank), wanted, atol=1e-6)


def test_hard_labels_need_no_expert(bank):
    none = dataclasses.replace(bank, logits=np.zeros((0, 0, N, K), np.float32), epochs=())
    np.testing.assert_array_equal(rows("hard", none), np.eye(K)[bank.classes])
    np.testing.assert_allclose(rows("hard|smooth(0.1)", none), 0.9 * np.eye(K)[bank.classes] + 0.02, atol=1e-7)


def test_the_true_class_is_each_images_own(bank):
    p = softmax(bank.logits[0, 0])
    dropped = p * (np.arange(K) != 2)
    dropped[bank.classes == 2] = p[bank.classes == 2]
    np.testing.assert_allclose(rows("teacher(epoch=5)|drop_class(2)", bank), dropped, atol=1e-6)


@pytest.mark.parametrize("text", SPECS)
def test_a_row_follows_its_image_and_not_its_position(bank, text):
    order = np.random.default_rng(1).permutation(N)
    moved = LogitBank(bank.logits[:, :, order], bank.epochs, bank.image_ids[order], bank.classes[order])
    np.testing.assert_array_equal(rows(text, moved), rows(text, bank)[order])
    few = [5, 2]
    alone = LogitBank(bank.logits[:, :, few], bank.epochs, bank.image_ids[few], bank.classes[few])
    np.testing.assert_allclose(rows(text, alone), rows(text, bank)[few], atol=1e-7)


def test_randomness_is_keyed_by_image_and_turn_and_shared_by_treatments(bank):
    same = dataclasses.replace(bank, logits=np.broadcast_to(bank.logits[:, :, :1], bank.logits.shape).copy())
    shuffled = rows("teacher(epoch=5)|shuffle", same)
    assert len(np.unique(shuffled, axis=0)) > N // 2, "images with equal logits are shuffled each in its own way"
    places = np.argsort(rows("teacher(epoch=5)|shuffle", bank))
    np.testing.assert_array_equal(np.argsort(rows("teacher(epoch=5)|temperature(2)|shuffle", bank)), places)
    row = jnp.array(rows("teacher(epoch=5)", bank)[3])
    for turn in range(2):
        row = ops.shuffle(row, key=rng.key(0, rng.Stream.LABEL, 103, turn))
    np.testing.assert_allclose(rows("teacher(epoch=5)|shuffle|shuffle", bank)[3], row, atol=1e-7)


def test_all_epochs_share_one_compilation(bank):
    rows("teacher(epoch=5)|topk(4)", bank)
    before = banks._rows._cache_size()
    rows("teacher(epoch=10)|topk(4)", bank)
    assert banks._rows._cache_size() == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("teacher", "label spec 'teacher' has no epoch yet; resolve it, or give it a teacher_epoch"),
        (
            "teacher(accuracy=0.5)|topk(2)",
            "label spec 'teacher(accuracy=0.5)|topk(2)' has no epoch yet; resolve it, or give it a teacher_epoch",
        ),
        ("teacher(epoch=7)", "epoch=7 is not kept; epochs kept: 5, 10"),
        ("teacher(3, 5)", "expert=3 but there are 3 experts, counted from 0"),
        ("teachers(5, epoch=5)", "expert=3 but there are 3 experts, counted from 0"),
    ],
)
def test_what_the_bank_does_not_hold_is_refused(bank, text, message):
    with pytest.raises(errors.ConfigError) as refusal:
        rows(text, bank)
    assert str(refusal.value) == message


def test_pooled_experts_match_the_reference(golden):
    logits = golden["labels/expert_logits_ExNxK"][:, None]
    count = np.arange(logits.shape[2], dtype=np.int32)
    got = rows("teachers(3, epoch=0)", LogitBank(logits, (0,), count, count))
    wanted = golden["labels/ensemble_mean_logits"]
    np.testing.assert_allclose(got, wanted, atol=1e-6, err_msg="pooling is softmax(mean of LOGITS)")


def test_treat_works_on_one_row_with_a_traced_identity(bank):
    treatment = LabelSpec.parse("teacher(epoch=5)|shuffle")
    row = jnp.array(softmax(bank.logits[0, 0, 2]))
    got = jax.jit(treatment.treat)(row, jnp.array(2), jnp.array(102))
    np.testing.assert_allclose(got, rows("teacher(epoch=5)|shuffle", bank)[2], atol=1e-6)
