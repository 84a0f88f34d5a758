"""The driver of a Ray cluster: it sends each wave as a task, and takes home the rows of whatever is trained.

Ray finds devices for a task, and others when their machine is gone.
"""

import contextlib
import itertools
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax

from jaxsoft import config, errors, imports, target
from jaxsoft.console import Console
from jaxsoft.experiment.cluster import worker
from jaxsoft.experiment.inputs.prepare import Inputs
from jaxsoft.experiment.plan.plan import Plan
from jaxsoft.experiment.store.folder import RunFolder
from jaxsoft.experiment.store.results import ResultsLog
from jaxsoft.types import Dataset, Split

_DEATHS = 10  # of workers with the same wave, before it is taken for the cause
_POLL_SECONDS = 0.5
_RECALL_SECONDS = 6.0  # workers save and return; less than a process has that was asked to stop
_ALONE_SECONDS = 60.0  # without a finished wave, before it is asked whether there is a node at all
_PASSED_ON = ("JAX_", "XLA_", "LIBTPU_INIT_ARGS", "NVIDIA_TF32_OVERRIDE", "TF_XLA_FLAGS")


class Cluster:
    """Workers, each with as many devices of the same kind as this process, for which the plan is made.

    Args:
      ray: Ray, which has joined the cluster.
      keep_programs: whether workers keep what they compile for later ones.

    Raises:
      ConfigError: no node has what one worker needs.
    """

    def __init__(self, ray: Any, keep_programs: bool):
        self._ray, self._keep_programs = ray, keep_programs
        self._require(_needs(0))

    def _require(self, needs: dict[str, Any]) -> None:
        """Refuse a cluster where a task would wait for ever, as no node has what it needs."""
        if not self._room(needs):
            has = "; ".join(_told({name: node.get(name, 0) for name in needs}) for node in self._nodes()) or "nothing"
            told = f"no node of the cluster has what one worker needs, {_told(needs)}"
            raise errors.ConfigError(f"{told}; they have {has}")

    def train(
        self,
        plan: Plan,
        settings: config.Settings,
        dataset: Dataset,
        inputs: Inputs,
        folder: RunFolder,
        log: ResultsLog,
        console: Console,
    ) -> None:
        """Have every wave trained that is not finished; their rows are logged in the order in which they come.

        Args:
          plan: of this process's devices, as each worker has them.
          settings, dataset, inputs: the protocol, what rows name, what members read.
          folder: of the run, whose checkpoints workers share if they see it.
          log: gets the rows of each wave once it is trained.
          console: who is told, and asks to stop.

        Raises:
          JaxsoftError: a worker cannot train its wave, a wave ends whoever trains it, or the user asked to stop.
        """
        self._require(needs := _needs(plan.bytes()))
        members = [{*itertools.chain(*plan.tag(wave)["members"])} for wave in range(len(plan.waves))]
        left = [wave for wave, keys in enumerate(members) if not log.finished >= keys]
        none = Split((), ())
        work = worker.Work(
            plan=plan,
            settings=settings,
            dataset=Dataset(dataset.name, (), none, none, none, dataset.fingerprint),
            inputs=jax.device_get(inputs),
            finished=frozenset(log.finished),
            folder=folder.path,
            seal=worker.seal(folder.path),
            like=worker.about(),
            beside=imports.beside_what(),
            path=tuple(sys.path),
            keep_programs=self._keep_programs,
        )
        told = f"{len(left)} waves for workers of {_told(needs)} each"
        console.say(f"{told}; now there is room for {self._room(needs)} of them")
        self._collect(_Tasks(self._ray, _remote(self._ray, needs), work, left), needs, log, console)

    def _collect(self, tasks: "_Tasks", needs: dict[str, Any], log: ResultsLog, console: Console) -> None:
        """Log what comes back until all is trained, or somebody has to stop."""
        total = len(tasks.running)
        heard = time.monotonic()
        try:
            while tasks.running:
                if console.stop:
                    raise errors.Interrupted(f"stopped with {len(tasks.running)} waves left; {_WAY_ON}")
                for wave, found in tasks.done(_POLL_SECONDS):
                    heard = time.monotonic()
                    _take(found, wave, log, console)
                    console.progress(total - len(tasks.running), total, f"waves, the last on {found.node}")
                if time.monotonic() - heard > _ALONE_SECONDS:
                    heard = time.monotonic()
                    if not self._room(needs):
                        console.say(f"waiting for a node that has {_told(needs)}; there is none now")
        finally:
            for wave, found in tasks.recalled(_RECALL_SECONDS):
                _take(found, wave, log, console)

    def _nodes(self) -> list[dict[str, Any]]:
        """The resources of each node that is alive."""
        return [node["Resources"] for node in self._ray.nodes() if node["Alive"]]

    def _room(self, needs: dict[str, Any]) -> int:
        """How many workers that need this find a place at once."""
        each = ([node.get(name, 0) // count for name, count in needs.items()] for node in self._nodes())
        return int(sum(map(min, each)))


class _Tasks:
    """Waves that are sent, and not yet back."""

    def __init__(self, ray: Any, remote: Any, work: worker.Work, waves: list[int]):
        self._ray, self._remote = ray, remote
        self._work = ray.put(work)  # once; workers of one machine read the same arrays
        self.running = {self._sent(wave): wave for wave in waves}

    def done(self, seconds: float) -> Iterator[tuple[int, worker.Trained]]:
        """Waves that are trained within some seconds; one whose worker was asked to stop is sent again."""
        ready, _ = self._ray.wait([*self.running], timeout=seconds)
        for task in ready:
            found, wave = self._got(task), self.running.pop(task)
            if isinstance(found, errors.Interrupted):
                self.running[self._sent(wave)] = wave
            elif isinstance(found, errors.JaxsoftError):
                raise found
            else:
                yield wave, found

    def recalled(self, seconds: float) -> Iterator[tuple[int, worker.Trained]]:
        """Stop all that is running, which saves its checkpoints; what happens to be done is not lost."""
        for task in self.running:
            self._ray.cancel(task)
        if self.running:
            self._ray.wait([*self.running], num_returns=len(self.running), timeout=seconds)
        for task, wave in self.running.items():
            with contextlib.suppress(self._ray.exceptions.RayError):
                found = self._ray.get(task, timeout=0)
                if isinstance(found, worker.Trained):
                    yield wave, found

    def _sent(self, wave: int) -> Any:
        return self._remote.remote(self._work, wave)

    def _got(self, task: Any) -> Any:
        try:
            return self._ray.get(task)
        except self._ray.exceptions.RayTaskError as problem:
            if isinstance(problem.cause, ImportError):
                told = f"a worker cannot import what it needs: {errors.first_line(problem.cause)}"
                raise errors.ConfigError(f"{told}; install the same jaxsoft on every node") from None
            raise
        except self._ray.exceptions.RayError as problem:
            told = f"wave {self.running[task] + 1} ended {_DEATHS} workers: {errors.first_line(problem)}"
            raise errors.JaxsoftError(f"{told}; {_WAY_ON}") from None


_WAY_ON = "the same command goes on from there"


def _take(found: worker.Trained, wave: int, log: ResultsLog, console: Console) -> None:
    log.append(found.rows)
    for line in found.said:
        console.say(f"  wave {wave + 1} on {found.node}: {line.strip()}")


def _needs(memory: int) -> dict[str, Any]:
    """What Ray is asked for, for one worker: as many devices as this process has; of a CPU so much of its memory, too."""
    there = target.current()
    own = {"gpu": "GPU", "tpu": "TPU"}.get(there.platform)
    return {"CPU": 1, own: there.devices} if own else {"CPU": there.devices} | ({"memory": memory} if memory else {})


def _told(resources: dict[str, Any]) -> str:
    """Resources in words: 2 CPU, 3.5 GB."""
    each = (f"{n / 1e9:.3g} GB" if name == "memory" else f"{n:g} {name}" for name, n in resources.items())
    return ", ".join(each)


def _remote(ray: Any, needs: dict[str, Any]) -> Any:
    """The task of Ray that trains a wave; on an accelerator its process ends with it, as that holds the device's memory."""
    environment = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    environment.pop("XLA_PYTHON_CLIENT_PREALLOCATE", None)
    if is_cpu := target.platform() == "cpu":
        environment |= {"JAX_PLATFORMS": "cpu", "JAX_NUM_CPU_DEVICES": str(target.current().devices)}
    named = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
    asked = {named[name]: count for name, count in needs.items() if name in named}
    asked |= {"resources": {name: count for name, count in needs.items() if name not in named}}
    lives = {"max_retries": _DEATHS - 1, "max_calls": 0 if is_cpu else 1}
    return ray.remote(**asked, **lives, runtime_env={"env_vars": environment})(worker.train)
