"""The detector: one anchor-free head at stride 8 with a wider view mixed in, decoded as YOLOX's are.

After Ge et al., "YOLOX: Exceeding YOLO Series in 2021" (arXiv:2107.08430), section 2.1: a centre offset, the
logarithm of width and height, objectness and classes for every cell.
"""

from __future__ import annotations

import torch
from torch import nn

from models.parts.shapes import LABELS

INPUT_WIDTH, INPUT_HEIGHT = 256, 144
STRIDE = 8
COLUMNS, ROWS = INPUT_WIDTH // STRIDE, INPUT_HEIGHT // STRIDE
OUTPUTS = ["boxes", "objectness", "classes"]

_BOX_LIMITS = (-2.0, 3.0)
"""No centre lies further than two cells away and no side is longer than e^3 cells; int8 then has no range to waste."""


class Detector(nn.Module):
    """(n, 3, 144, 256) float32 RGB -1..1 to boxes (n, 576, 4), objectness (n, 576, 1), classes (n, 576, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.fine = nn.Sequential(_step(3, 24, 4, kernel=7), _Residual(24), _step(24, 48, 2), _Residual(48))
        self.coarse = nn.Sequential(_step(48, 64, 2), _Residual(64), _step(64, 48, 1, kernel=1))
        self.mix = nn.Sequential(_step(48, 48, 1), _step(48, 48, 1))
        self.boxes = nn.Conv2d(48, 4, 1)
        self.objectness = nn.Conv2d(48, 1, 1)
        self.classes = nn.Conv2d(48, len(LABELS), 1)
        nn.init.constant_(self.objectness.bias, -3.0)  # most cells are empty: start from there

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give raw boxes, and objectness and classes as 0..1."""
        boxes, objectness, classes = self.raw(pictures)
        return boxes, objectness.sigmoid(), classes.sigmoid()

    def raw(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give the same with logits in place of scores."""
        fine = self.fine(pictures)
        wide = nn.functional.interpolate(self.coarse(fine), scale_factor=2.0, mode="nearest")
        seen = self.mix(fine + wide)
        return _rows(self.boxes(seen).clamp(*_BOX_LIMITS)), _rows(self.objectness(seen)), _rows(self.classes(seen))


class ChannelsLast(nn.Module):
    """The detector for pictures (n, 144, 256, 3), as TFLite wants them."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Give what the detector gives."""
        return self.detector(pictures.permute(0, 3, 1, 2))


def cells() -> torch.Tensor:
    """Give the column and row of every cell: (576, 2) float32, row by row."""
    rows, columns = torch.meshgrid(torch.arange(ROWS), torch.arange(COLUMNS), indexing="ij")
    return torch.stack([columns, rows], dim=-1).reshape(-1, 2).float()


def decoded(boxes: torch.Tensor) -> torch.Tensor:
    """Turn raw boxes (..., 576, 4) into x1, y1, x2, y2 in pixels of the network's input."""
    centres = (boxes[..., :2] + cells()) * STRIDE
    halves = boxes[..., 2:].exp() * (STRIDE / 2)
    return torch.cat([centres - halves, centres + halves], dim=-1)


def _rows(planes: torch.Tensor) -> torch.Tensor:
    return planes.permute(0, 2, 3, 1).reshape(planes.shape[0], ROWS * COLUMNS, planes.shape[1])


def _step(inputs: int, outputs: int, stride: int, kernel: int = 3) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first, self.second = _step(channels, channels, 1), _step(channels, channels, 1)

    def forward(self, planes: torch.Tensor) -> torch.Tensor:
        return planes + self.second(self.first(planes))
