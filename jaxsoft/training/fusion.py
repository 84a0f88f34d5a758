"""What an accelerator's compiler makes of a traced program: its kernels, the bytes they move, the memory they need.

A simple picture of fusion, read off the traced program, so that it follows every change of that: convolutions, matrix
products, reductions and loops write their results to memory; what lies between them is computed where it is read, once
for each reader. How near that comes to what XLA compiles is in docs/performance.md.
"""

import collections
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from jax.extend import core

KINDS = "images", "products", "maps", "update"
"""Kernels of a training step: what makes its batch; convolutions, matrix products and the windows that they read; the
rest of network and loss, forward and backward; what follows. Of a program without a gradient all that is no product is
`images`."""

_PRODUCTS = "conv_general_dilated", "dot_general"
_LOOPS = "scan", "while", "cond"
_OWN = ("pallas_call",)  # kernels of our own
_WRITTEN = "sort", "argmax", "argmin", "top_k", "select_and_scatter_add"  # beside reductions, scatters
_WINDOWS = "concatenate", "rev", "pad"  # what products by patches read
# What computes nothing; products read transposed arrays as they lie.
_VIEWS = "reshape", "squeeze", "expand_dims", "transpose", "copy", "copy_p", "stop_gradient", "optimization_barrier"
_PARTS = "slice", "dynamic_slice", "gather"
_CALLED = "jaxpr", "call_jaxpr", "call", "fun_jaxpr"  # parameters that hold what an operation calls


class Kernel(NamedTuple):
    """Kernels of equal shape, one after another."""

    kind: str  # of `KINDS`
    times: float  # how often it runs
    bytes: int  # that it reads and writes each time
    flops: float  # of its convolution or matrix product, each time


class Account(NamedTuple):
    """What a program does, and how many bytes it holds at once beside arguments and results."""

    kernels: tuple[Kernel, ...]
    peak: int


class _Value:
    """A value of the program once calls are followed; known by what it is, not by what it is equal to."""

    def __init__(self, aval: Any):
        self.aval = aval


class _Use(NamedTuple):
    """What a kernel, or a loop, does to memory."""

    reads: frozenset[_Value]
    writes: tuple[_Value, ...]
    inside: int  # bytes that come and go in a loop
    over: frozenset[_Value]  # where its results may lie if nobody else reads that


class _Operation(NamedTuple):
    name: str
    reads: list[Any]  # values, and literals
    writes: list[_Value]
    params: Mapping[str, Any]
    stack: str  # where it was written: the scopes around it
    flops: float

    @property
    def is_written(self) -> bool:
        """Whether its results go to memory, whoever reads them."""
        named = self.name in (*_PRODUCTS, *_LOOPS, *_OWN, *_WRITTEN) or self.name.startswith(
            ("reduce_", "scatter", "cum")
        )
        return named and self.name != "reduce_precision"


def account(function: Callable, *shapes: Any) -> Account:
    """Count what a function of `jax.ShapeDtypeStruct`s does."""
    return _account(jax.make_jaxpr(function)(*shapes).jaxpr)


def _account(jaxpr: Any, stack: str = "", times: float = 1.0) -> Account:
    operations, results = _followed(jaxpr, {}, stack)
    operations, alias = _once(_needed(operations, results))
    results = [alias.get(value, value) for value in results]
    written = _written(operations, results)
    made = {value for operation in operations for value in operation.writes}
    sources: dict[_Value, dict[_Value, int]] = {}  # of what is computed where it is read: what that reads, and bytes
    kernels: dict[Any, Kernel] = {}
    uses: list[_Use] = []
    for operation in operations:
        most = sum(map(_size, operation.writes)) if operation.name in _PARTS else None
        reads: dict[_Value, int] = {}
        for value in _values(operation.reads):
            there = sources[value] if value in made and value not in written else {value: _size(value)}
            for source, count in there.items():
                reads[source] = max(reads.get(source, 0), count if most is None else min(most, count))
        sources |= dict.fromkeys(operation.writes, reads)
        own, inside = [v for v in operation.writes if v in written], 0
        for body, often in _bodies(operation.name, operation.params, operation.reads):
            inner = _account(body, operation.stack, times * often)
            inside = max(inside, inner.peak)
            kernels |= {(id(operation), often, i): kernel for i, kernel in enumerate(inner.kernels)}
        if own and operation.name not in _LOOPS:
            moved, key = sum(map(_size, own)), _together(operation, reads)
            before = kernels.get(key) or Kernel(_kind(operation, kernels), times, sum(reads.values()), 0)
            kernels[key] = before._replace(bytes=before.bytes + moved, flops=before.flops + operation.flops)
        if own:
            uses.append(_Use(frozenset(reads), tuple(own), inside, _place(operation, reads)))
    return Account(tuple(kernels.values()), _peak(uses, {*_values(results)}))


