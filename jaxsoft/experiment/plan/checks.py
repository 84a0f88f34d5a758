"""What is wrong with settings, found before anything is trained; every refusal begins with the key, or names it."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from jaxsoft import config, data, errors, models, rng, sinks
from jaxsoft.data import chosen, normalize
from jaxsoft.distilled import kept, pool
from jaxsoft.experiment.learned import learn as learning
from jaxsoft.experiment.machine import memory
from jaxsoft.experiment.plan import committees, maps, selections, sweep, trials
from jaxsoft.experiment.plan.sweep import MemberSpec
from jaxsoft.experiment.teach import imported, keeping, layout
from jaxsoft.experiment.teach.course import expectations
from jaxsoft.experiment.teach.experts import by_architecture, model_check, trained_by
from jaxsoft.labels.given import check_rows, read_rows
from jaxsoft.labels.sources import WHOSE
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import augment, cost
from jaxsoft.training.recipe import Recipe, wanted
from jaxsoft.types import Dataset

_MEMBER_BYTES = 5_000  # of a plan, for each member; measured at 200,000 of them


def check(settings: config.Settings) -> config.Settings:
    """Find what is wrong with settings, as far as that is possible without reading data.

    Returns:
      Them with one spelling of what could be written in several ways, so that equal runs have equal keys.

    Raises:
      ConfigError: with the key, the value and the choices.
    """
    settings = imported.known(kept.known(chosen.read(read_rows(settings))))
    for name, part in (("teacher", settings.teacher), ("student", settings.student)):
        if bool(part.steps) == bool(part.epochs):
            given = f"steps={part.steps}, epochs={part.epochs}"
            raise errors.ConfigError(f"config.{name} needs exactly one of steps and epochs above 0, got {given}")
    if settings.teacher.steps:
        raise errors.ConfigError("config.teacher is trained by epochs: leave config.teacher.steps at 0")
    expectations(settings.teacher)
    keeping.of(settings.teacher)
    layout.devices_of_norm(settings.teacher.batch_norm)
    count = sweep.combinations(settings.sweep)
    planning = f"the axes of config.sweep have {count:,} combinations: to plan them"
    require_memory(count * _MEMBER_BYTES, memory.host_bytes(), planning)
    members = sweep.expand(settings)
    for key, build in _named(settings):
        with _about(key):
            build()
    for text in dict.fromkeys(m.labels for m in members):
        _check_labels(LabelSpec.parse(text), settings.teacher)
    _check_losses(settings, members)
    if needs_experts(settings) and not settings.teacher.experts:
        who = "learned labels, selection by difficulty or embeddings and config.subjects=accuracy"
        raise errors.ConfigError(f"config.teacher.experts is 0, but {who} ask experts; wanted 1 or more")
    counted = any(m.without >= 0 or "drop_class" in m.labels for m in members)
    if settings.subjects != "index" and not counted:
        raise errors.ConfigError(
            f"config.subjects={settings.subjects} has no effect: no label spec drops a class, and config.sweep.without "
            "leaves none out; set it to index"
        )
    if settings.data.validation == 0:
        _check_unvalidated(settings)
    normalization = normalize.canonical(settings.data.normalize)
    return dataclasses.replace(settings, data=dataclasses.replace(settings.data, normalize=normalization))


def check_data(settings: config.Settings, dataset: Dataset, members: Sequence[MemberSpec] = ()) -> None:
    """Find what does not fit a dataset: label specs, IPC, selections, models; `members` are given where they are known.

    Raises:
      ConfigError: with the key, the value and what is possible.
    """
    members = members or sweep.expand(settings)
    if len(dataset.validation) == 0:
        _check_unvalidated(settings)
    specs = {text: LabelSpec.parse(text) for text in dict.fromkeys(m.labels for m in members)}
    with _about("config.sweep.labels"):
        for text, labels in specs.items():
            sizes = dict.fromkeys(m.slots(dataset.num_classes) for m in members if m.labels == text)
            _check_fits(labels, sizes, settings, dataset)
            if labels.distilled:
                dataset.sets[labels.weights].table(max(m.ipc for m in members if m.labels == text))
        check_rows(settings.sweep.labels, dataset)
    with _about("config.sweep.ipc"):
        asked = {(m.ipc, m.select) for m in members}  # an imported set may have more images than the train split
        of_train = [ipc for ipc, way in asked if not selections.reads_pool(way)]
        data.check_ipc(max(of_train, default=1), dataset.train.labels, dataset.class_names)
    for text, key in _selections(settings).items():
        with _about(key):
            _try_selection(text, {m.ipc for m in members if m.select == text}, settings.teacher, dataset)
    for key, try_ in _trials(settings, dataset):
        with _about(key):
            try_()
    _check_learning(members, specs)
    if sizes := dict.fromkeys(m.slots(dataset.num_classes) for m in members if specs[m.labels].is_learned):
        learning.check(settings, dataset, list(sizes))
    if (last := max(m.without for m in members)) >= dataset.num_classes:
        raise errors.ConfigError(f"config.sweep.without={last} but classes are 0..{dataset.num_classes - 1}; -1: none")
    for model, key in _models(settings).items():
        with _about(key), trials.telling(model):
            model_check(model, dataset, _taught_by(settings, dataset, members, model))
            needed = cost.state_bytes(Recipe(model, dataset.num_classes, 1, 1), dataset.image_shape)
            require_memory(needed, memory.most_bytes(), "one such network")
    for model, text in dict.fromkeys((m.model, m.labels) for m in members):
        maps.with_maps(Recipe(model, dataset.num_classes, 1, 1), specs[text], settings, dataset)


def _check_learning(members: Sequence[MemberSpec], specs: Mapping[str, LabelSpec]) -> None:
    """Refuse to learn labels of images that are none of the train split, or to weigh experts by them."""
    for text, way in dict.fromkeys((m.labels, m.select) for m in members):
        if (specs[text].is_learned or specs[text].prior == "students") and selections.reads_pool(way):
            told = "are made with the other train images, and the images are of an imported set"
            raise errors.ConfigError(f"config.sweep.labels: '{text}' with config.sweep.select '{way}': labels {told}")


def _check_fits(labels: LabelSpec, sizes: Iterable[int], settings: config.Settings, dataset: Dataset) -> None:
    """Refuse labels that are not of such classes, images and networks; `sizes` are of subsets that have them, in images."""
    labels.check(dataset.num_classes)
    committees.check(labels, sizes, settings, dataset)
    if labels.imported:
        imported.check(labels, settings.data, dataset)


def _try_selection(text: str, ipcs: Collection[int], teacher: config.Teacher, dataset: Dataset) -> None:
    """Choose images once, as if all were equal to experts, and refuse what is no selection or does not nest."""
    given: dict[str, Any] = {"pool": pool.of(dataset)} if selections.reads_pool(text) else {}
    given |= {name: np.zeros((len(dataset.train), 1)[:axes]) for name, axes in selections.asked_of_expert(text).items()}
    if "embeddings" in given:
        _check_embeds(text, teacher, dataset.num_classes)
    labels, most = dataset.train.labels, max(ipcs)
    choose = functools.partial(selections.selection(text), labels, key=rng.key(0, rng.Stream.SUBSET), **given)
    trials.check_table(text, choose(most), labels, most)
    trials.check_nested(text, choose, most)
    for ipc in ipcs if isinstance(text, chosen.Indices) else ():
        choose(ipc)


def _trials(settings: config.Settings, dataset: Dataset) -> Iterator[tuple[str, Callable[[], object]]]:
    """What specs name is tried on such data: their key, and the trial."""
    tried = {f"config.{name}": trials.of_training(getattr(settings, name), dataset) for name in _trained(settings)}
    for group, each in (tried | {"config.sweep": trials.of_sweep(settings.sweep, dataset)}).items():
        yield from ((f"{group}.{setting}", try_) for setting, try_ in each)
    for text, key in _losses(settings).items():
        yield key, functools.partial(trials.loss, text, dataset.num_classes)


def needs_experts(settings: config.Settings) -> bool:
    """Whether anything asks an expert: labels, selection, or the order of classes."""
    specs = [LabelSpec.parse(text) for text in settings.sweep.labels or ("hard",)]
    asked = any(spec.needs_teacher or spec.is_learned for spec in specs)
    return asked or settings.subjects == "accuracy" or any(map(selections.asked_of_expert, _selections(settings)))


def require_memory(needed: int, there: int, what: str, way_on: str = "") -> None:
    """Refuse what would fill the memory."""
    if needed > there:
        told = f"takes about {needed / 1e9:,.1f} GB, and there are {there / 1e9:,.1f} GB of memory"
        raise errors.ConfigError(f"{what} {told}{way_on}")


def _named(settings: config.Settings) -> Iterator[tuple[str, Callable[[], object]]]:
    """Everything that settings name by a spec: their key, and what builds it."""
    for text in settings.sinks:
        yield "config.sinks", functools.partial(sinks.check, text)
    yield "config.data.normalize", functools.partial(normalize.canonical, settings.data.normalize)
    for text, key in _selections(settings).items():
        yield key, functools.partial(selections.selection, text)
    for name in _trained(settings):
        part = getattr(settings, name)
        yield f"config.{name}.optimizer", Recipe("", 10, 1, 1, part.optimizer).build_optimizer
        yield f"config.{name}.schedule", Recipe("", 10, 1, 1, schedule=part.schedule).build_schedule
        yield f"config.{name}.augment", functools.partial(augment.build, part.augment)
    for text in settings.sweep.optimizer:
        yield "config.sweep.optimizer", Recipe("", 10, 1, 1, text).build_optimizer
    for text in settings.sweep.augment:
        yield "config.sweep.augment", functools.partial(augment.build, text)
    for text, key in _losses(settings).items():
        yield key, functools.partial(trials.loss, text, 10)
    for model, key in _models(settings).items():
        yield key, Recipe(model, 10, 1, 1).build_model


def _trained(settings: config.Settings) -> tuple[str, ...]:
    """The groups of settings by which networks are trained."""
    return ("teacher", "student", "learned") if _learns(settings) else ("teacher", "student")


def _taught_by(
    settings: config.Settings, dataset: Dataset, members: Sequence[MemberSpec], model: str
) -> Iterator[tuple[str, int, int]]:
    """Who trains this network, on how many images, in batches of how many."""
    classes, own = dataset.num_classes, settings.student
    for slots, whole in dict.fromkeys((m.slots(classes), m.ipc * classes) for m in members if m.model == model):
        yield "student", slots, min(own.batch, whole)
        if model == settings.student.model and _learns(settings):
            yield "learned", slots, min(settings.learned.batch, slots)
    if model in by_architecture(settings.teacher):
        yield trained_by(settings.teacher, dataset)


def _learns(settings: config.Settings) -> bool:
    return any(LabelSpec.parse(text).is_learned for text in settings.sweep.labels)


def _check_labels(labels: LabelSpec, teacher: config.Teacher) -> None:
    """Refuse experts and epochs that there will not be."""
    if (wanted := max(labels.experts, default=-1) + 1) > teacher.experts:
        told = f"needs {wanted} experts; config.teacher.experts is {teacher.experts}"
        raise errors.ConfigError(f"label spec '{labels}' {told}")
    if (labels.epoch or 0) > teacher.epochs:
        told = f"asks for epoch {labels.epoch}; config.teacher.epochs is {teacher.epochs}, the largest possible"
        raise errors.ConfigError(f"label spec '{labels}' {told}")


def _check_embeds(select: str, teacher: config.Teacher, num_classes: int) -> None:
    """Refuse to ask expert 0 for embeddings where its last layer is not known."""
    model = next(iter(by_architecture(teacher)))
    if isinstance(models.build(model, num_classes), models.Network):
        told = "reads what the last layer of expert 0 is given, which is known of the networks of jaxsoft/models/"
        raise errors.ConfigError(f"{select} {told}; it is {model}")


def _check_losses(settings: config.Settings, members: Sequence[MemberSpec]) -> None:
    """Refuse a loss that wants logits of labels that have none, and one that learned labels would not reach."""
    loss = settings.student.loss
    if _learns(settings) and ("row" not in wanted(loss) or "features" in wanted(loss)):
        told = f"labels are learned as probabilities, and {loss} wants {' and '.join(wanted(loss))}"
        raise errors.ConfigError(
            f"config.student.loss: {told}; wanted a loss of rows, such as soft_cross_entropy or kl"
        )
    judges = [(loss, text) for text in dict.fromkeys(m.labels for m in members) if committees.ask_students([text])]
    pairs = dict.fromkeys([*((m.loss, m.labels) for m in members), *judges])
    maps.check(pairs, _losses(settings))
    for loss, text in pairs:
        if "label_logits" in wanted(loss) and not LabelSpec.parse(text).has_logits:
            told = f"{loss} wants logits, and label spec '{text}' gives probabilities"
            way = f"'{text}|smooth(0.1)|log' has logits, and '{text}|as_logits' takes its numbers as they are"
            raise errors.ConfigError(f"{_losses(settings)[loss]}: {told}; {way}")


def _check_unvalidated(settings: config.Settings) -> None:
    """Refuse what would choose on validation images where there are none."""
    todo = "wanted config.data.validation above 0"
    if settings.protocol != "paper":
        raise errors.ConfigError(
            f"there are no validation images, and protocol {settings.protocol} chooses checkpoints on them; "
            f"{todo}, or config.protocol paper, which chooses on the test split"
        )
    for text in settings.sweep.labels:
        labels = LabelSpec.parse(text)
        if labels.accuracy is not None or labels.is_learned or labels.prior in WHOSE:
            raise errors.ConfigError(f"there are no validation images, and label spec '{text}' asks for them; {todo}")


def _selections(settings: config.Settings) -> dict[str, str]:
    """Every way to select, with the key that names it."""
    return dict.fromkeys(settings.sweep.select, "config.sweep.select") or {settings.select: "config.select"}


def _losses(settings: config.Settings) -> dict[str, str]:
    """Every loss of students, with the key that names it; labels are learned, and experts judged, by the student's own."""
    found = dict.fromkeys(settings.sweep.loss, "config.sweep.loss")
    if not found or _learns(settings) or committees.ask_students(settings.sweep.labels):
        found[settings.student.loss] = "config.student.loss"
    return found


def _models(settings: config.Settings) -> dict[str, str]:
    """Every architecture, with the key that names it."""
    found = dict.fromkeys(settings.sweep.model, "config.sweep.model")
    if not found or _learns(settings) or committees.ask_students(settings.sweep.labels):  # by the student's own
        found[settings.student.model] = "config.student.model"
    where = "config.teacher.models" if settings.teacher.models else "config.teacher.model"
    return dict.fromkeys(by_architecture(settings.teacher), where) | found


@contextlib.contextmanager
def _about(key: str) -> Iterator[None]:
    """Begin what is refused inside with the setting's key."""
    try:
        yield
    except (errors.ConfigError, errors.DataError) as problem:
        raise type(problem)(f"{key}: {problem}") from None
