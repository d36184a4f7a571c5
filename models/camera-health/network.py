"""The classifier: a few convolutions, and what the picture shows on average and at its strongest place.

Whether a picture is sharp is told by its sharpest place (a good picture may have a soft background), whether it is covered
by how much of it is empty: so both the mean and the maximum over the picture reach the last layer.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import torch
from degrade import LABELS
from torch import nn

BATCH = 128
_PEAK_RATE = 4e-3
_DECAY = 0.997
"""Of the running mean of the weights, which is what is kept."""
_SMOOTHING = 0.05
"""Of the labels: keeps the logits within a few units of each other, where int8 has steps enough for them."""


@dataclass(frozen=True, slots=True)
class Size:
    """A rung of the ladder: the input in pixels, the channels after each halving, and how often it sees every picture."""

    name: str
    width: int
    height: int
    channels: tuple[int, int, int, int]
    epochs: int


SIZES = (Size("large", 160, 96, (16, 32, 48, 72), epochs=7), Size("small", 96, 64, (16, 32, 56, 80), epochs=12))


class Classifier(nn.Module):
    """(n, 3, height, width) float32 RGB -1..1 to the probabilities of the labels, (n, 7)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        first, second, third, fourth = size.channels
        self.body = nn.Sequential(
            _step(3, first, 2, kernel=5), _step(first, second, 2), _step(second, second, 1),
            _step(second, third, 2), _step(third, third, 1), _step(third, fourth, 2), _step(fourth, fourth, 1),
        )  # fmt: skip
        window = (size.height // 16, size.width // 16)
        self.mean, self.most = nn.AvgPool2d(window), nn.MaxPool2d(window)
        self.hidden, self.last = nn.Linear(fourth * 2, fourth), nn.Linear(fourth, len(LABELS))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Give probabilities."""
        return self.logits(pictures).softmax(dim=1)

    def logits(self, pictures: torch.Tensor) -> torch.Tensor:
        """Give what the softmax takes."""
        seen = self.body(pictures)
        both = torch.cat([self.mean(seen).flatten(1), self.most(seen).flatten(1)], dim=1)
        both = nn.functional.dropout(both, 0.1, self.training)
        return self.last(self.hidden(both).relu())


class ChannelsLast(nn.Module):
    """The classifier for pictures (n, height, width, 3), as TFLite wants them."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Give what the classifier gives."""
        return self.classifier(pictures.permute(0, 3, 1, 2))


def train(size: Size, pictures: torch.Tensor, labels: torch.Tensor, seed: int) -> Classifier:
    """Fit to pictures (n, height, width, 3) uint8 RGB and labels (n,) int64."""
    torch.manual_seed(seed)
    network = Classifier(size).to(memory_format=torch.channels_last)
    kept = copy.deepcopy(network)
    steps = size.epochs * (len(pictures) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=_PEAK_RATE, total_steps=steps, pct_start=0.15)
    started = time.monotonic()
    for epoch in range(size.epochs):
        total = 0.0
        for chosen in torch.randperm(len(pictures))[: steps // size.epochs * BATCH].split(BATCH):
            with torch.autocast("cpu", torch.bfloat16):  # twice as fast where the processor has it
                answers = network.logits(_batch(pictures[chosen]))
            loss = nn.functional.cross_entropy(answers.float(), labels[chosen], label_smoothing=_SMOOTHING)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            _follow(kept, network)
            total += loss.item()
        print(f"{size.name} {epoch}: {total * size.epochs / steps:.3f}, {time.monotonic() - started:.0f} s", flush=True)
    return kept.to(memory_format=torch.contiguous_format).eval()


def _batch(pictures: torch.Tensor) -> torch.Tensor:
    """Mirror half of them: a fault has no left and right."""
    mirrored = torch.randint(2, (len(pictures),)).bool()
    pictures = torch.where(mirrored[:, None, None, None], pictures.flip(2), pictures)
    scaled = pictures.permute(0, 3, 1, 2).float().sub(127.5).div(127.5)
    return scaled.contiguous(memory_format=torch.channels_last)


def _step(inputs: int, outputs: int, stride: int, kernel: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


@torch.no_grad()
def _follow(kept: Classifier, network: Classifier) -> None:
    for mine, theirs in zip(kept.state_dict().values(), network.state_dict().values(), strict=True):
        if mine.is_floating_point():
            mine.lerp_(theirs, 1 - _DECAY)
