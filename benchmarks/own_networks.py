"""What does a network of one's own cost, against jaxsoft's of equal size?

  python benchmarks/own_networks.py [--size=toy|cpu|gpu] [--repeats=5]

A ConvNet with group norm out of the plain layers of flax.linen and of flax.nnx, named by their import paths as a user's
are. Their convolutions are exchanged for jaxsoft's while they are traced. All measurements take turns, and ratios are of
one round.
"""

import functools
from typing import Any

import measure
from flax import linen as nn
from flax import nnx

from jaxsoft.training.recipe import Recipe, precision

# (depth, width), (H, W, C), batch, members, steps of a chunk.
SIZES: dict[str, tuple[tuple[int, int], tuple[int, int, int], int, int, int]] = {
    "toy": ((1, 4), (8, 8, 3), 4, 2, 2),
    "cpu": ((3, 32), (32, 32, 3), 10, 8, 10),
    "gpu": ((3, 128), (32, 32, 3), 10, 64, 100),
}
GROUPS = 4


class LinenNet(nn.Module):
    """Convolution, group norm, ReLU and average pooling, `depth` times; then a linear layer."""

    num_classes: int
    depth: int
    width: int

    @nn.compact
    def __call__(self, x: Any) -> Any:
        for _ in range(self.depth):
            x = nn.GroupNorm(GROUPS)(nn.Conv(self.width, (3, 3))(x))
            x = nn.avg_pool(nn.relu(x), (2, 2), (2, 2))
        return nn.Dense(self.num_classes)(x.reshape(len(x), -1))


class NnxNet(nnx.Module):
    """The same; `inputs` is the number of features that reach the linear layer."""

    def __init__(self, num_classes: int, depth: int, width: int, inputs: int, *, rngs: nnx.Rngs):
        channels = [3, *[width] * depth]
        self.convs = nnx.List([nnx.Conv(a, b, (3, 3), rngs=rngs) for a, b in zip(channels, channels[1:])])
        self.norms = nnx.List([nnx.GroupNorm(width, GROUPS, rngs=rngs) for _ in range(depth)])
        self.out = nnx.Linear(inputs, num_classes, rngs=rngs)

    def __call__(self, x: Any) -> Any:
        for conv, norm in zip(self.convs, self.norms):
            x = nnx.avg_pool(nnx.relu(norm(conv(x))), (2, 2), (2, 2))
        return self.out(x.reshape(len(x), -1))


def linen(num_classes: int, depth: int, width: int) -> LinenNet:
    return LinenNet(num_classes, depth, width)


def nnx_net(num_classes: int, depth: int, width: int, inputs: int) -> functools.partial[NnxNet]:
    return functools.partial(NnxNet, num_classes, depth, width, inputs)


def main() -> None:
    """Measure and tell."""
    args = measure.arguments(__doc__)
    (depth, width), shape, batch, members, steps = SIZES[args.size]
    size = f"depth={depth}, width={width}"
    networks = {
        "jaxsoft": f"convnet({size}, norm=group)",
        "linen": f"own_networks:linen({size})",
        "nnx": f"own_networks:nnx_net({size}, inputs={width * (shape[0] >> depth) ** 2})",
    }
    rest = "sgd(momentum=0.9)", "constant", "none", precision("auto")
    recipes = [Recipe(model, measure.CLASSES, 10 * batch, batch, *rest) for model in networks.values()]
    cases = [measure.training(recipe, shape, members, steps) for recipe in recipes]
    took = measure.interleaved([case.chunk for case in cases], args.repeats)
    for name, case, seconds in zip(networks, cases, took):
        what = {"network": name, "depth": depth, "width": width, "side": shape[0], "batch": batch, "members": members}
        tell = functools.partial(measure.tell, "own_networks", args.size, what)
        tell(case.rates(seconds), "student-steps/s", first_seconds=case.first_seconds)
        if name != "jaxsoft":
            tell(seconds / took[0], "x of the time of jaxsoft")


if __name__ == "__main__":
    main()