def _followed(jaxpr: Any, known: dict[Any, Any], stack: str) -> tuple[list[_Operation], list[Any]]:
    """The operations of a program and of all that it calls, in order, and its results."""
    found: list[_Operation] = []

    def value(variable: Any) -> Any:
        is_literal = isinstance(variable, core.Literal)
        return variable if is_literal else known.setdefault(variable, _Value(variable.aval))

    for equation in jaxpr.eqns:
        name, reads = equation.primitive.name, [*map(value, equation.invars)]
        scopes = f"{stack}/{equation.source_info.name_stack}"
        called = next((p for k in _CALLED if (p := equation.params.get(k)) is not None), None)
        if name == "split":  # who reads one part does not read the others
            parts = enumerate(map(value, equation.outvars))
            found += [_Operation("slice", reads, [part], {"part": i}, scopes, 0.0) for i, part in parts]
            continue
        if called is None or name in (*_LOOPS, *_OWN):
            found.append(
                _Operation(name, reads, [*map(value, equation.outvars)], equation.params, scopes, _flops(equation))
            )
            continue
        inner = getattr(called, "jaxpr", called)
        given = dict(zip(inner.invars, reads[len(reads) - len(inner.invars) :]))
        inside, results = _followed(inner, given, scopes)
        found += inside
        known |= dict(zip(equation.outvars, results))
    return found, [*map(value, jaxpr.outvars)]


def _needed(operations: Sequence[_Operation], results: Iterable[Any]) -> list[_Operation]:
    """Those without which the results could not be."""
    wanted, kept = {*_values(results)}, []
    for operation in reversed(operations):
        if not wanted.isdisjoint(operation.writes):
            kept.append(operation)
            wanted.update(_values(operation.reads))
    return kept[::-1]


def _once(operations: Iterable[_Operation]) -> tuple[list[_Operation], dict[_Value, _Value]]:
    """Without what is computed twice and what only looks at a value in another shape; and for values, where they lie."""
    lies: dict[_Value, _Value] = {}
    equal: dict[_Value, _Value] = {}  # the first of several that are
    seen: dict[Any, _Value] = {}
    kept = []
    for operation in operations:
        own, is_known = operation.writes[0], [isinstance(v, _Value) for v in operation.reads]
        of = tuple(id(equal.get(v, v)) if known else str(v) for v, known in zip(operation.reads, is_known))
        reads: list[Any] = [lies.get(v, v) if known else v for v, known in zip(operation.reads, is_known)]
        if operation.name not in _LOOPS and len(operation.writes) == 1:
            first = seen.setdefault((operation.name, of, str(operation.params)), own)
            if first is not own:
                equal[own], lies[own] = first, lies.get(first, first)
                continue
        if operation.name in _VIEWS and is_known[0]:
            lies[own] = reads[0]
        else:
            kept.append(operation._replace(reads=reads))
    return kept, lies


def _written(operations: Iterable[_Operation], results: Iterable[Any]) -> set[_Value]:
    """The values that go to memory: results, and what products, reductions and loops write, and products and loops read."""
    found = {*_values(results)}
    for operation in operations:
        found.update(operation.writes if operation.is_written else ())
        found.update(_values(operation.reads) if operation.name in (*_PRODUCTS, *_LOOPS, *_OWN) else ())
    return found


def _size(value: _Value) -> int:
    """Bytes of an array."""
    return value.aval.size * value.aval.dtype.itemsize


def _values(some: Iterable[Any]) -> Iterator[_Value]:
    return (value for value in some if isinstance(value, _Value))


def _bodies(name: str, params: Mapping[str, Any], reads: Sequence[Any]) -> Iterator[tuple[Any, float]]:
    """The programs that a loop runs, and how often; one whose number of turns is not known, once."""
    if name == "scan":
        yield params["jaxpr"].jaxpr, params["length"]
    elif name == "while":
        yield params["body_jaxpr"].jaxpr, _turns(params, reads)
    elif name == "cond":
        yield params["branches"][-1].jaxpr, 1


def _turns(params: Mapping[str, Any], reads: Sequence[Any]) -> int:
    """Of a loop that counts up to a number: it carries both."""
    first, last = reads[params["cond_nconsts"] + params["body_nconsts"] :][:2]
    counts = [equation.primitive.name for equation in params["cond_jaxpr"].eqns] == ["lt"]
    return int(last.val - first.val) if counts and all(isinstance(v, core.Literal) for v in (first, last)) else 1


