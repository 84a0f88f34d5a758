"""Our own PyTorch peers of the engine: network, augmentation, and two loops that train one student at a time.

`Research` is written the way code of dataset distillation is, `Tuned` the way one would to make it fast. Operations take
images [B, C, H, W] and three uniform numbers for each [B, 3], and are those of `jaxsoft.training.augment`.
"""

import math
import random
from typing import Any, NamedTuple

import torch  # pyright: ignore[reportMissingImports]
import torch.nn.functional as F  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.utils.data import DataLoader, TensorDataset  # pyright: ignore[reportMissingImports]


class Case(NamedTuple):
    """A student: ConvNet, image (`side` x `side` x `channels`), K, N images in batches of B."""

    depth: int
    width: int
    side: int
    channels: int
    classes: int
    slots: int
    batch: int


def convnet(case: Case) -> nn.Sequential:
    """Convolution, instance norm as a group norm of single channels, ReLU, average pooling; then a linear layer."""
    layers: list[nn.Module] = []
    for i in range(case.depth):
        layers += [nn.Conv2d(case.width if i else case.channels, case.width, 3, padding=1)]
        layers += [nn.GroupNorm(case.width, case.width, affine=True), nn.ReLU(), nn.AvgPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(case.width * (case.side >> case.depth) ** 2, case.classes))


