"""The detectors: one anchor-free head at stride 8 with a wider view mixed in, decoded as YOLOX's are, in two sizes.

After Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (arXiv:2107.08430), section 2.1: a centre offset, the
logarithm of width and height, objectness and classes for every cell.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from models.parts.shapes import LABELS

STRIDE = 8
OUTPUTS = ["boxes", "objectness", "classes"]

_LOWEST = -2.0
"""Boxes' numbers lie between this and 6 more: no centre further than two cells to the left of its own or above it, no side longer than e^4
cells. int8 then has no range to waste; and RELU6 stays integer where MINIMUM and MAXIMUM were computed in float."""


@dataclass(frozen=True, slots=True)
class Size:
    """A rung of the ladder: its picture in pixels, and its channels at strides 2, 4, 8 and 16."""

    name: str
    width: int
    height: int
    channels: tuple[int, int, int, int]

    @property
    def columns(self) -> int:
        """Cells across."""
        return self.width // STRIDE

    @property
    def rows(self) -> int:
        """Cells down."""
        return self.height // STRIDE


LARGE = Size("large", 320, 192, (16, 32, 64, 64))
SMALL = Size("small", 256, 144, (16, 24, 32, 48))


class Detector(nn.Module):
    """(n, 3, h, w) float32 RGB -1..1 to boxes (n, cells, 4), objectness (n, cells, 1), classes (n, cells, 5)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        first, second, third, fourth = size.channels
        self.stem = nn.Sequential(_step(3, first, 2), _step(first, second, 2), _Residual(second))
        self.fine = nn.Sequential(_step(second, third, 2), _Residual(third), _Residual(third))
        self.coarse = nn.Sequential(_step(third, fourth, 2), _Residual(fourth), _Residual(fourth))
        self.narrow = _step(fourth, third, 1, kernel=1)
        self.mix = _step(third, third, 1)
        self.look = _step(third, third // 2, 1)
        self.boxes = nn.Conv2d(third, 4, 1)
        self.objectness = nn.Conv2d(third, 1, 1)
        self.classes = nn.Conv2d(third // 2, len(LABELS), 1)
        nn.init.constant_(self.boxes.bias, -_LOWEST)
        nn.init.constant_(self.objectness.bias, -3.0)  # most cells are empty: start from there

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give raw boxes, and objectness and classes as 0..1."""
        boxes, objectness, classes = self.raw(pictures)
        return boxes, objectness.sigmoid(), classes.sigmoid()

    def raw(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give the same with logits in place of scores."""
        fine = self.fine(self.stem(pictures))
        wide = nn.functional.interpolate(self.narrow(self.coarse(fine)), scale_factor=2.0, mode="nearest")
        seen = self.mix(fine + wide)
        boxes = nn.functional.relu6(self.boxes(seen)) + _LOWEST
        return _rows(boxes), _rows(self.objectness(seen)), _rows(self.classes(self.look(seen)))


class ChannelsLast(nn.Module):
    """The detector for pictures (n, h, w, 3), as TFLite wants them."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give what the detector gives."""
        return self.detector(pictures.permute(0, 3, 1, 2))


def cells(size: Size) -> torch.Tensor:
    """Give the column and row of every cell: (cells, 2) float32, row by row."""
    rows, columns = torch.meshgrid(torch.arange(size.rows), torch.arange(size.columns), indexing="ij")
    return torch.stack([columns, rows], dim=-1).reshape(-1, 2).float()


def decoded(boxes: torch.Tensor, size: Size) -> torch.Tensor:
    """Turn raw boxes (..., cells, 4) into x1, y1, x2, y2 in pixels of the network's input."""
    centres = (boxes[..., :2] + cells(size)) * STRIDE
    halves = boxes[..., 2:].exp() * (STRIDE / 2)
    return torch.cat([centres - halves, centres + halves], dim=-1)


def _rows(planes: torch.Tensor) -> torch.Tensor:
    return planes.permute(0, 2, 3, 1).reshape(planes.shape[0], -1, planes.shape[1])


def _step(inputs: int, outputs: int, stride: int, kernel: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class _Residual(nn.Module):
    """Half as many channels in its middle: half the work of a full one."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _step(channels, channels // 2, 1), _step(channels // 2, channels, 1)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return planes + self.second(self.first(planes))
