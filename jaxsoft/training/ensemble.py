"""Many members at once: members x buckets x chunks, in one compiled program.

Each bucket (members of equal static shape) is spread over groups of devices, and cut into blocks there (`blocks`). Members
never speak to each other, so neither do groups; devices of one group share every batch (`mesh`). All buckets are traced
into ONE program, `chunk`, which is compiled ahead of time and called once a chunk; or `learn`, once a window of a stream.
Evaluation does not care what a member is trained on: all buckets with the same network are evaluated together, by code
that is compiled once.
"""

import collections
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from jaxtyping import Array, Float, Int

from jaxsoft import imports, numerics, target
from jaxsoft.ops import conv
from jaxsoft.training import cost, evaluate, mesh
from jaxsoft.training.blocks import in_blocks
from jaxsoft.training.buckets import Bucket, Judged, Report, Students, better, unseen
from jaxsoft.training.evaluate import EvalSet
from jaxsoft.training.fit import Bank, Member, State, Window, initialize, train_chunk, train_window
from jaxsoft.training.mesh import SHARED, SPLIT, SPREAD
from jaxsoft.training.recipe import Recipe

_MOST_KEPT = 32  # compiled functions; a program has three or four
# Of each function of a program: how its arguments lie on the devices, and which of them it may overwrite.
_ARGUMENTS: dict[str, tuple[tuple[PartitionSpec, ...], tuple[int, ...]]] = {
    "initialize": ((SPREAD,), ()),
    "look": ((SHARED, SHARED, SPREAD), ()),
    "chunk": ((SHARED, SHARED, SPREAD, SPREAD, SHARED), (3,)),
    "test": ((SHARED, SHARED, SPREAD), ()),
    "learn": ((SHARED, SPLIT, SPREAD, SPREAD, SHARED), (3,)),
    "judge": ((SHARED, SPLIT, SPREAD), ()),
}


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
        data: int = 1,
    ):
        """
        Args:
          buckets: static description; arrays come with each call.
          image_shape: (H, W, C), or (T, H, W, C) of clips.
          select: S, the number of evaluation sets, to keep the best checkpoint on the first of them; 0 to keep none.
          devices: over which members are spread; all local ones if not given.
          data: how many of them share each batch; it divides their number, and every batch.
        """
        self.buckets, self.image_shape, self.select = buckets, image_shape, select
        self.mesh, self.data = mesh.over(devices or jax.local_devices(), data), data
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

    def learn(
        self, bank: Bank, window: Window, members: tuple[Member, ...], students: tuple[Students, ...], first_step: int
    ) -> tuple[tuple[Students, ...], tuple[Float[Array, "M"], ...]]:
        """Train every bucket on a window whose first step has this number. `students` is donated: its buffers are gone.

        Args:
          bank: how stored images are normalised, and a label row for each class; it needs no images.
          window: of every batch this process's part, see `share`.
          members: images and rows of theirs are not read.
          students: before it.
          first_step: counted from the start of training; what a step draws depends on its number.

        Returns:
          The students after it, and each one's mean loss over the steps of the window that are not all padding.
        """
        return self._call("learn", bank, window, members, students, np.int32(first_step))

    def judge(self, bank: Bank, window: Window, students: tuple[Students, ...]) -> tuple[Judged, ...]:
        """What every bucket says of the images of a window, as it stands; `bank` and `window` as `learn` takes them."""
        return self._call("judge", bank, window, students)

    @property
    def share(self) -> tuple[int, int]:
        """(i, n): of B images of a batch this process gives i * B / n to (i + 1) * B / n to a window."""
        return mesh.share(self.mesh)

    def place_window(self, window: Window) -> Window:
        """Put a window on the devices, which takes no time of theirs while they train on another."""
        return mesh.put(self.mesh, (SPLIT,), (window,))[0]

    def place(self, shared: Any, spread: Any) -> Any:
        """Put trees on the devices: a copy of `shared` on each, a slice of `spread` on each. Once there, it is free."""
        return mesh.put(self.mesh, (SHARED, SPREAD), (shared, spread))

    def bytes(self) -> int:
        """What the compiled chunk holds at its peak on all devices, as XLA planned it."""
        return cost.planned_bytes(self._compiled["chunk"]) * self.mesh.size

    def compiled(self, name: str, *args: Any) -> jax.stages.Compiled:
        """One of the functions, compiled once for arguments of these shapes.

        Args:
          name: initialize, look, chunk, test, learn or judge.
          args: what it is called with, arrays or `jax.ShapeDtypeStruct`s: devices that are not here can be compiled for.
        """
        if name not in self._compiled:
            start, shapes = time.perf_counter(), mesh.described(self.mesh, _ARGUMENTS[name][0], args)
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
        (several, donated), function = _ARGUMENTS[name], getattr(self, f"_{name}")
        specs = mesh.specs(self.mesh, several)
        apart = jax.shard_map(function, mesh=self.mesh, in_specs=specs, out_specs=SPREAD, check_vma=False)
        with conv.exactly(), target.aimed(target.of(self.mesh.devices.ravel().tolist())):
            return jax.jit(apart, donate_argnums=donated).lower(*mesh.described(self.mesh, several, args))

    def _call(self, name: str, *args: Any) -> Any:
        args = mesh.put(self.mesh, _ARGUMENTS[name][0], args)
        function = self.compiled(name, *args)
        with jax.transfer_guard("disallow"):
            return function(*args)

    def _initialize(self, members: tuple[Member, ...]) -> tuple[Students, ...]:
        """Every network is initialised by one loop: random numbers are slow to compile."""

        def start(bucket: Bucket, seeds: Array) -> State:
            return jax.lax.map(functools.partial(initialize, bucket.recipe, self.image_shape), seeds)

        alike = lambda b: (b.recipe.model, b.recipe.optimizer, b.recipe.features, b.recipe.layer)  # noqa: E731
        states = self._together(alike, start, [m.seed for m in members])
        return tuple(Students(state, unseen(state, self.select) if self.select else None) for state in states)

    def _chunk(self, bank: Bank, evals: tuple, members: tuple, students: tuple, index: Array) -> tuple:
        def train(bucket: Bucket, member: Member, state: State, *how: Any) -> tuple[State, Array]:
            steps = bucket.chunk_steps
            return train_chunk(bucket.recipe, bank, member, state, index * steps, steps, *how)

        states, losses = self._trained(train, members, students)
        reports = tuple(map(Report, losses, *self._scores(bank, evals, [state.variables for state in states])))
        best = [s.best and better(s.best, state, r.accuracy) for s, state, r in zip(students, states, reports)]
        return tuple(map(Students, states, best)), reports

    def _learn(self, bank: Bank, window: Window, members: tuple, students: tuple, first_step: Array) -> tuple:
        def train(bucket: Bucket, member: Member, state: State, *how: Any) -> tuple[State, Array]:
            return train_window(bucket.recipe, bank, member, state, window, first_step, *how)

        states, losses = self._trained(train, members, students)
        return tuple(Students(state, s.best) for state, s in zip(states, students)), losses

    def _trained(self, train: Callable, members: tuple, students: tuple) -> tuple[tuple[State, ...], tuple[Array, ...]]:
        """States and losses by `train(bucket, member, state, tile, alone, shards)`."""

        def one(bucket: Bucket, member: Member, state: State) -> tuple[State, Array]:
            with conv.lowering(bucket.lowering):
                return train(bucket, member, state, bucket.tile, bucket.block == 1, self.data)

        each = zip(self.buckets, members, students)
        states, losses = zip(*(in_blocks(functools.partial(one, b), b.block, m, s.state) for b, m, s in each))
        return states, losses

    def _judge(self, bank: Bank, window: Window, students: tuple[Students, ...]) -> tuple[Judged, ...]:
        data, count = EvalSet(*window), (window.labels >= 0).sum()
        said = self._ask(
            functools.partial(evaluate.sums, data=data), bank, (data,), [s.state.variables for s in students]
        )
        told = tuple(Judged(c.sum(1), e.sum(1), jnp.full(len(c), count)) for c, e in said)
        return jax.lax.psum(told, mesh.DATA) if self.data > 1 else told

    def _look(self, bank: Bank, evals: tuple[EvalSet, ...], students: tuple[Students, ...]) -> tuple[Report, ...]:
        accuracy, entropy = self._scores(bank, evals, [s.state.variables for s in students])
        return tuple(Report(jnp.zeros(len(a)), a, e) for a, e in zip(accuracy, entropy))

    def _test(self, bank: Bank, data: EvalSet, students: tuple[Students, ...]) -> tuple[Array, ...]:
        chosen = [s.best.variables if s.best else s.state.variables for s in students]
        count = functools.partial(evaluate.correct_by_class, data=data, shards=self.data)
        return tuple(self._ask(count, bank, (data,), chosen))

    def _scores(self, bank: Bank, evals: tuple[EvalSet, ...], variables: Sequence[Any]) -> tuple[tuple, tuple]:
        """Accuracy and entropy [M, S] of every bucket's members."""

        def one(recipe: Recipe, bank: Bank, member: Any) -> tuple[Array, ...]:
            scores = [evaluate.evaluate(recipe, bank, member, data, self.data) for data in evals]
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