def _place(operation: _Operation, reads: Iterable[_Value]) -> frozenset[_Value]:
    """What results may lie over: of a loop what it starts from, of an array computed pixel by pixel one of its kind."""
    params, given = operation.params, operation.reads
    if operation.name == "scan":
        return frozenset(_values(given[params["num_consts"] :][: params["num_carry"]]))
    if operation.name == "while":
        return frozenset(_values(given[params["cond_nconsts"] + params["body_nconsts"] :]))
    own = operation.writes[0].aval
    alike = (v for v in reads if (v.aval.size, v.aval.dtype) == (own.size, own.dtype))
    return frozenset(alike if not operation.is_written else ())


def _together(operation: _Operation, reads: Mapping[_Value, int]) -> Any:
    """What is equal for results that one kernel writes: all that is read, but for products, of which each is its own."""
    alike = operation.name.startswith("reduce_") or not operation.is_written
    return (frozenset(reads), operation.is_written) if alike else id(operation)


def _kind(operation: _Operation, before: Mapping[Any, Kernel]) -> str:
    if operation.flops or ("jvp(" in operation.stack and operation.name in _WINDOWS):
        return "products"
    if "jvp(" in operation.stack:
        return "maps"
    return "update" if any(kernel.kind == "maps" for kernel in before.values()) else "images"


def _flops(equation: Any) -> float:
    """Of a convolution or matrix product: a multiplication and an addition for each of its terms; of a kernel, of those in it."""
    if equation.primitive.name == "pallas_call":
        turns = math.prod(equation.params["grid_mapping"].grid)
        return turns * _flops_of(equation.params["jaxpr"])
    if equation.primitive.name not in _PRODUCTS:
        return 0.0
    terms, dims = 2.0 * equation.outvars[0].aval.size, equation.params["dimension_numbers"]
    if equation.primitive.name == "dot_general":
        left = equation.invars[0].aval.shape
        return terms * math.prod(left[axis] for axis in dims[0][0])
    kernel, apart = equation.invars[1].aval.shape, math.prod(equation.params["lhs_dilation"])
    return terms * math.prod(kernel) / kernel[dims.rhs_spec[0]] / apart  # but for the zeros between pixels


def _flops_of(kernel: Any) -> float:
    """Of one program of a kernel, loops multiplied out."""
    return sum(
        _flops(e) + sum(often * _flops_of(body) for body, often in _bodies(e.primitive.name, e.params, e.invars))
        for e in kernel.eqns
    )


def _peak(uses: Sequence[_Use], results: set[_Value]) -> int:
    """The most that lies in memory at once, in the order of the program or, if that needs less, as it becomes free."""
    bytes_of_own = {value: _size(value) for use in uses for value in use.writes if value not in results}
    return min(_held(uses, bytes_of_own), _held(_freeing(uses, bytes_of_own), bytes_of_own))


def _held(uses: Sequence[_Use], sizes: Mapping[_Value, int]) -> int:
    """Of kernels in this order: a value lies there from its kernel to its last reader."""
    last = {value: i for i, use in enumerate(uses) for value in (*use.reads, *use.writes)}
    most = now = 0
    for i, use in enumerate(uses):
        gone = {value for value in (*use.reads, *use.writes) if last[value] == i}
        now += sum(sizes.get(value, 0) for value in use.writes)
        free = sum(sizes.get(value, 0) for value in gone & use.over)
        most = max(most, now + use.inside - min(free, sum(sizes.get(value, 0) for value in use.writes)))
        now -= sum(sizes.get(value, 0) for value in gone)
    return most


def _freeing(uses: Sequence[_Use], sizes: Mapping[_Value, int]) -> list[_Use]:
    """In the order of a scheduler of lists: next is what frees most beyond what it writes, of all that can be next."""
    made = {value for use in uses for value in use.writes}
    left, there, order = [*uses], set[_Value](), list[_Use]()
    readers = collections.Counter(value for use in uses for value in use.reads)
    while left:
        ready = [use for use in left if all(value in there or value not in made for value in use.reads)]

        def gain(use: _Use) -> int:
            freed = sum(sizes.get(value, 0) for value in use.reads if readers[value] == 1)
            return freed - sum(sizes.get(value, 0) for value in use.writes)

        best = max(ready, key=gain)
        left.remove(best)
        order.append(best)
        there.update(best.writes)
        readers.subtract(best.reads)
    return order
