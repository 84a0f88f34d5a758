"""The students' stage as one function, for notebooks and scripts; `load` and `teach` are the stages before it.

Everything stays in memory. The README opens with an example.
"""

from jaxsoft import config, errors, numerics
from jaxsoft.config import Learned, Student, Sweep, Teacher
from jaxsoft.data import arrays
from jaxsoft.experiment.inputs.prepare import prepare
from jaxsoft.experiment.plan import checks, identity, make
from jaxsoft.experiment.students import outcomes, waves
from jaxsoft.experiment.students.waves import Next
from jaxsoft.experiment.teach.experts import Experts, teach, teacher_key
from jaxsoft.types import Dataset, Row


@numerics.pinned()
def train_students(
    dataset: Dataset,
    experts: Experts | None = None,
    student: Student | None = None,
    sweep: Sweep | None = None,
    select: str = "random",
    protocol: str = "sealed",
    learned: Learned | None = None,
) -> list[Row]:
    """Train every student of a sweep at once, in one compiled program.

    Args:
      dataset: from `load`, or your own arrays in a `Dataset`.
      experts: from `teach`, on this dataset; label specs speak of them. None where no label needs one.
      student: what the sweep does not vary.
      sweep: axes; their product is the members. Beside specs `labels` may hold `Labels.from_array(rows)`.
      select: which images, a function of jaxsoft/data/select.py.
      protocol: `sealed`, `paper` or `both`, as docs/protocol.md tells them apart.
      learned: how labels are learned, where a label spec asks for `learned`.

    Returns: one row for each member, with the columns of results.csv.

    Raises:
      ConfigError: a setting is wrong, or does not fit the data.
      DataError: arrays of your own are not what they must be.
    """
    dataset = arrays.checked(dataset)
    experts = experts or teach(dataset, Teacher(experts=0))
    if experts.key != teacher_key(experts.settings, dataset, experts.normalization, experts.recipe.precision):
        raise errors.ConfigError("the experts were taught on other data: call teach with this very dataset")
    settings = config.Settings(
        select=select,
        protocol=protocol,
        precision=experts.recipe.precision,
        learned=learned or Learned(),
        data=config.Data(name=dataset.name, normalize=experts.normalization),
        teacher=experts.settings,
        student=student or Student(),
        sweep=sweep or Sweep(),
    )
    settings = config.read(config.as_dict(settings))
    settings = checks.check(settings)
    plan = make.make(settings, dataset, experts.histories, identity.member_context(settings, dataset, experts))
    inputs = prepare(plan, settings, dataset, experts)
    program, shared = waves.wave_program(plan, settings), outcomes.shared_columns(dataset)
    each = (
        waves.train_wave(program, plan, i, inputs, None, lambda _: Next(), protocol) for i in range(len(plan.waves))
    )
    rows = {o["position"]: outcomes.row_of(plan, o, shared, settings) for wave in each for o in wave}
    return [rows[i] for i in range(len(plan.members))]
