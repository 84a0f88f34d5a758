"""What determines a number beside what a sweep varies: part of every key, and what a resumed run must still find.

Data, settings, experts, the code that specs name, the engine, and the settings of JAX around all of them. A key made of
other code is another key, so edited code never gets old numbers; `edited` says what that was.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jaxsoft import config, errors, imports, numerics, sources, spec
from jaxsoft.experiment.learned import judges
from jaxsoft.experiment.learned import learn as learning
from jaxsoft.experiment.plan import selections
from jaxsoft.experiment.plan.sweep import BY_MEMBER, MemberSpec
from jaxsoft.experiment.teach.experts import Experts
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.labels.treatments import operation
from jaxsoft.training import mixing
from jaxsoft.training import recipe as recipes
from jaxsoft.training.recipe import Recipe
from jaxsoft.types import Dataset


def member_context(settings: config.Settings, dataset: Dataset, experts: Experts) -> dict[str, Any]:
    """What determines the numbers of the members of a run, beside what a sweep varies and the code that it names.

    `teacher`, `learned` and `committee` are left out of the keys of members that do not read them.
    """
    unread = ("judges", "reference_epoch")  # say how learning is watched, not what is learned
    student = {name: value for name, value in vars(settings.student).items() if name not in BY_MEMBER}
    learned = {name: value for name, value in vars(settings.learned).items() if name not in unread}
    return {
        "data": dataset.fingerprint,
        "normalize": settings.data.normalize,
        "precision": recipes.precision(settings.precision),
        "teacher": experts.key,
        "student": student,
        "learned": {"model": settings.student.model, **learned, "code": learning.recipe_of(settings, 1, 1).code()},
        "committee": judges.identity(settings),
        "protocol": settings.protocol,
        "engine": sources.engine(),
        "numerics": numerics.identity(),
    }


def of_student(context: Mapping[str, Any], member: MemberSpec) -> dict[str, Any]:
    """The settings of all students with what the member says of them; the usual loss is not told, as in older keys."""
    loss = {} if member.loss == config.Student().loss else {"loss": member.loss}
    return {**context.get("student", {}), "optimizer": member.optimizer, "augment": member.augment, **loss}


def code_of(settings: config.Settings, member: MemberSpec) -> dict[str, str]:
    """Digests of the code that specs name, of a member and of all students: what is named -> digest."""
    own, source, way = settings.student, LabelSpec.parse(member.labels), spec.parse_one(member.select).name
    return {
        **_of_training(member.model, member.optimizer, own.schedule, member.augment, member.loss),
        **{f"label operation {call.name}": sources.digest(operation(call.name)) for call in source.operations},
        **({f"mixing {source.mix}": sources.digest(mixing.function(source.mix))} if source.mix else {}),
        f"selection {way}": sources.digest(spec.find(way, *selections.SELECTIONS)),
    }


@imports.cached
def _of_training(model: str, optimizer: str, schedule: str, augment: str, loss: str) -> dict[str, str]:
    return Recipe(model, 1, 1, 1, optimizer, schedule, augment, loss=loss).code()


def of_run(
    settings: config.Settings, dataset: Dataset, experts: Experts, members: Sequence[MemberSpec]
) -> dict[str, dict[str, str]]:
    """What is stored with a plan, to be able to say later what has changed."""
    code = {"engine": sources.engine()}
    for cohort in experts.cohorts:
        code |= {f"teacher's {what}": digest for what, digest in cohort.recipe.code().items()}
    for m in {(m.model, m.labels, m.select, m.loss, m.optimizer, m.augment): m for m in members}.values():
        code |= code_of(settings, m)
        source = LabelSpec.parse(m.labels)
        code |= {f"label rows {source.file}": source.rows} if source.rows else {}
        code |= {f"teacher {source.imported}": source.weights} if source.imported else {}
        code |= {f"set {source.distilled}": source.weights} if source.distilled else {}
    return {"data": {"fingerprint": dataset.fingerprint}, "settings": numerics.identity(), "code": code}


def check(there: Mapping[str, Mapping[str, str]] | None, dataset: Dataset, where: object) -> None:
    """Refuse to go on with a run that began otherwise; before anything is trained.

    Args:
      there: of the run, as `of_run` gave it; None for a run of a version that stored nothing of the kind.
      dataset: of this process.
      where: the run folder, for messages.

    Raises:
      CheckpointError: the run is of an earlier version, of other data, or began under other settings of JAX or XLA.
    """
    if there is None:
        raise errors.CheckpointError(
            f"the run in {where} is of an earlier version, whose keys did not know the code that made a number; "
            "`jaxsoft report` still reads it; to train anew choose another --workdir"
        )
    now = {"settings": numerics.identity(), "data": {"fingerprint": dataset.fingerprint}}
    for kind, what in (("settings", "under other settings of JAX"), ("data", "with other data")):
        if told := numerics.difference(there[kind], now[kind]):
            raise errors.CheckpointError(
                f"the run in {where} began {what}: {told}; mend that or choose another --workdir"
            )


def edited(there: Mapping[str, Mapping[str, str]], now: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The code that has changed since a run began."""
    old, new = there["code"], now["code"]
    return sorted(what for what in {*old, *new} if old.get(what) != new.get(what))
