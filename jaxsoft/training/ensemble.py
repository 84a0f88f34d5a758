"""Many members at once: members x buckets x chunks, in one compiled program.

Each bucket (members of equal static shape) is spread over the devices, and cut into blocks there (`blocks`). Members
never speak to each other, so neither do devices. All buckets are traced into ONE program, `chunk`, which is compiled ahead
of time and called once a chunk. Evaluation does not care what a member is trained on: all buckets with the same network
are evaluated together, by code that is compiled once.
"""

import collections
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Int

from jaxsoft import imports, numerics, target
from jaxsoft.ops import conv
from jaxsoft.training import cost, evaluate
from jaxsoft.training.blocks import in_blocks
from jaxsoft.training.evaluate import EvalSet
from jaxsoft.training.fit import Bank, Member, State, initialize, train_chunk
from jaxsoft.training.recipe import Recipe

_SPREAD, _SHARED = PartitionSpec("member"), PartitionSpec()
_MOST_KEPT = 32  # compiled functions; a program has three or four
# Of each function of a program: how its arguments lie on the devices, and which of them it may overwrite.
_ARGUMENTS: dict[str, tuple[tuple[PartitionSpec, ...], tuple[int, ...]]] = {
    "initialize": ((_SPREAD,), ()),
    "look": ((_SHARED, _SHARED, _SPREAD), ()),
    "chunk": ((_SHARED, _SHARED, _SPREAD, _SPREAD, _SHARED), (3,)),
    "test": ((_SHARED, _SHARED, _SPREAD), ()),
}


class Bucket(NamedTuple):
    """What is static about members of equal shape."""

    recipe: Recipe
    members: int  # M, a multiple of `block` times the number of devices
    block: int  # members that are vmapped together
    chunk_steps: int  # steps that each takes in one call of the program
    tile: int = 0  # images of a batch that are taken at a time; 0 for all at once
    lowering: str = "auto"  # of its convolutions, as in `ops.conv`


