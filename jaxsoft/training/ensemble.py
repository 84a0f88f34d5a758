"""Many members at once: members x buckets x chunks, in one compiled program.

This is where the member axis appears. Each bucket (members of equal static shape) is spread over the devices; there it
is cut into blocks; a block is vmapped, and blocks follow each other, so that a block's activations stay in cache (CPU)
or fill the chip (GPU). Members never speak to each other, so neither do devices. All buckets are traced into ONE
program, `chunk`, which is compiled ahead of time and called once a chunk.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float

from jaxsoft.ops import conv
from jaxsoft.training import evaluate
from jaxsoft.training.evaluate import EvalSet
from jaxsoft.training.fit import Bank, Member, Recipe, State, initialize, train_chunk

_SPREAD, _SHARED = PartitionSpec("member"), PartitionSpec()


class Bucket(NamedTuple):
    """What is static about members of equal shape.

    Attributes:
      recipe: of each of them.
      members: M, a multiple of `block` times the number of devices.
      block: members that are vmapped together.
      chunk_steps: steps that each takes in one call of the program.
    """

    recipe: Recipe
    members: int
    block: int
    chunk_steps: int


class Best(NamedTuple):
    """The checkpoint with the highest accuracy on the first evaluation set so far; of equals, the latest.

    `accuracy` holds that checkpoint's accuracy on every evaluation set.
    """

    variables: dict[str, Any]
    accuracy: Float[Array, "*M S"]


class Students(NamedTuple):
    """A bucket in training. `best` is None where every checkpoint is kept (experts)."""

    state: State
    best: Best | None


class Report(NamedTuple):
    """What a chunk tells about each member: mean training loss, and accuracy and entropy on each evaluation set."""

    loss: Float[Array, "M"]
    accuracy: Float[Array, "M S"]
    entropy: Float[Array, "M S"]


class Program:
    """The compiled functions of a tuple of buckets.

    `compilations` counts what XLA was asked to compile, by function; a sweep of any size needs one `chunk`.
    """

    def __init__(
        self,
        buckets: tuple[Bucket, ...],
        image_shape: tuple[int, ...],
        select: int,
        lowering: str = "auto",
        devices: Sequence[Any] | None = None,
    ):
        """
        Args:
          buckets: static description; arrays come with each call.
          image_shape: (H, W, C).
          select: S, the number of evaluation sets, to keep the best checkpoint on the first of them; 0 to keep none.
          lowering: of the convolutions; `auto` leaves it to `ops.conv`.
          devices: over which members are spread; all local ones if not given.
        """
        self.buckets, self.image_shape, self.select, self.lowering = buckets, image_shape, select, lowering
        self.mesh = Mesh(np.array(devices or jax.local_devices()), ("member",))
        self.compilations: dict[str, int] = {}
        self._compiled: dict[str, jax.stages.Compiled] = {}

    def initialize(self, members: tuple[Member, ...]) -> tuple[Students, ...]:
        """Every member before its first step."""
        return self._call("initialize", self._initialize, (_SPREAD,), members)

    def shapes(self, members: tuple[Member, ...]) -> tuple[Students, ...]:
        """Shapes and types of the students, without computing anything."""
        return jax.eval_shape(self._initialize, members)

    def look(self, bank: Bank, evals: tuple[EvalSet, ...], students: tuple[Students, ...]) -> tuple[Report, ...]:
        """Evaluate every bucket as it stands, without training."""
        return self._call("look", self._look, (_SHARED, _SHARED, _SPREAD), bank, evals, students)

    def chunk(
        self,
        bank: Bank,
        evals: tuple[EvalSet, ...],
        members: tuple[Member, ...],
        students: tuple[Students, ...],
        index: int,
    ) -> tuple[tuple[Students, ...], tuple[Report, ...]]:
        """Train every bucket for its chunk number `index` and evaluate it. `students` is donated: its buffers are gone."""
        specs = (_SHARED, _SHARED, _SPREAD, _SPREAD, _SHARED)
        return self._call("chunk", self._chunk, specs, bank, evals, members, students, np.int32(index), donate=(3,))

    def test(self, bank: Bank, data: EvalSet, students: tuple[Students, ...]) -> tuple[Float[Array, "M"], ...]:
        """Accuracy of each member's chosen checkpoint on a split that training never saw."""
        return self._call("test", self._test, (_SHARED, _SHARED, _SPREAD), bank, data, students)

    def place(self, shared: Any, spread: Any) -> Any:
        """Put trees on the devices: a copy of `shared` on each, a slice of `spread` on each. Once there, it is free."""
        return jax.device_put((shared, spread), tuple(NamedSharding(self.mesh, spec) for spec in (_SHARED, _SPREAD)))

    def temporary_bytes(self) -> int:
        """What the compiled chunk needs beside its arguments, as XLA planned it."""
        analysis = self._compiled["chunk"].memory_analysis()
        return int(analysis.temp_size_in_bytes) if analysis else 0

    def _call(self, name: str, function: Callable, specs: tuple, *args: Any, donate: tuple[int, ...] = ()) -> Any:
        args = jax.device_put(args, tuple(NamedSharding(self.mesh, spec) for spec in specs))
        if name not in self._compiled:
            apart = jax.shard_map(function, mesh=self.mesh, in_specs=specs, out_specs=_SPREAD, check_vma=False)
            with conv.lowering(self.lowering):
                self._compiled[name] = jax.jit(apart, donate_argnums=donate).lower(*args).compile()
            self.compilations[name] = self.compilations.get(name, 0) + 1
        with jax.transfer_guard("disallow"):
            return self._compiled[name](*args)

    def _initialize(self, members: tuple[Member, ...]) -> tuple[Students, ...]:
        """Buckets with the same network share one traced initialisation: random numbers are slow to compile."""
        alike: dict[tuple[str, str], list[int]] = {}
        for i, bucket in enumerate(self.buckets):
            alike.setdefault((bucket.recipe.model, bucket.recipe.optimizer), []).append(i)
        states: dict[int, State] = {}
        for which in alike.values():
            seeds = jnp.concatenate([members[i].seed for i in which])
            recipe = self.buckets[which[0]].recipe
            whole = jax.lax.map(functools.partial(initialize, recipe, self.image_shape), seeds)
            edges = np.cumsum([0, *(len(members[i].seed) for i in which)])
            for i, start, stop in zip(which, edges, edges[1:]):
                states[i] = jax.tree.map(lambda a, s=slice(start, stop): a[s], whole)
        return tuple(self._unseen(states[i]) for i in range(len(self.buckets)))

    def _unseen(self, state: State) -> Students:
        accuracy = jnp.full((*state.bad_step.shape, self.select), -1.0)
        return Students(state, Best(state.variables, accuracy) if self.select else None)

    def _chunk(self, bank: Bank, evals: tuple, members: tuple, students: tuple, index: Array) -> tuple:
        def one(bucket: Bucket, member: Member, student: Students) -> tuple[Students, Report]:
            recipe, steps = bucket.recipe, bucket.chunk_steps
            state, loss = train_chunk(recipe, bank, member, student.state, index * steps, steps)
            report = _report(recipe, bank, evals, state, loss)
            best = student.best and _better(student.best, state, report.accuracy)
            return Students(state, best), report

        done = [_in_blocks(lambda m, s, b=b: one(b, m, s), b, m, s) for b, m, s in zip(self.buckets, members, students)]
        new, reports = zip(*done)
        return new, reports

    def _look(self, bank: Bank, evals: tuple[EvalSet, ...], students: tuple[Students, ...]) -> tuple[Report, ...]:
        def one(bucket: Bucket, student: Students) -> Report:
            return _report(bucket.recipe, bank, evals, student.state, jnp.float32(jnp.nan))

        return tuple(_in_blocks(lambda s, b=b: one(b, s), b, s) for b, s in zip(self.buckets, students))

    def _test(self, bank: Bank, data: EvalSet, students: tuple[Students, ...]) -> tuple[Array, ...]:
        def one(bucket: Bucket, student: Students) -> Array:
            chosen = student.best.variables if student.best else student.state.variables
            return evaluate.evaluate(bucket.recipe, bank, chosen, data)[0]

        return tuple(_in_blocks(lambda s, b=b: one(b, s), b, s) for b, s in zip(self.buckets, students))


