"""Losses of related systems: values, gradients and labels that their own published code gave, see golden/README.md."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.special import xlogy

from jaxsoft.labels.spec import LabelSpec
from jaxsoft.labels.treatments import Label
from jaxsoft.training import losses
from jaxsoft.training.fit import Batch
from jaxsoft.training.recipe import Recipe

LOGITS = "array(x, logits=true)"


class Criterion(NamedTuple):
    """A criterion of a system as a weighted sum of losses here, with the names of what is recorded for it."""

    parts: dict[str, float]  # loss -> weight
    spec: str = LOGITS  # what makes the label of what is stored
    stored: str = "teacher"
    student: str = "student"
    hard: str = "hard"
    entropy: tuple[float, float] = 0.0, 1.0  # weight, temperature: of the label, a constant of some criteria
    value: str = "value"


GIFT = {
    "gift": {"gift": 1.0},  # 1 - cos(s, u(t) + .1 u(smoothed class))
    "cosine": {"cosine": 1.0},
    "mse": {"mse": 1.0},  # the mean over all N K entries
    "ce": {"cross_entropy": 1.0},
    "softce": {"soft_cross_entropy": 1.0},  # -sum softmax(t) log softmax(s), whatever t is
    "kl": {"kl(20)": 1.0},  # KL(softmax(t / 20) || softmax(s / 20)), not times 20^2
    "mse_ce": {"mse_gt(0.1)": 1.0},
    "softce_ce": {"soft_cross_entropy": 1.0, "cross_entropy": 0.1},
}
TARGETS = {
    "teacher_logits": (LOGITS, "gift/teacher_logits"),
    "stored_prob": ("array(x)|as_logits", "gift/stored_soft_label"),
    "stored_logprob": ("array(x)|as_logits", "gift/stored_soft_label_log"),
    "one_hot": ("hard|as_logits", "gift/stored_soft_label"),
}
CRITERIA = {
    f"gift/{target}/{name}": Criterion(parts, *of, "gift/student_logits", "gift/hard_label", value="loss")
    for target, of in TARGETS.items()
    for name, parts in GIFT.items()
}
DD = "ddranking/loss/"
OF_DD = Criterion({}, LOGITS, f"{DD}teacher", f"{DD}student", f"{DD}hard")
CRITERIA |= {
    f"{DD}kl_T1.2": OF_DD._replace(parts={"kl(1.2)": 1.0}),
    f"{DD}kl_T4_scaled": OF_DD._replace(parts={"kl(4, scaled=true)": 1.0}),
    # The soft cross-entropy at a temperature is the KL with the label's entropy, which has no gradient.
    f"{DD}sce_T1.2": OF_DD._replace(parts={"kl(1.2)": 1.0}, entropy=(1.0, 1.2)),
    f"{DD}sce_T4_scaled": OF_DD._replace(parts={"kl(4, scaled=true)": 1.0}, entropy=(16.0, 4.0)),
    f"{DD}mse_gt_default": OF_DD._replace(parts={"mse": 1.0}),  # its weight of the class is 0
    f"{DD}mse_gt_1_0.1": OF_DD._replace(parts={"mse_gt(0.1)": 1.0}),
}
OF_VIDEO = Criterion({}, LOGITS, "videodc/teacher", "videodc/student", "videodc/hard", value="loss")
CRITERIA |= {
    "videodc/ce_T20_lam1.0": OF_VIDEO._replace(parts={"cross_entropy": 1.0}),
    "videodc/kl_T20_lam1.0": OF_VIDEO._replace(parts={"kl(20)": 1.0}),
    "videodc/kl_T4_lam1.0": OF_VIDEO._replace(parts={"kl(4)": 1.0}),
    "videodc/mse_gt_T20_lam1.0": OF_VIDEO._replace(parts={"mse_gt": 1.0}),
}
OF_CVDD = Criterion(
    {}, LOGITS, "cvdd/committee_label/bssl/imagenet1k_prior", "cvdd/student/logits", "", value="loss_accum2"
)
CRITERIA |= {f"cvdd/student/T{t}": OF_CVDD._replace(parts={f"kl({t})": 0.5}) for t in (20, 3)}  # of 2 accumulations
DOUBLE = [name for name in CRITERIA if name.startswith("gift")]  # recorded in float64 too
EDGE = Criterion(
    {"gift": 1.0}, LOGITS, "gift/edge/teacher_logits", "gift/student_logits", "gift/hard_label", value="loss"
)
INPUTS = {f"gift/{name}" for name in ("student_logits", "teacher_logits", "stored_soft_label", "hard_label")}
INPUTS |= {EDGE.stored, OF_DD.stored, OF_DD.student, OF_DD.hard, OF_CVDD.stored, OF_CVDD.student}
INPUTS |= {f"videodc/{name}" for name in ("student", "teacher", "hard", "rand_index")}


def label_of(spec: str, stored, classes) -> Label:
    """Labels [N, K] of a spec, of stored probabilities or logits."""
    source = LabelSpec.parse(spec)
    given = Label(jax.nn.softmax(stored), stored) if source.source_has_logits else Label(stored)
    return jax.vmap(source.finish)(given, classes, jnp.arange(len(classes)))


def mean_loss(parts: dict[str, float], label: Label, classes, logits):
    """A weighted sum of losses, each the mean over the images."""
    return sum(weight * mean_of(text, label, classes, logits) for text, weight in parts.items())


def mean_of(text: str, label: Label, classes, logits):
    recipe = Recipe("", logits.shape[1], 1, 1, loss=text)
    loss, wants = recipe.build_loss(), recipe.wants
    rows = label.form("label_logits" if "label_logits" in wants else "row")
    told = Batch(logits, rows, jnp.ones(len(logits), bool), classes=classes).label(wants)
    return jax.vmap(lambda z, of_one: loss(z, **of_one))(logits, told).mean()


def reproduced(systems, own: Criterion, dtype) -> tuple[np.ndarray, np.ndarray]:
    """The value of a criterion, and its gradient in the student's logits, in a precision."""
    stored = jnp.asarray(systems[own.stored], dtype)
    student = jnp.asarray(systems[own.student][: len(stored)], dtype)
    classes = jnp.asarray(systems[own.hard][: len(stored)] if own.hard else np.zeros(len(stored), np.int32))
    label = label_of(own.spec, stored, classes)
    weight, temperature = own.entropy
    q = label_of(f"{LOGITS}|temperature({temperature})", stored, classes).row
    value, slope = jax.value_and_grad(lambda z: mean_loss(own.parts, label, classes, z))(student)
    assert value.dtype == slope.dtype == dtype
    return np.asarray(value - weight * xlogy(q, q).sum(1).mean()), np.asarray(slope)


