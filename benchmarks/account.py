"""What an optimised program of XLA does, read from its text: kernels, loops, bytes, and which lines of code they are of.

Counts are exact for what the text says: loops are multiplied out, a gather or a slice reads what it gives, an update in
place writes what it puts, what a TPU's tiles pad counts as padded, and what stays in its fast memory not at all. Whether a
cache holds an array between two kernels no text says: bytes are those of every operand and result.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

_HEAD = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\) -> .* \{$")
_INSTRUCTION = re.compile(r"^\s+(ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)$")
_SHAPE = re.compile(r"\b(pred|bf16|[sufc]\d\w*)\[([\d,]*)\](?:\{([^}]*)\})?")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_STEPS = re.compile(r":train_chunk(\.<locals>\.(?!step\b)\w+)?$")
# What costs nothing by itself: names of what is there already, and the end of what was begun before.
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all", "partition-id", "opt-barrier"}
_VIEWS = {"bitcast", "get-tuple-element", "reshape"}
_PARTIAL = {"dynamic-slice", "gather", "slice"}
_EMPTY_CALLS = "AllocateBuffer", "AssumeGatherIndicesInBound"


class Instruction(NamedTuple):
    """A line of a computation."""

    name: str
    kind: str  # its type, with the layout
    op: str
    operands: tuple[str, ...]
    line: str
    is_root: bool

    def called(self, what: str) -> str:
        """The computation that an attribute such as `body` or `calls` names; empty if it has none."""
        found = re.search(rf"\b{what}=%?([\w.\-]+)", self.line)
        return found[1] if found else ""


class Loop(NamedTuple):
    """A while loop with its trips, and whose it is."""

    name: str
    trips: int
    frames: tuple[str, ...]


class Kernel(NamedTuple):
    """What is launched: a fusion, a call of a library, a copy."""

    name: str
    op: str
    kind: str  # what it gives
    bytes: int  # read and written in main memory, once
    loops: tuple[Loop, ...]  # that it is in, outermost first
    frames: tuple[str, ...]  # `file:function` of its source, innermost first
    scope: str  # the name that JAX gave it

    @property
    def times(self) -> int:
        """How often it is launched in one call of the program."""
        return math.prod(loop.trips for loop in self.loops)

    @property
    def step(self) -> int:
        """Which of its loops is that over training steps, the innermost of `train_chunk` itself; -1 outside of any."""
        own = (i for i, loop in enumerate(self.loops) if loop.frames and _STEPS.search(loop.frames[0]))
        return max(own, default=-1)

    @property
    def trains(self) -> bool:
        """Whether it is of the steps of a chunk: in their loop, or around it for several of them at once."""
        return self.step >= 0 or any(_STEPS.search(frame) for frame in self.frames)


def kernels(text: str) -> list[Kernel]:
    """Every kernel of an optimised program, once, with the loops that it is in."""
    return list(_Program(text).walk())


def loops_in_steps(found: list[Kernel]) -> list[Loop]:
    """The loops inside a training step."""
    inside = (loop for k in found if k.step >= 0 for loop in k.loops[k.step + 1 :])
    return list(dict.fromkeys(inside))


PARTS = "convolutions", "norm, ReLU, pool", "augmentation", "order, random numbers", "optimizer", "the rest"
"""Of a training step; `evaluation` is beside it."""
_NORM = (
    "ops/norm.py",
    "ops/pool.py",
    "ops/block.py",
    "ops/narrow.py",
    "_layers.py:Norm",
    "linen/normalization.py",
    "models/resnet.py",
)
_CONV = "ops/conv.py", "ops/lowerings.py", "ops/kernels.py", "ops/winograd.py", "_layers.py:Conv"
_AUGMENTATION = "augment.py", "warps.py", "crops.py", "mixing.py", "frames.py", "views.py", "fit.py:images_of"
_OPTIMIZER = "optim.py", "/optax/transforms", "/optax/_src", "training/flat.py"
_SOURCES = {
    **dict.fromkeys(_NORM, PARTS[1]),
    **dict.fromkeys(_CONV, PARTS[0]),
    **dict.fromkeys(_AUGMENTATION, PARTS[2]),
    **dict.fromkeys(("rng.py", "fit.py:slots_at", "fit.py:ahead_of"), PARTS[3]),
    **dict.fromkeys(_OPTIMIZER, PARTS[4]),
    **dict.fromkeys(("fit.py:loss_and_gradient", "fit.py:batch_of"), PARTS[5]),
    "fit.py:train_chunk": PARTS[4],
}


def part(kernel: Kernel) -> str:
    """Which of `PARTS` a kernel is of, or `evaluation`; by the innermost frame of its source that is known."""
    if any(":Program._ask" in frame or "/evaluate.py:" in frame for frame in kernel.frames):
        return "evaluation"
    if re.search("threefry|random_bits|shuffle", kernel.scope):
        return PARTS[3]
    found = (part for frame in kernel.frames for known, part in _SOURCES.items() if known in frame)
    return next(found, PARTS[5])


def size(kind: str) -> int:
    """Bytes of a type in main memory, with what tiles pad."""
    return sum(_bytes(*shape) for shape in _SHAPE.findall(kind))


def shapes(kind: str) -> list[tuple[str, int]]:
    """The arrays of a type: what of, and how many elements."""
    found = ((dtype, [int(side) for side in dims.split(",") if side]) for dtype, dims, _ in _SHAPE.findall(kind))
    return [(dtype, math.prod(sides)) for dtype, sides in found]


def _bytes(dtype: str, dims: str, layout: str) -> int:
    if re.search(r"S\([1-9]", layout):  # a faster memory
        return 0
    bits = 8 if dtype == "pred" else int(re.findall(r"\d+", dtype)[0])
    sides = [int(side) for side in dims.split(",") if side]
    order, _, tiles = layout.partition(":")
    if tile := re.match(r"T\(([\d,]+)\)", tiles):
        minor = [int(axis) for axis in order.split(",") if axis]
        for axis, step in zip(minor, reversed([int(n) for n in tile[1].split(",")])):
            sides[axis] = -(-sides[axis] // step) * step
    return math.prod(sides) * bits // 8


class _Program:
    """A text taken apart: computations by name, and the tables of source lines at its head."""

    def __init__(self, text: str):
        self.bodies: dict[str, dict[str, Instruction]] = {}
        self.tables: dict[str, dict[int, str]] = {}
        self.entry, own, table = "", dict[str, Instruction](), dict[int, str]()
        for line in text.splitlines():
            if head := _HEAD.match(line):
                own = self.bodies[head[2]] = {}
                self.entry = head[2] if head[1] else self.entry
            elif found := _INSTRUCTION.match(line):
                root, name, kind, op, rest = found.groups()
                operands = tuple(re.findall(r"%([\w.\-]+)", rest.partition(")")[0]))
                own[name] = Instruction(name, kind, op, operands, line, bool(root))
            elif re.fullmatch("FileNames|FunctionNames|FileLocations|StackFrames", line):
                table = self.tables[line] = {}
            elif row := re.match(r"^(\d+) (.*)$", line):
                table[int(row[1])] = row[2]

    def walk(self, body: str = "", loops: tuple[Loop, ...] = ()) -> Iterator[Kernel]:
        """The kernels of a computation, and of those that it calls."""
        for one in self.bodies[body or self.entry].values():
            if one.op == "while":
                trips = self._trips(one)
                yield from self.walk(one.called("body"), (*loops, Loop(one.name, trips, self._frames(one))))
            elif one.op == "call":
                yield from self.walk(one.called("to_apply"), loops)
            elif not self._is_free(one):
                moved = self._moved(body or self.entry, one)
                scope = re.search(r'op_name="([^"]*)"', one.line)
                yield Kernel(one.name, one.op, one.kind, moved, loops, self._frames(one), scope[1] if scope else "")

    def _is_free(self, one: Instruction) -> bool:
        return one.op in _FREE or one.op.endswith("-done") or any(f'"{name}"' in one.line for name in _EMPTY_CALLS)

    def _trips(self, loop: Instruction) -> int:
        """As XLA says, or else the largest number that its condition compares with."""
        if known := _TRIPS.search(loop.line):
            return int(known[1])
        lines = (one.line for one in self.bodies[loop.called("condition")].values() if one.op == "constant")
        return max((int(n) for line in lines for n in re.findall(r"constant\((\d+)\)", line)), default=1)

    def _moved(self, body: str, one: Instruction) -> int:
        """Bytes that an instruction reads and writes."""
        around, inside = self.bodies[body], self.bodies.get(one.called("calls"), {})
        operands = [size(around[name].kind) if name in around else 0 for name in one.operands]
        if one.op.endswith("-start"):  # its type names source and target
            return size(one.kind)
        if one.op != "fusion" or not inside:
            return self._written(around, one) + self._read_alone(one, operands)
        given = {int(re.findall(r"parameter\((\d+)\)", i.line)[0]): i for i in inside.values() if i.op == "parameter"}
        read = (min(whole, _read(inside, given[n], whole)) for n, whole in enumerate(operands) if n in given)
        return sum(read) + sum(self._written(inside, i) for i in inside.values() if i.is_root)

    def _read_alone(self, one: Instruction, operands: list[int]) -> int:
        if one.op in _PARTIAL:
            return size(one.kind) + sum(operands[1:])
        return sum(operands[1:]) if one.op == "dynamic-update-slice" else sum(operands)

    def _written(self, body: dict[str, Instruction], one: Instruction) -> int:
        """Bytes that a result writes: of an update in place what it puts."""
        if one.op == "tuple":
            return sum(self._written(body, body[name]) for name in one.operands)
        if one.op == "dynamic-update-slice":
            return size(body[one.operands[1]].kind) if one.operands[1] in body else size(one.kind)
        if one.op in _VIEWS and one.operands and one.operands[0] in body:
            return self._written(body, body[one.operands[0]])
        return size(one.kind)

    def _frames(self, one: Instruction) -> tuple[str, ...]:
        found = re.search(r"stack_frame_id=(\d+)", one.line)
        return self._frames_of(int(found[1])) if found else ()

    def _frames_of(self, number: int) -> tuple[str, ...]:
        """`file:function` from the innermost frame outwards."""
        frames, places = self.tables.get("StackFrames", {}), self.tables.get("FileLocations", {})
        shift = _numbers(frames[1]).get("parent_frame_id", 0) if 1 in frames else 0  # of a frame without a parent
        found = []
        while number in frames:
            frame = _numbers(frames[number])
            place = _numbers(places[frame["file_location_id"]])
            file, function = (
                self.tables[table][place[key]].strip('"')
                for table, key in (("FileNames", "file_name_id"), ("FunctionNames", "function_name_id"))
            )
            found.append(f"{file}:{function}")
            number = frame.get("parent_frame_id", 0) - shift
        return tuple(found)


def _numbers(row: str) -> dict[str, int]:
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", row)}


def _read(body: dict[str, Instruction], given: Instruction, whole: int) -> int:
    """Bytes that a fusion reads of a parameter: where it only takes slices, those."""
    total = 0
    for one in body.values():
        if given.name not in one.operands:
            continue
        if one.op in _VIEWS:
            total += _read(body, one, whole)
        elif one.op in _PARTIAL and one.operands[0] == given.name:
            total += size(one.kind)
        elif not (one.op == "dynamic-update-slice" and one.operands[0] == given.name):
            return whole
    return total