def fit(
    program: Program,
    bank: Bank,
    evals: tuple[EvalSet, ...],
    members: tuple[Member, ...],
    chunks: int,
    students: tuple[Students, ...] | None = None,
    done: int = 0,
) -> Iterator[tuple[int, tuple[Students, ...], tuple[Report, ...]]]:
    """Train to the end, chunk by chunk; the caller may look, save, or stop after each.

    Args:
      program: compiled for these buckets.
      bank, evals, members: what they read, and who they are.
      chunks: how many there are in all.
      students, done: to go on after chunk number `done`; from the start if not given.

    Yields:
      The number of chunks done, the students, and what the last chunk told. The students' buffers are reused by the
      next chunk: copy what must outlive it.
    """
    (bank, evals), members = program.place((bank, evals), members)
    students = program.initialize(members) if students is None else students
    for index in range(done, chunks):
        students, reports = program.chunk(bank, evals, members, students, index)
        yield index + 1, students, reports


def pad(members: Member, count: int) -> Member:
    """Repeat the last member until there are `count`, so that every wave has the same shape."""
    have = len(members.seed)
    return jax.tree.map(lambda a: np.concatenate([a, np.repeat(a[-1:], count - have, axis=0)]), members)


def _report(recipe: Recipe, bank: Bank, evals: tuple[EvalSet, ...], state: State, loss: Array) -> Report:
    scores = [evaluate.evaluate(recipe, bank, state.variables, data) for data in evals]
    return Report(loss, *(jnp.stack(column) for column in zip(*scores)))


def _better(best: Best, state: State, accuracy: Float[Array, "S"]) -> Best:
    new = Best(state.variables, accuracy)
    return jax.tree.map(functools.partial(jnp.where, accuracy[0] >= best.accuracy[0]), new, best)


def _in_blocks(function: Callable, bucket: Bucket, *trees: Any) -> Any:
    """vmap inside a block, one block after another."""
    if len(jax.tree.leaves(trees)[0]) == bucket.block:
        return jax.vmap(function)(*trees)
    cut = jax.tree.map(lambda a: a.reshape(-1, bucket.block, *a.shape[1:]), trees)
    done = jax.lax.map(lambda block: jax.vmap(function)(*block), cut)
    return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), done)
