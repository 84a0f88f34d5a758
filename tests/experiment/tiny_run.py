"""A whole experiment in miniature: 200 digits, perceptrons of eight units, a dozen steps."""

import contextlib
import warnings
from pathlib import Path
from unittest import mock

import numpy as np

from jaxsoft import config, main
from jaxsoft.analysis.showing import drawing
from jaxsoft.experiment import run
from jaxsoft.experiment.plan import make as plan
from jaxsoft.training.ensemble import Program

TINY = {
    "name": "tiny",
    "data.limit": 20,
    "data.validation": 0.2,
    "teacher.model": "mlp(hidden=8)",
    "teacher.epochs": 3,
    "teacher.batch": 32,
    "teacher.learning_rate": 0.3,
    "student.model": "mlp(hidden=8)",
    "student.batch": 16,
    "student.steps": 12,
    "student.learning_rate": 0.1,
    "student.evaluations": 3,
    "sweep.ipc": (1, 2),
    "sweep.labels": ("hard", "teacher(epoch=3)"),
    "sweep.seed": (0, 1),
}


def settings(changes=()):
    """The tiny experiment, changed; keys are dotted."""
    tree = config.default()
    tree.update_from_flattened_dict(TINY | dict(changes))
    return config.read(tree)


def room_for(waves, changes=()):
    """A budget in GB by which the plan of the tiny experiment has so many waves, on the devices that there are."""
    whole = plan.make(settings(changes), run.load(settings(changes)), None, {})
    for share in np.linspace(1, 0, 50):
        budget = float(whole.temporary_bytes() + whole.devices * whole.shared_bytes + share * whole.state_bytes()) / 1e9
        tried = settings(dict(changes) | {"compute.memory_gb": budget})
        if len(plan.make(tried, run.load(tried), None, {}).waves) == waves:
            return budget
    raise AssertionError(f"no budget cuts the plan into {waves} waves")


def config_file(folder, changes=()):
    """The same as a file for the command line."""
    path = Path(folder) / "tiny.py"
    values = TINY | dict(changes)
    path.write_text(
        "from jaxsoft.config import default\n\n\ndef get_config(arg=None):\n"
        f"    config = default()\n    config.update_from_flattened_dict({values!r})\n    return config\n"
    )
    return path


def plain_flags():
    """XLA's flags as a run of the command line in these tests finds them: they are part of keys."""
    return mock.patch.dict("os.environ", XLA_FLAGS="--xla_force_host_platform_device_count=1")


def command(file, workdir, *more, pictures=False):
    """`jaxsoft run` in this process; its exit code. JAX has started already, so the number of devices stays.

    Pictures of its report are named and not drawn, unless they are asked for: they have tests of their own.
    """
    png = drawing.png if pictures else lambda chart: chart.name.encode()
    with plain_flags(), mock.patch.object(drawing, "png", png), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the load_module", DeprecationWarning)  # ml_collections reads files with it
        return main.main(["run", f"--config={file}", f"--workdir={workdir}", "--nocompilation_cache", *more])


def finished(base, changes=()):
    """A config file of the tiny experiment, and the folder of its run, which is done."""
    file = config_file(base, changes)
    assert command(file, base / "run") == 0
    return file, base / "run"


@contextlib.contextmanager
def before_chunk(do):
    """Call `do(program, index)` before every chunk that is trained, of experts (select is 0) and of students."""
    chunk = Program.chunk

    def patched(self, bank, evals, members, students, index):
        do(self, index)
        return chunk(self, bank, evals, members, students, index)

    with mock.patch.object(Program, "chunk", patched):
        yield


def never(*_):
    """For `before_chunk`: nothing may be trained."""
    raise AssertionError("something was trained")
