"""The words of libgpiod's lines."""

from __future__ import annotations

import enum


class Direction(enum.Enum):
    INPUT = 2
    OUTPUT = 3


class Value(enum.Enum):
    INACTIVE = 0
    ACTIVE = 1