def close(found, systems, name: str, tolerance: float, of_largest: float = 0) -> None:
    wanted = systems[name]
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=of_largest * abs(wanted).max(), err_msg=name)


@pytest.mark.parametrize("name", CRITERIA)
def test_criterion_in_float32(name, systems):
    value, slope = reproduced(systems, own := CRITERIA[name], jnp.float32)
    # A KL at a high temperature is a small difference of large numbers, in the recording as well.
    close(value, systems, f"{name}/{own.value}", 5e-5 if "kl(20)" in own.parts else 1e-5)
    close(slope, systems, f"{name}/grad_student", 0, 1e-5)


@pytest.mark.parametrize("name", DOUBLE)
def test_criterion_in_float64(name, systems):
    with jax.enable_x64(True):
        value, slope = reproduced(systems, own := CRITERIA[name], jnp.float64)
    close(value, systems, f"{name}/{own.value}_f64", 1e-8)
    close(slope, systems, f"{name}/grad_student_f64", 0, 1e-8)


@pytest.mark.parametrize("target", TARGETS)
def test_refined_label_of_gift(target, systems):
    spec, stored = TARGETS[target]
    for suffix, dtype, tolerance in (("", jnp.float32, 1e-6), ("_f64", jnp.float64, 1e-12)):
        with jax.enable_x64(dtype == jnp.float64):
            classes = jnp.asarray(systems["gift/hard_label"])
            logits = label_of(spec, jnp.asarray(systems[stored], dtype), classes).form("label_logits")
            refined = jax.vmap(lambda row, true_class: losses._refined(row, true_class, 0.1, 0.1))(logits, classes)
        close(refined, systems, f"gift/{target}/gift/refined_label{suffix}", tolerance, tolerance)


def test_smoothed_label_of_gift_is_smoothing_with_k_less_one_classes(systems):
    """Its alpha is alpha K / (K - 1) here, where every class gets an equal part."""
    classes, k = jnp.asarray(systems["gift/hard_label"]), 10
    rows = label_of(f"hard|smooth({0.1 * k / (k - 1)})", jnp.zeros((6, k)), classes).row
    close(rows, systems, "gift/smoothed_label_alpha_0.1", 1e-6)


def test_log_of_a_stored_label(systems):
    logits = label_of("array(x)|log", jnp.asarray(systems["gift/stored_soft_label"]), jnp.zeros(6, int)).logits
    close(logits, systems, "gift/stored_soft_label_log", 1e-6)


def test_label_of_zeros_and_a_large_one_of_gift(systems):
    """Of the first the class is left, and the scale of the second does not matter."""
    value, slope = reproduced(systems, EDGE, jnp.float32)
    close(value, systems, "gift/edge/gift/loss", 1e-5)
    close(slope, systems, "gift/edge/gift/grad_student", 0, 1e-5)


def test_classes_of_mixed_images_of_video_dc(systems):
    """Their cross-entropy is that of both classes, by the part of the image."""
    logits, classes = jnp.asarray(systems["videodc/student"]), jnp.asarray(systems["videodc/hard"])
    both = (0.3, classes), (0.7, classes[systems["videodc/rand_index"]])

    def loss(z):
        return sum(part * mean_loss({"cross_entropy": 1.0}, Label(z), of, z) for part, of in both)

    value, slope = jax.value_and_grad(loss)(logits)
    close(value, systems, "videodc/ce_T20_lam0.3/loss", 1e-5)
    close(slope, systems, "videodc/ce_T20_lam0.3/grad_student", 0, 1e-5)


def test_every_recorded_array_is_compared(systems):
    compared = {f"{name}/{part}" for name, own in CRITERIA.items() for part in (own.value, "grad_student")}
    compared |= {f"{name}/{part}_f64" for name in DOUBLE for part in (CRITERIA[name].value, "grad_student")}
    compared |= {f"gift/{target}/gift/refined_label{end}" for target in TARGETS for end in ("", "_f64")}
    compared |= {"gift/smoothed_label_alpha_0.1", "gift/stored_soft_label_log"}
    compared |= {
        f"{name}/{part}" for name in ("gift/edge/gift", "videodc/ce_T20_lam0.3") for part in ("loss", "grad_student")
    }
    assert compared == set(systems) - INPUTS
    assert len(compared) == 166