def material(case: Case, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Random images and soft labels."""
    images = torch.rand(case.slots, case.channels, case.side, case.side) * 2 - 1
    return images.to(device), torch.randn(case.slots, case.classes).softmax(1).to(device)


def train(loop: Any, epochs: int, threads: int) -> None:
    """So many epochs; each waits for its last step."""
    torch.set_num_threads(threads)
    for _ in range(epochs):
        loop.epoch()


class Research:
    """A loader of single samples made anew each epoch, eager float32, loss and accuracy fetched at each step."""

    how = "eager, float32"

    def __init__(self, case: Case, device: str):
        self.case, self.device = case, device
        self.student = convnet(case).to(device)
        self.optimizer = torch.optim.SGD(self.student.parameters(), lr=1e-3, momentum=0.9)
        self.data = TensorDataset(*material(case, device))

    def epoch(self) -> tuple[float, float]:
        """Returns mean loss and accuracy."""
        loss_sum, right = 0.0, 0.0
        for images, rows in DataLoader(self.data, batch_size=self.case.batch, shuffle=True, num_workers=0):
            images, rows = self.augmented(images.float().to(self.device)), rows.to(self.device)
            loss, logits = self.loss_and_logits(images, rows)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss_sum += loss.item() * len(images)
            right += (logits.argmax(1) == rows.argmax(1)).sum().item()
        return loss_sum / len(self.data), right / len(self.data)

    def loss_and_logits(self, images: torch.Tensor, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.student(images)
        return F.cross_entropy(logits, rows), logits

    def augmented(self, images: torch.Tensor) -> torch.Tensor:
        """One operation for the whole batch, its numbers drawn on the host."""
        return random.choice(list(LISTED.values()))(images, torch.rand(len(images), 3))


class Tuned:
    """Data on the device, order by index, nothing fetched inside an epoch, channels last, fused optimizer.

    Network and loss are compiled if asked for and possible, which `how` says; on a GPU they are bfloat16 where it is safe.
    """

    def __init__(self, case: Case, device: str, compiled: bool):
        self.case, self.device = case, device
        self.student: Any = convnet(case).to(device)
        self.student.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.student.parameters(), lr=1e-3, momentum=0.9, fused=True)
        images, self.rows = material(case, device)
        self.images = images.contiguous(memory_format=torch.channels_last)
        self.loss: Any = self.eager_loss
        mode = "eager"
        if compiled:
            mode = "reduce-overhead" if device == "cuda" else "default"
            torch.compiler.reset()  # each case is compiled for its own shapes
            try:
                self.loss = torch.compile(self.eager_loss, mode=mode, dynamic=False)
                self.epoch()
            except Exception as problem:  # whatever is wrong with its compiler: the peer does without
                self.loss, mode = self.eager_loss, f"eager, as compiling failed with {type(problem).__name__}"
        self.how = f"{mode}, {'bfloat16' if device == 'cuda' else 'float32'}"

    def epoch(self) -> float:
        """Returns the mean loss."""
        loss_sum = torch.zeros((), device=self.device)
        order = torch.randperm(len(self.images), device=self.device)
        for which in order.split(self.case.batch):
            images = self.augmented(self.images[which]).contiguous(memory_format=torch.channels_last)
            loss = self.loss(images, self.rows[which])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            loss_sum += loss.detach() * len(which)
        return loss_sum.item() / len(self.images)

    def eager_loss(self, images: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            return F.cross_entropy(self.student(images), rows)

    def augmented(self, images: torch.Tensor) -> torch.Tensor:
        """One operation for the whole batch, its numbers drawn on the device."""
        return random.choice(list(OPERATIONS.values()))(images, torch.rand(len(images), 3, device=self.device))


def color(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    u = u.to(images.device)[:, :, None, None, None]
    images = images + (u[:, 0] - 0.5)
    gray = images.mean(1, keepdim=True)
    images = (images - gray) * (2 * u[:, 1]) + gray
    mean = images.mean((1, 2, 3), keepdim=True)
    return (images - mean) * (u[:, 2] + 0.5) + mean


def crop(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    side = images.shape[2]
    reach = int(side / 8 + 0.5)
    shift = (u.to(images.device) * (2 * reach + 1)).floor().long()  # into the frame of zeros
    place = torch.arange(side, device=images.device)
    y, x = (shift[:, i, None] + place for i in (0, 1))
    framed = F.pad(images, [reach] * 4)
    one = torch.arange(len(images), device=images.device)
    return framed[one[:, None, None], :, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)


def cutout(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    side = images.shape[2]
    size = int(side / 2 + 0.5)
    start = (u.to(images.device) * (side + 1 - size % 2)).floor() - size // 2
    place = torch.arange(side, device=images.device)
    y, x = ((place >= start[:, i, None]) & (place < start[:, i, None] + size) for i in (0, 1))
    return images.masked_fill((y[:, :, None] & x[:, None, :])[:, None], 0)


def flip(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    return torch.where(u.to(images.device)[:, 0, None, None, None] < 0.5, images.flip(3), images)


def scale(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    factor = u[:, :2] * (1.2 - 1 / 1.2) + 1 / 1.2
    return warped(images, F.pad(torch.diag_embed(factor), (0, 1)))


def rotate(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    angle = (2 * u[:, 0] - 1) * math.radians(15)
    cos, sin, none = angle.cos(), angle.sin(), torch.zeros_like(angle)
    return warped(images, torch.stack([cos, -sin, none, sin, cos, none], 1).reshape(-1, 2, 3))


def scale_by_list(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    factor = u * (1.2 - 1 / 1.2) + 1 / 1.2
    return warped(images, torch.tensor([[[f[0], 0.0, 0.0], [0.0, f[1], 0.0]] for f in factor]))


def rotate_by_list(images: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
    angle = (2 * u[:, 0] - 1) * math.radians(15)
    rows = [[[torch.cos(a), torch.sin(-a), 0.0], [torch.sin(a), torch.cos(a), 0.0]] for a in angle]
    return warped(images, torch.tensor(rows))


def warped(images: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """Bilinear, zero outside, corners aligned."""
    grid = F.affine_grid(theta.to(images.device), list(images.shape), align_corners=True)
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=True)


OPERATIONS = {f.__name__: f for f in (color, crop, cutout, flip, scale, rotate)}
LISTED = OPERATIONS | {"scale": scale_by_list, "rotate": rotate_by_list}
