"""How the detector learns: which cells answer for which part, the loss, and the loop."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from models.parts.network import STRIDE, Detector, Size, cells, decoded
from models.parts.scene import UNCLEAR
from models.parts.shapes import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.parts import measure

BATCH = 32
_REACH = 1.6
"""The cells whose middle lies within so many cells of a part's centre answer for it."""
_RATE = 4e-3
_WARM_STEPS = 200
_COOLING = 0.4
"""The rate rises at first, and falls to nothing over this share of the steps at the end."""
_SAID_EVERY = 100
_DECAY = 0.995
"""Of the running mean of the weights, which is what is kept."""

Truth = tuple[torch.Tensor, torch.Tensor]
"""Boxes (n, 4) in input pixels and labels (n,)."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """``pictures`` (n, h, w, 3) uint8 RGB as the network takes them, and what is on them."""

    pictures: torch.Tensor
    truths: Sequence[measure.Truth]


def train(lessons: Lessons, size: Size, steps: int, seed: int) -> Detector:
    """Fit a network of this size."""
    torch.manual_seed(seed)
    network = Detector(size).to(memory_format=torch.channels_last)
    kept = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
    started, total = time.monotonic(), 0.0
    for step, chosen in zip(range(steps), _shuffled(len(lessons.pictures)), strict=False):
        optimiser.param_groups[0]["lr"] = _rate(step, steps)
        loss = _loss(network, *_batch(lessons, chosen))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        _follow(kept, network)
        total += loss.item()
        if (step + 1) % _SAID_EVERY == 0:
            print(f"step {step + 1}: loss {total / _SAID_EVERY:.3f}, {time.monotonic() - started:.0f} s", flush=True)
            total = 0.0
    return kept.eval()


def _rate(step: int, steps: int) -> float:
    return _RATE * min(1.0, (step + 1) / _WARM_STEPS, (steps - step) / (_COOLING * steps))


def _shuffled(count: int) -> Iterator[torch.Tensor]:
    while True:
        yield from torch.randperm(count)[: count // BATCH * BATCH].split(BATCH)


def _batch(lessons: Lessons, chosen: torch.Tensor) -> tuple[torch.Tensor, list[Truth]]:
    """Mirror at random: a belt has neither a left nor an upper end."""
    batch, answers = [], []
    height, width = lessons.pictures.shape[1:3]
    for index in chosen.tolist():
        picture, (boxes, labels) = lessons.pictures[index], map(torch.from_numpy, lessons.truths[index])
        if torch.rand(()) < 0.5:  # noqa: PLR2004 - half of them
            picture, boxes = (
                picture.flip(1),
                torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], 1),
            )
        if torch.rand(()) < 0.5:  # noqa: PLR2004 - half of them
            picture, boxes = (
                picture.flip(0),
                torch.stack([boxes[:, 0], height - boxes[:, 3], boxes[:, 2], height - boxes[:, 1]], 1),
            )
        batch.append(picture)
        answers.append((boxes, labels))
    stacked = torch.stack(batch).permute(0, 3, 1, 2).float().sub(127.5).div(127.5)
    return stacked.contiguous(memory_format=torch.channels_last), answers


def _loss(network: Detector, pictures: torch.Tensor, truths: list[Truth]) -> torch.Tensor:
    with torch.autocast("cpu", torch.bfloat16):  # twice as fast where the processor has it, with nothing lost
        raw = network.raw(pictures)
    boxes, objectness, classes = (one.float() for one in raw)
    assigned = [_assign(truth, network.size) for truth in truths]
    responsible = torch.stack([owner >= 0 for owner, _, _ in assigned])
    wanted = torch.cat([target[owner >= 0] for owner, target, _ in assigned])
    labels = torch.cat([label[owner >= 0] for owner, _, label in assigned])
    count = max(1, int(responsible.sum()))
    overlap = _generalised_iou(decoded(boxes, network.size)[responsible], wanted)
    clear = labels != UNCLEAR
    one_hot = nn.functional.one_hot(labels[clear], len(LABELS)).float()
    found = torch.zeros_like(objectness[..., 0])
    found[responsible] = overlap.detach().clamp(0, 1)  # a cell is as sure as its box is good
    return (
        2 * (1 - overlap).sum()
        + nn.functional.binary_cross_entropy_with_logits(objectness[..., 0], found, reduction="sum")
        + 2 * nn.functional.binary_cross_entropy_with_logits(classes[responsible][clear], one_hot, reduction="sum")
    ) / count


def _assign(truth: Truth, size: Size) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """For every cell: the part it answers for or -1, that part's box, and its label."""
    boxes, labels = truth
    middles = (cells(size) + 0.5) * STRIDE
    if not len(boxes):
        nothing = torch.zeros(len(middles), dtype=torch.int64)
        return nothing - 1, torch.zeros(len(middles), 4), nothing
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    distance, owner = torch.cdist(middles, centres).min(dim=1)
    target, label = boxes[owner], labels[owner]
    inside = (middles > target[:, :2]).all(dim=1) & (middles < target[:, 2:]).all(dim=1)
    near = (distance < _REACH * STRIDE) & (inside | (distance < STRIDE * 0.75))
    return torch.where(near, owner, -1), target, label


def _generalised_iou(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """Give -1..1 for each pair (Rezatofighi et al., CVPR 2019, algorithm 1)."""
    areas = [(box[:, 2:] - box[:, :2]).prod(dim=1) for box in (boxes, others)]
    inner = torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])
    shared = inner.clamp(min=0).prod(dim=1)
    union = areas[0] + areas[1] - shared
    hull = (torch.maximum(boxes[:, 2:], others[:, 2:]) - torch.minimum(boxes[:, :2], others[:, :2])).prod(dim=1)
    return shared / union - (hull - union) / hull


@torch.no_grad()
def _follow(kept: Detector, network: Detector) -> None:
    for mine, theirs in zip(kept.state_dict().values(), network.state_dict().values(), strict=True):
        if mine.is_floating_point():
            mine.lerp_(theirs, 1 - _DECAY)
