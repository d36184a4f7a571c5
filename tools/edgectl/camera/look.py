"""What a camera gives for some seconds: how evenly, how old, and whether it sees anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from edgectl.timing import MIDDLE, MS_PER_S, USUAL, Timing, percentile, timing
from edged.domain.errors import SourceLostError
from edged.domain.frame import Frame
from edged.domain.ports import Clock, Source
from edged.domain.tensor import Array
from edged.pipeline.sight import BLACK_MEAN, BLACK_SPREAD, GRID
from edged.pipeline.traits import picture_traits

NS_PER_S = 1_000_000_000
FROZEN_S = 2.0
"""Of a live sensor's pictures some point changes with every one; an encoder may repeat them for a second."""
FLAT_SPREAD = 6.0
"""Of 0..255: less contrast is fog, a wall, or a lens cap."""
BRIGHT_MEAN = 235.0
LAG_SHARE = 0.8
"""Less than this of the rate that was asked for is told."""

Word = Literal["black", "frozen", "flat", "too bright", "slower than asked", "damaged", "lost"]
REMEDIES: dict[Word, str] = {
    "black": "look at its lens and at the light; its picture is dark all over",
    "frozen": "restart the camera; what it sends does not change",
    "flat": "look at its lens: there is hardly any contrast in the picture",
    "too bright": "turn it from the light, or shorten its exposure",
    "slower than asked": "ask for less: a smaller size, or MJPG instead of raw pictures; in the dark, exposure takes longer",
    "damaged": "look at its cable and the network; over udp, try --transport tcp",
    "lost": "look at its cable and power",
}


@dataclass(frozen=True, slots=True)
class Seen:
    """What came. ``picture`` is the newest, (H, W, 3) uint8 BGR; None when none came. ``lost`` says why it ended early."""

    timing: Timing
    age_p50_ms: float | None
    age_p95_ms: float | None
    drops: dict[str, int]
    traits: dict[str, float]
    words: tuple[Word, ...]
    picture: Array | None
    lost: str = ""

    def told(self) -> dict[str, Any]:
        """Give it as JSON has it."""
        height, width = self.picture.shape[:2] if self.picture is not None else (None, None)
        return {
            "width": width,
            "height": height,
            "pictures": self.timing.told(),
            "age_ms": {"p50": self.age_p50_ms, "p95": self.age_p95_ms},
            "dropped": self.drops,
            "traits": self.traits,
            "faults": [{"word": word, "remedy": REMEDIES[word]} for word in self.words],
            "lost": self.lost,
        }


@dataclass(slots=True)
class Watch:
    """Takes pictures one by one and keeps the newest alone."""

    asked_fps: float | None = None
    _arrived_s: list[float] = field(default_factory=list)
    _ages_ms: list[float] = field(default_factory=list)
    _points: bytes = b""
    _changed_s: float = 0.0
    _is_black: bool = True
    _newest: Frame | None = None

    def take(self, frame: Frame, now_s: float) -> None:
        """Take a picture that was there at ``now_s`` of the monotonic clock."""
        points = _points(frame.data)
        seen = points.tobytes()
        if seen != self._points:
            self._points, self._changed_s = seen, now_s
        self._is_black = self._is_black and points.mean() <= BLACK_MEAN and points.std() <= BLACK_SPREAD
        self._arrived_s.append(now_s)
        self._ages_ms.append((now_s - frame.stamp.mono_ns / NS_PER_S) * MS_PER_S)
        self._newest = frame

    def seen(self, drops: dict[str, int], lost: str = "") -> Seen:
        """Sum up."""
        frame, paced = self._newest, timing(self._arrived_s)
        traits = {} if frame is None else _traits(frame.data)
        middle_ms, most_ms = (percentile(self._ages_ms, share) for share in (MIDDLE, USUAL))
        return Seen(
            paced,
            middle_ms,
            most_ms,
            {cause: count for cause, count in drops.items() if count},
            traits,
            tuple(self._words(paced, traits, drops, lost)),
            None if frame is None else frame.data,
            lost,
        )

    def _words(self, paced: Timing, traits: dict[str, float], drops: dict[str, int], lost: str) -> list[Word]:
        is_still = bool(self._arrived_s) and self._arrived_s[-1] - self._changed_s >= FROZEN_S
        found: dict[Word, bool] = {"lost": bool(lost), "damaged": bool(drops.get("damaged"))}
        if self.asked_fps and paced.rate_hz is not None:
            found["slower than asked"] = paced.rate_hz < LAG_SHARE * self.asked_fps
        if traits and self._is_black:
            found["black"] = True
        elif traits:
            found |= {"frozen": is_still, **_looks(traits)}
        return [word for word, holds in found.items() if holds]


def watch(
    source: Source,
    clock: Clock,
    seconds: float,
    asked_fps: float | None,
    each: Callable[[Frame], bool] = lambda _: True,
) -> Seen:
    """Read a source for so many seconds from its first picture on, or until ``each`` has enough of it.

    A source that is lost meanwhile is told in what was seen.
    """
    watching, end_s, lost = Watch(asked_fps), None, ""
    try:
        while end_s is None or clock.monotonic_ns() / NS_PER_S < end_s:
            frame = source.read()
            now_s = clock.monotonic_ns() / NS_PER_S
            if not isinstance(frame, Frame):
                break
            end_s = now_s + seconds if end_s is None else end_s
            watching.take(frame, now_s)
            if not each(frame):
                break
    except SourceLostError as error:
        lost = str(error)
    return watching.seen(dict(getattr(source, "drops", {})), lost)


def _looks(traits: dict[str, float]) -> dict[Word, bool]:
    """Judge a picture that is not black."""
    is_flat = traits["contrast"] < FLAT_SPREAD
    is_bright = traits["luma"] > BRIGHT_MEAN
    return {"too bright": is_bright, "flat": is_flat and not is_bright}


def _traits(picture: Array) -> dict[str, float]:
    told = picture_traits(picture)
    return {name.removeprefix("input."): round(float(value), 2) for name, value in told.items()}


def _points(picture: Array) -> Array:
    """Give up to ``GRID`` by ``GRID`` of a picture's points, evenly spread, as pipeline/sight.py does."""
    height, width = picture.shape[:2]
    across, down = max(1, width // GRID), max(1, height // GRID)
    return np.ascontiguousarray(picture[down // 2 :: down, across // 2 :: across])
