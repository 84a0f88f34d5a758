"""A plan: members in buckets of equal static shape, cut into waves that fit in memory; `make` decides all of it."""

import functools
from dataclasses import dataclass, replace
from typing import Any

from jaxsoft import errors, target
from jaxsoft.experiment.plan.sweep import MemberSpec
from jaxsoft.labels.spec import LabelSpec
from jaxsoft.training import cost, tiles
from jaxsoft.training.ensemble import Bucket
from jaxsoft.training.recipe import Recipe

Wave = tuple[tuple[int, int], ...]
"""For each bucket, the range of its members that a wave trains."""


@dataclass(frozen=True)
class PlannedBucket:
    """Members of equal static shape; a wave's part of them is an `ensemble.Bucket`."""

    recipe: Recipe  # with room for the largest subset among them
    members: tuple[int, ...]  # positions in `Plan.members`
    steps: int  # length of their training
    block: int  # members that are vmapped together
    tile: int  # images of a batch that are taken at a time
    lowering: str = "auto"  # of their convolutions, as in `ops.conv`


@dataclass(frozen=True)
class Plan:
    """Who is trained, with whom, and when."""

    members: tuple[MemberSpec, ...]  # all students, in the order of the axes
    keys: tuple[str, ...]  # of each member
    buckets: tuple[PlannedBucket, ...]  # members by static shape
    waves: tuple[Wave, ...]  # what fits in memory at once; each has the same shape
    chunks: int  # looks at the validation split
    image_shape: tuple[int, ...]  # (H, W, C), or (T, H, W, C) of clips
    shared_bytes: int  # what every device holds beside its members: image bank, label rows, evaluation sets
    devices: int  # over which the members of a bucket are spread
    since: int = 0  # the first wave of the present shape; 0 unless the device had less memory than was thought
    subjects: tuple[int, ...] = ()  # what `without` and `drop_class` count, where these are not the classes themselves
    least: tuple[int, ...] = ()  # members of each bucket at least, in a share, so that all shares have one shape
    first: int = 0  # the number of its first wave in the plan of the whole sweep
    copied_bytes: int = 0  # what of that each device copies to a memory of its own chip, if students leave room

    def buckets_of(self, wave: int = -1) -> tuple[Bucket, ...]:
        """The static shapes of a wave: each bucket's widest range of all waves of the present shape, in whole blocks.

        An earlier wave, which is trained again if its results were lost, may be wider than these.
        """
        found, least = [], self.least or (1,) * len(self.buckets)
        for bucket, *widths, (start, stop) in zip(self.buckets, least, self._widest, self.waves[wave]):
            whole = bucket.block * self.devices
            members = -(-max(*widths, stop - start) // whole) * whole
            how = bucket.block, -(-bucket.steps // self.chunks), bucket.tile, bucket.lowering
            found.append(Bucket(bucket.recipe, members, *how))
        return tuple(found)

    @functools.cached_property
    def _widest(self) -> tuple[int, ...]:
        """The widest range of each bucket in the waves of the present shape; found once, as each wave asks for it."""
        return tuple(max(stop - start for start, stop in ranges) for ranges in zip(*self.waves[self.since :]))

    @functools.cached_property
    def seats(self) -> dict[int, tuple[int, int]]:
        """Of each member, by its place in `members`: its bucket, and its place there."""
        each = ((b, enumerate(bucket.members)) for b, bucket in enumerate(self.buckets))
        return {place: (b, seat) for b, members in each for seat, place in members}

    def halve(self, wave: int) -> "Plan":
        """Cut this wave and the later ones in two; for when the device has less memory than was thought.

        Raises:
          ConfigError: there is nothing left to halve.
        """
        rest = self.waves[wave:]
        if max(stop - start for w in rest for start, stop in w) <= self.devices:  # a bucket has a place on every device
            raise errors.ConfigError(
                f"out of memory with one student of each shape at a time{' on each device' * (self.devices > 1)}; "
                "lower config.student.batch or take a narrower config.student.model"
            )
        halves: list[Wave] = []
        for ranges in rest:
            edges = [(start, (start + stop + 1) // 2, stop) for start, stop in ranges]
            halves += [tuple(e[:2] for e in edges), tuple(e[1:] for e in edges)]
        halved = replace(self, waves=self.waves[:wave] + tuple(halves), since=wave, least=())
        # A block must not be wider than what is left of its bucket.
        room = [max(1, width // self.devices) for width in halved._widest]
        return replace(halved, buckets=tuple(replace(b, block=min(b.block, r)) for b, r in zip(self.buckets, room)))

    def members_of(self, wave: int) -> list[MemberSpec]:
        """The members of a wave, bucket by bucket."""
        ranges = zip(self.buckets, self.waves[wave])
        return [self.members[i] for bucket, (start, stop) in ranges for i in bucket.members[start:stop]]

    def share(self, process: int, processes: int) -> "Plan":
        """What one of several processes with equally many devices trains: of every wave what its devices would hold.

        Args:
          process: its number, from 0.
          processes: how many there are; they divide `devices`.
        """
        if processes == 1:
            return self

        def own(width: int, start: int, stop: int) -> tuple[int, int]:
            return min(stop, start + width * process), min(stop, start + width * (process + 1))

        widths = [[bucket.members // processes for bucket in self.buckets_of(w)] for w in range(len(self.waves))]
        waves = tuple(
            tuple(own(width, *bounds) for width, bounds in zip(*of_wave)) for of_wave in zip(widths, self.waves)
        )
        return replace(self, waves=waves, devices=self.devices // processes, least=tuple(widths[-1]))

    def part(self, index: int, count: int) -> "Plan":
        """One of so many parts, each of equally many waves in the shape of the whole; of 0 parts, no wave.

        Raises:
          CheckpointError: the waves cannot be shared out so: the plan was made for another number of parts.
        """
        if count == 1:
            return self
        each, rest = divmod(len(self.waves), count) if count else (0, 0)
        if rest:
            told = f"the stored plan has {len(self.waves)} waves, which {count} shares cannot have in equal parts"
            raise errors.CheckpointError(f"{told}; delete plan.json there, and what is finished is kept")
        first = each * index
        return replace(self, waves=self.waves[first : first + each], since=0, least=self._widest, first=first)

    @functools.cached_property
    def trained(self) -> tuple[str, ...]:
        """The keys of the members of its waves, in the order of the axes: all keys, but for a part of the plan."""
        ranges = ((b, *bounds) for wave in self.waves for b, bounds in zip(self.buckets, wave))
        return tuple(self.keys[i] for i in sorted(i for b, start, stop in ranges for i in b.members[start:stop]))

    @property
    def learns(self) -> bool:
        """Whether labels are learned, or experts judged by students, before a student of the sweep is trained."""
        sources = (LabelSpec.parse(text) for text in {m.labels for m in self.members})
        return any(source.is_learned or source.prior == "students" for source in sources)

    def bytes(self) -> int:
        """Predicted bytes of a wave on all devices: members, what they share, and what comes and goes."""
        return self.state_bytes() + self.devices * self.shared_bytes + self.temporary_bytes()

    def state_bytes(self) -> int:
        """Bytes of all the students of a wave, with their tables of images and label rows."""
        if target.platform() == "tpu":
            beside = self.copied_bytes, *self._temporary()
            return self.devices * tiles.students_bytes(self.buckets_of(), self.devices, self.image_shape, *beside)
        return sum(
            b.members
            * int(
                cost.copies(b.members // (b.block * self.devices)) * cost.state_bytes(b.recipe, self.image_shape)
                + b.recipe.slots * (12 if b.recipe.features else 8)
            )
            for b in self.buckets_of()
        )

    def network_bytes(self) -> int:
        """Bytes of the networks of all students, as they are kept."""
        return sum(len(b.members) * cost.network_bytes(b.recipe, self.image_shape) for b in self.buckets)

    def temporary_bytes(self) -> int:
        """Bytes that come and go on all devices while blocks train or are evaluated."""
        return self.devices * max(self._temporary())  # no evaluation before all have trained

    def _temporary(self) -> tuple[int, int]:
        """Of each device, while blocks train and while they are evaluated."""
        buckets, shape, batch = self.buckets_of(), self.image_shape, self.evaluation_batch()
        training = [cost.training_bytes(b.recipe, shape, b.block, b.tile, b.lowering) for b in buckets]
        evaluation = []
        for b in buckets:
            together = sum(other.members for other in buckets if other.recipe.model == b.recipe.model)
            evaluation.append(cost.evaluation_bytes(b.recipe, shape, together // self.devices, batch, b.lowering))
        return cost.at_once(training, [*map(self._second_copy, buckets)]), max(evaluation)

    def _second_copy(self, bucket: Bucket) -> int:
        """Bytes of a device's students of a bucket, where they are copied; those of a TPU are counted by `tiles`."""
        if target.platform() == "tpu":
            return 0
        members = bucket.members // self.devices
        more = cost.copies(members // bucket.block) - 1
        return members * int(more * cost.state_bytes(bucket.recipe, self.image_shape))

    def evaluation_batch(self) -> int:
        """Images that are evaluated at a time; the same for all networks, as they share the evaluation sets."""
        return min(cost.evaluation_batch(b.recipe, self.image_shape) for b in self.buckets)

    def flops(self, looked: int = 0) -> float:
        """Floating-point operations of all training steps, augmentation included, and of evaluating so many images.

        Of a step of training a third is the forward pass.
        """
        each = [(cost.step_flops(b.recipe, self.image_shape), b) for b in self.buckets]
        return sum(step * len(b.members) * (b.steps + looked / (3 * b.recipe.batch)) for step, b in each)

    def useful_share(self) -> float:
        """Image slots that train a member, of all that the program computes: the rest is padding."""
        useful, computed, shapes = 0.0, 0.0, self.buckets_of()
        for ranges in self.waves:
            for shape, bucket, (start, stop) in zip(shapes, self.buckets, ranges):
                for i in bucket.members[start:stop]:
                    slots = self.members[i].slots(shape.recipe.num_classes)
                    useful += bucket.steps * slots / shape.recipe.steps_per_epoch(slots)
                computed += shape.members * shape.chunk_steps * self.chunks * shape.recipe.batch
        return useful / computed

    def as_json(self) -> dict[str, Any]:
        """What is stored with the run: shapes that a resumed run must repeat, and every member.

        Files call buckets groups, as they always have.
        """
        names = "chunks", "waves", "since", "subjects", "image_shape", "shared_bytes", "devices"
        own = {name: getattr(self, name) for name in names}
        groups = [{**vars(b), "recipe": b.recipe.record()} for b in self.buckets]
        return {**own, "groups": groups, "members": [{"member": k, **vars(m)} for k, m in zip(self.keys, self.members)]}

    def tag(self, wave: int) -> dict[str, Any]:
        """What checkpoints of a wave share with whoever goes on from them: the students in their order, and the shapes."""
        ranges = zip(self.buckets, self.waves[wave])
        students = [[self.keys[i] for i in b.members[start:stop]] for b, (start, stop) in ranges]
        groups = [{**vars(b), "recipe": b.recipe.record(), "members": len(b.members)} for b in self.buckets]
        return {"members": students, "groups": groups}