class Best(NamedTuple):
    """The checkpoint with the highest accuracy on the first evaluation set so far; of equals, the latest.

    `accuracy` holds that checkpoint's accuracy on every evaluation set, `highest` the highest of all checkpoints on each.
    """

    variables: dict[str, Any]
    accuracy: Float[Array, "*M S"]
    highest: Float[Array, "*M S"]


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

    `compilations` counts what XLA was asked to compile, by function; a sweep of any size needs one `chunk`. Programs of
    equal `identity` share what is compiled for arguments of equal shape: a second sweep of one process needs none.
    To compile took `compile_seconds`, tracing included.
    """

    def __init__(
        self,
        buckets: tuple[Bucket, ...],
        image_shape: tuple[int, ...],
        select: int,
        devices: Sequence[Any] | None = None,
    ):
        """
        Args:
          buckets: static description; arrays come with each call.
          image_shape: (H, W, C), or (T, H, W, C) of clips.
          select: S, the number of evaluation sets, to keep the best checkpoint on the first of them; 0 to keep none.
          devices: over which members are spread; all local ones if not given.
        """
        self.buckets, self.image_shape, self.select = buckets, image_shape, select
        self.mesh = Mesh(np.array(devices or jax.local_devices()), ("member",))
        code, settings = [tuple(b.recipe.code().items()) for b in buckets], sorted(numerics.identity().items())
        self.identity = buckets, image_shape, select, self.mesh, tuple(code), tuple(settings), imports.stamps()
        self.compilations: dict[str, int] = collections.Counter()
        self.compile_seconds = 0.0
        self._compiled: dict[str, jax.stages.Compiled] = {}

    def initialize(self, members: tuple[Member, ...]) -> tuple[Students, ...]:
        """Every member before its first step."""
        return self._call("initialize", members)

    def shapes(self, members: tuple[Member, ...]) -> tuple[Students, ...]:
        """Shapes and types of the students, without computing anything."""
        return jax.eval_shape(self._initialize, members)

    def look(self, bank: Bank, evals: tuple[EvalSet, ...], students: tuple[Students, ...]) -> tuple[Report, ...]:
        """Evaluate every bucket as it stands, without training."""
        return self._call("look", bank, evals, students)

    def chunk(
        self,
        bank: Bank,
        evals: tuple[EvalSet, ...],
        members: tuple[Member, ...],
        students: tuple[Students, ...],
        index: int,
    ) -> tuple[tuple[Students, ...], tuple[Report, ...]]:
        """Train every bucket for its chunk number `index` and evaluate it. `students` is donated: its buffers are gone."""
        return self._call("chunk", bank, evals, members, students, np.int32(index))

    def test(self, bank: Bank, data: EvalSet, students: tuple[Students, ...]) -> tuple[Int[Array, "M K"], ...]:
        """How many images of each class of a split each member's chosen checkpoint predicts correctly."""
        return self._call("test", bank, data, students)

    def place(self, shared: Any, spread: Any) -> Any:
        """Put trees on the devices: a copy of `shared` on each, a slice of `spread` on each. Once there, it is free."""
        return jax.device_put((shared, spread), tuple(NamedSharding(self.mesh, spec) for spec in (_SHARED, _SPREAD)))

    def bytes(self) -> int:
        """What the compiled chunk holds at its peak on all devices, as XLA planned it."""
        return cost.planned_bytes(self._compiled["chunk"]) * self.mesh.size

    def compiled(self, name: str, *args: Any) -> jax.stages.Compiled:
        """One of the functions, compiled once for arguments of these shapes.

        Args:
          name: initialize, look, chunk or test.
          args: what it is called with, arrays or `jax.ShapeDtypeStruct`s: devices that are not here can be compiled for.
        """
        if name not in self._compiled:
            start, shapes = time.perf_counter(), self._described(name, args)
            leaves, tree = jax.tree.flatten(shapes)
            kept = _compiled(self.identity, name, tuple(leaves), tree)
            if not kept:
                kept.append(self.lowered(name, *shapes).compile())
                self.compilations[name] += 1
            self._compiled[name] = kept[0]
            self.compile_seconds += time.perf_counter() - start
        return self._compiled[name]

    def lowered(self, name: str, *args: Any) -> jax.stages.Lowered:
        """What XLA is given to compile for one of the functions; arguments as `compiled`."""
        (specs, donated), function = _ARGUMENTS[name], getattr(self, f"_{name}")
        apart = jax.shard_map(function, mesh=self.mesh, in_specs=specs, out_specs=_SPREAD, check_vma=False)
        with conv.exactly(), target.aimed(target.of(self.mesh.devices.ravel().tolist())):
            return jax.jit(apart, donate_argnums=donated).lower(*self._described(name, args))

    def _described(self, name: str, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The arguments of a function as shapes that lie where it wants them."""

        def shapes(spec: PartitionSpec, tree: Any) -> Any:
            there = NamedSharding(self.mesh, spec)
            return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=there), tree)

        return tuple(map(shapes, _ARGUMENTS[name][0], args))

    def _call(self, name: str, *args: Any) -> Any:
        args = jax.device_put(args, tuple(NamedSharding(self.mesh, spec) for spec in _ARGUMENTS[name][0]))
        function = self.compiled(name, *args)
        with jax.transfer_guard("disallow"):
            return function(*args)

    def _initialize(self, members: tuple[Member, ...]) -> tuple[Students, ...]:
        """Every network is initialised by one loop: random numbers are slow to compile."""

        def start(bucket: Bucket, seeds: Array) -> State:
            return jax.lax.map(functools.partial(initialize, bucket.recipe, self.image_shape), seeds)

        def unseen(state: State) -> Students:
            accuracy = jnp.full((*state.bad_step.shape, self.select), -1.0)
            return Students(state, Best(state.variables, accuracy, accuracy) if self.select else None)

        alike = lambda b: (b.recipe.model, b.recipe.optimizer, b.recipe.features, b.recipe.layer)  # noqa: E731
        states = self._together(alike, start, [m.seed for m in members])
        return tuple(map(unseen, states))

    def _chunk(self, bank: Bank, evals: tuple, members: tuple, students: tuple, index: Array) -> tuple:
        def train(bucket: Bucket, member: Member, state: State) -> tuple[State, Array]:
            steps, alone = bucket.chunk_steps, bucket.block == 1
            with conv.lowering(bucket.lowering):
                return train_chunk(bucket.recipe, bank, member, state, index * steps, steps, bucket.tile, alone)

        each = zip(self.buckets, members, students)
        states, losses = zip(*(in_blocks(functools.partial(train, b), b.block, m, s.state) for b, m, s in each))
        reports = tuple(map(Report, losses, *self._scores(bank, evals, [state.variables for state in states])))
        best = [s.best and _better(s.best, state, r.accuracy) for s, state, r in zip(students, states, reports)]
        return tuple(map(Students, states, best)), reports

    def _look(self, bank: Bank, evals: tuple[EvalSet, ...], students: tuple[Students, ...]) -> tuple[Report, ...]:
        accuracy, entropy = self._scores(bank, evals, [s.state.variables for s in students])
        return tuple(Report(jnp.zeros(len(a)), a, e) for a, e in zip(accuracy, entropy))

    def _test(self, bank: Bank, data: EvalSet, students: tuple[Students, ...]) -> tuple[Array, ...]:
        chosen = [s.best.variables if s.best else s.state.variables for s in students]
        count = functools.partial(evaluate.correct_by_class, data=data)
        return tuple(self._ask(count, bank, (data,), chosen))

    def _scores(self, bank: Bank, evals: tuple[EvalSet, ...], variables: Sequence[Any]) -> tuple[tuple, tuple]:
        """Accuracy and entropy [M, S] of every bucket's members."""

        def one(recipe: Recipe, bank: Bank, member: Any) -> tuple[Array, ...]:
            scores = [evaluate.evaluate(recipe, bank, member, data) for data in evals]
            return tuple(jnp.stack(column) for column in zip(*scores))

        accuracy, entropy = zip(*self._ask(one, bank, evals, variables))
        return accuracy, entropy

    def _ask(self, function: Callable, bank: Bank, evals: tuple[EvalSet, ...], variables: Sequence[Any]) -> list[Any]:
        """`function(recipe, bank, variables of a member)` of every bucket's members, in blocks that fit the images."""
        largest = max(data.images.shape[1] for data in evals)

        def ask(bucket: Bucket, variables: Any) -> Any:
            members = len(jax.tree.leaves(variables)[0])
            block = cost.choose_block(bucket.recipe, self.image_shape, members, largest, bucket.lowering)
            with conv.lowering(bucket.lowering):
                return in_blocks(functools.partial(function, bucket.recipe, bank), block, variables)

        return self._together(lambda b: b.recipe.model, ask, variables)

    def _together(self, alike: Callable[[Bucket], Any], function: Callable, trees: Sequence[Any]) -> list[Any]:
        """One call of `function(bucket, tree)` for all buckets that are `alike`, each given back its own part."""
        results: dict[int, Any] = {}
        for kind in dict.fromkeys(map(alike, self.buckets)):
            which = [i for i, bucket in enumerate(self.buckets) if alike(bucket) == kind]
            edges = np.cumsum([0, *(len(jax.tree.leaves(trees[i])[0]) for i in which)])
            whole = jax.tree.map(lambda *parts: jnp.concatenate(parts), *(trees[i] for i in which))
            done = function(self.buckets[which[0]], whole)
            for i, start, stop in zip(which, edges, edges[1:]):
                results[i] = jax.tree.map(lambda a, s=slice(start, stop): a[s], done)
        return [results[i] for i in range(len(self.buckets))]


@functools.partial(imports.cached, most=_MOST_KEPT)
def _compiled(*known: Any) -> list[jax.stages.Compiled]:
    """Where what is compiled for equal arguments is kept, once it is."""
    return []


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


def _better(best: Best, state: State, accuracy: Float[Array, "M S"]) -> Best:
    better, highest = accuracy[:, 0] >= best.accuracy[:, 0], jnp.maximum(best.highest, accuracy)

    def keep(new: Array, old: Array) -> Array:
        return jnp.where(better.reshape(-1, *[1] * (new.ndim - 1)), new, old)

    variables, accuracy = jax.tree.map(keep, (state.variables, accuracy), (best.variables, best.accuracy))
    return Best(variables, accuracy, highest)
