"""A plan: members in groups of equal static shape, cut into waves that fit in memory; `plan.make` decides all of it."""

import functools
from dataclasses import dataclass, replace
from typing import Any

from jaxsoft import errors
from jaxsoft.experiment.sweep import MemberSpec
from jaxsoft.training import cost
from jaxsoft.training.ensemble import Bucket
from jaxsoft.training.fit import Recipe

# The loop over blocks reads one copy of the students and writes another: XLA plans .8 to .9 of a second one.
_COPIES = 1.85

Wave = tuple[tuple[int, int], ...]
"""For each group, the range of its members that a wave trains."""


@dataclass(frozen=True)
class Group:
    """Members of equal static shape.

    Attributes:
      recipe: with room for the largest subset among them.
      members: positions in `Plan.members`.
      steps: length of their training.
      block: members that are vmapped together.
      tile: images of a batch that are taken at a time.
      lowering: of their convolutions, as in `ops.conv`.
    """

    recipe: Recipe
    members: tuple[int, ...]
    steps: int
    block: int
    tile: int
    lowering: str = "auto"


@dataclass(frozen=True)
class Plan:
    """Who is trained, with whom, and when.

    Attributes:
      members: all students, in the order of the axes.
      keys: of each member.
      groups: members by static shape; with a wave's size they become buckets.
      waves: what fits in memory at once; each has the same shape.
      chunks: looks at the validation split.
      image_shape: (H, W, C).
      shared_bytes: what every device holds beside its members: image bank, label rows, evaluation sets.
      devices: over which the members of a bucket are spread.
      since: the first wave of the present shape; 0 unless the device had less memory than was thought.
      subjects: what `without` and `drop_class` count in the settings, where these are not the classes themselves.
      least: members of each bucket at least, in a share, so that all shares have one shape.
    """

    members: tuple[MemberSpec, ...]
    keys: tuple[str, ...]
    groups: tuple[Group, ...]
    waves: tuple[Wave, ...]
    chunks: int
    image_shape: tuple[int, ...]
    shared_bytes: int
    devices: int
    since: int = 0
    subjects: tuple[int, ...] = ()
    least: tuple[int, ...] = ()

    def buckets(self, wave: int = -1) -> tuple[Bucket, ...]:
        """The static shapes of a wave: each group's widest range of all waves of the present shape, in whole blocks.

        An earlier wave, which is trained again if its results were lost, may be wider than these.
        """
        buckets = []
        least = self.least or (1,) * len(self.groups)
        for group, *widths, (start, stop) in zip(self.groups, least, self._widest, self.waves[wave]):
            width = max(1, *widths, stop - start)
            whole = group.block * self.devices
            padded = -(-width // whole) * whole
            how = group.tile, group.lowering
            buckets.append(Bucket(group.recipe, padded, group.block, -(-group.steps // self.chunks), *how))
        return tuple(buckets)

    @functools.cached_property
    def _widest(self) -> tuple[int, ...]:
        """The widest range of each group in the waves of the present shape; found once, as each wave asks for it."""
        return tuple(max(stop - start for start, stop in ranges) for ranges in zip(*self.waves[self.since :]))

    def halve(self, wave: int) -> "Plan":
        """Cut this wave and the later ones in two; for when the device has less memory than was thought.

        Raises:
          ConfigError: there is nothing left to halve.
        """
        rest = self.waves[wave:]
        if max(stop - start for w in rest for start, stop in w) <= 1:
            raise errors.ConfigError(
                "out of memory with one student of each shape at a time; "
                "lower config.student.batch or take a narrower config.student.model"
            )
        halves = [
            tuple((start, (start + stop + 1) // 2) if first else ((start + stop + 1) // 2, stop) for start, stop in w)
            for w in rest
            for first in (True, False)
        ]
        # A block must not be wider than what is left of its group.
        width = [max(h[i][1] - h[i][0] for h in halves) for i in range(len(self.groups))]
        block = [max(1, min(g.block, w // self.devices)) for g, w in zip(self.groups, width)]
        groups = tuple(replace(g, block=b) for g, b in zip(self.groups, block))
        return replace(self, groups=groups, waves=self.waves[:wave] + tuple(halves), since=wave, least=())

    def share(self, process: int, processes: int) -> "Plan":
        """What one of several processes with equally many devices trains: of every wave what its devices would hold.

        Args:
          process: its number, from 0.
          processes: how many there are; they divide `devices`.
        """
        if processes == 1:
            return self
        waves = []
        for w, ranges in enumerate(self.waves):
            each = [bucket.members // processes for bucket in self.buckets(w)]
            cuts = [
                [min(stop, start + n * p) for p in (process, process + 1)] for n, (start, stop) in zip(each, ranges)
            ]
            waves.append(tuple((start, stop) for start, stop in cuts))
        least = tuple(bucket.members // processes for bucket in self.buckets())
        return replace(self, waves=tuple(waves), devices=self.devices // processes, least=least)

    def bytes(self) -> int:
        """Predicted bytes of a wave on all devices: members, what they share, and what comes and goes."""
        return self.state_bytes() + self.devices * self.shared_bytes + self.temporary_bytes()

    def state_bytes(self) -> int:
        """Bytes of all the students of a wave, with their tables of images and label rows."""
        each = [(cost.state_bytes(b.recipe, self.image_shape), 8 * b.recipe.slots) for b in self.buckets()]
        return sum(b.members * int(_COPIES * state + tables) for b, (state, tables) in zip(self.buckets(), each))

    def temporary_bytes(self) -> int:
        """Bytes that come and go on all devices while blocks train or are evaluated."""
        buckets, shape = self.buckets(), self.image_shape
        training = [cost.training_bytes(b.recipe, shape, b.block, b.tile) for b in buckets]
        together = {
            m: sum(b.members for b in buckets if b.recipe.model == m) for m in (b.recipe.model for b in buckets)
        }
        batch = self.evaluation_batch()
        evaluation = [
            cost.evaluation_bytes(b.recipe, shape, together[b.recipe.model] // self.devices, batch) for b in buckets
        ]
        return self.devices * max(cost.at_once(training), *evaluation)  # no evaluation before all have trained

    def evaluation_batch(self) -> int:
        """Images that are evaluated at a time; the same for all networks, as they share the evaluation sets."""
        return min(cost.evaluation_batch(g.recipe, self.image_shape) for g in self.groups)

    def flops(self) -> float:
        """Floating-point operations of all training steps, augmentation included, evaluation not."""
        per_step = [cost.step_flops(g.recipe, self.image_shape) for g in self.groups]
        return sum(f * len(g.members) * g.steps for f, g in zip(per_step, self.groups))

    def useful_share(self) -> float:
        """Image slots that train a member, of all that the program computes: the rest is padding."""
        useful, computed, buckets = 0.0, 0.0, self.buckets()
        for ranges in self.waves:
            for bucket, group, (start, stop) in zip(buckets, self.groups, ranges):
                for i in group.members[start:stop]:
                    slots = self.members[i].slots(bucket.recipe.num_classes)
                    useful += group.steps * slots / bucket.recipe.steps_per_epoch(slots)
                computed += bucket.members * bucket.chunk_steps * self.chunks * bucket.recipe.batch
        return useful / computed

    def as_json(self) -> dict[str, Any]:
        """What is stored with the run: shapes that a resumed run must repeat, and every member."""
        groups = [{**vars(g), "recipe": g.recipe._asdict()} for g in self.groups]
        members = [{"member": k, **vars(m)} for k, m in zip(self.keys, self.members)]
        waves = {"chunks": self.chunks, "waves": self.waves, "since": self.since}
        return {**waves, "subjects": self.subjects, "groups": groups, "members": members}

    def tag(self, wave: int) -> dict[str, Any]:
        """What checkpoints of a wave share with whoever goes on from them: the students in their order, and the shapes."""
        parts = zip(self.groups, self.waves[wave])
        students = [[self.keys[i] for i in g.members[start:stop]] for g, (start, stop) in parts]
        groups = [{**vars(g), "recipe": g.recipe._asdict(), "members": len(g.members)} for g in self.groups]
        return {"members": students, "groups": groups}

    def with_shapes(self, stored: dict[str, Any]) -> "Plan":
        """This plan with the waves and layouts of a stored one.

        Args:
          stored: as `stored.plan` gives it, so possible in itself.

        Raises:
          CheckpointError: the stored plan has other members.
          ValueError: it says something else of these members.
        """
        if [m["member"] for m in stored["members"]] != list(self.keys):
            raise errors.CheckpointError(
                "the stored plan has other members; choose another --workdir, or delete plan.json there: "
                "what is finished and still the same is kept"
            )
        if stored["chunks"] != self.chunks or len(stored["groups"]) != len(self.groups):
            raise ValueError("these settings give other groups or chunks")
        for group, there in zip(self.groups, stored["groups"]):
            recipe = {name: value for name, value in group.recipe._asdict().items() if name in there["recipe"]}
            if (recipe, list(group.members), group.steps) != (there["recipe"], there["members"], there["steps"]):
                raise ValueError("a group has other members or another recipe than these settings give")
        waves = tuple(tuple((start, stop) for start, stop in w) for w in stored["waves"])
        groups = tuple(
            replace(g, block=s["block"], tile=s["tile"], lowering=s.get("lowering", "auto"))
            for g, s in zip(self.groups, stored["groups"], strict=True)
        )
        return replace(self, groups=groups, waves=waves, since=stored["since"])
