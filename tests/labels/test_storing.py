"""Labels as a codec gives them back: a sweep trains on what an export with that codec holds."""

import numpy as np
import pytest

from jaxsoft import errors
from jaxsoft.labels import codecs
from jaxsoft.labels.bank import LogitBank, finished, label_rows
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.labels.treatments import Label

N, K = 60, 10
CODECS = ("float16", "int8", "int4", "top3:int8", "top1:int4")


@pytest.fixture(scope="module")
def bank():
    logits = np.random.default_rng(0).normal(size=(2, 1, N, K)).astype(np.float32) * 4
    return LogitBank(logits, (5,), np.arange(N, dtype=np.int32), np.arange(N, dtype=np.int32) % K)


def rows(bank, text, form="row"):
    return np.asarray(label_rows(LabelSpec.parse(text), bank, form))


@pytest.mark.parametrize("codec", CODECS)
def test_rows_are_to_the_bit_what_the_codec_gives_back(bank, codec):
    whole, got = rows(bank, "teacher(epoch=5)"), rows(bank, f"teacher(epoch=5)|stored('{codec}')")
    assert np.array_equal(got, codecs.decode(codecs.encode(whole, codec))) and not np.array_equal(got, whole)


def test_a_row_is_the_same_in_a_bank_of_other_images(bank):
    few = LogitBank(bank.logits[:, :, 7:9], bank.epochs, bank.image_ids[7:9], bank.classes[7:9])
    text = "teachers(2, epoch=5)|drop_class(3)|stored(int8)|renormalize|stored('top3:int4')"
    assert np.array_equal(rows(few, text), rows(bank, text)[7:9])


def test_what_stands_before_and_after_is_done_in_turn(bank):
    got = rows(bank, "teacher(epoch=5)|temperature(4)|stored(int8)|topk(2)|renormalize")
    wanted = codecs.again(rows(bank, "teacher(epoch=5)|temperature(4)"), "int8")
    wanted = np.where(wanted >= np.sort(wanted, 1)[:, -2:-1], wanted, 0)
    np.testing.assert_allclose(got, wanted / wanted.sum(1, keepdims=True), rtol=1e-6)
    assert np.array_equal(rows(bank, "hard|stored(int4)"), np.eye(K, dtype=np.float32)[bank.classes])
    smooth = codecs.again(np.asarray(rows(bank, "hard|smooth(0.3)")), "int4")
    assert np.array_equal(rows(bank, "hard|smooth(0.3)|stored(int4)"), smooth)


def test_a_random_operation_has_its_turn_whatever_is_stored_before_it(bank):
    once = rows(bank, "teacher(epoch=5)|shuffle|shuffle")
    assert np.array_equal(rows(bank, "teacher(epoch=5)|shuffle|stored(float32)|shuffle"), once)


def test_logits_are_those_of_the_stored_row(bank):
    got = rows(bank, "teacher(epoch=5)|stored(int4)|log|temperature(2)", "label_logits")
    np.testing.assert_allclose(got, np.log(rows(bank, "teacher(epoch=5)|stored(int4)")) / 2, rtol=1e-5)
    assert LabelSpec.parse("teacher|temperature(2)").has_logits
    assert not LabelSpec.parse("teacher|stored(int8)").has_logits


def test_labels_of_views_and_learned_ones_are_stored_too(bank):
    whole = rows(bank, "teacher(epoch=5)")
    for source in ("learned", "teacher(epoch=5, views=4)"):
        spec = LabelSpec.parse(f"{source}|stored('top3:int8')")
        got = finished(spec, "row", Label(whole), bank.classes, bank.image_ids)
        assert np.array_equal(got, codecs.again(whole, "top3:int8"))


def test_the_text_is_canonical_and_says_the_codec():
    assert str(LabelSpec.parse("teacher(epoch=5)|stored('int8')")) == "teacher(epoch=5)|stored(int8)"
    assert str(LabelSpec.parse('learned|stored("top3:int8")')) == "learned|stored('top3:int8')"


def test_labels_that_are_asked_for_at_every_step_are_not_stored():
    with pytest.raises(errors.ConfigError, match=r"^online labels are asked for at every step and never stored, got"):
        LabelSpec.parse("teacher(epoch=5, online=true)|temperature(2)|stored(int8)")


@pytest.mark.parametrize("codec", ["int3", "top10:int8", "top3"])
def test_the_plan_refuses_what_is_no_codec(codec):
    spec = LabelSpec.parse(f"teacher|topk(3)|stored('{codec}')|renormalize")
    with pytest.raises(errors.ConfigError) as caught:
        spec.check(K)
    choices = "float32, float16, int8, int4, top1:int8 to top9:int8 (or :float16, :float32, :int4)"
    assert str(caught.value) == f"stored: codec {codec} is none for 10 classes; choices: {choices} (in '{spec}')"
    spec.parse("teacher|stored(int8)|topk(3)").check(K)
