"""Stable numbers for detections: the same object keeps its number from frame to frame.

In the manner of SORT (Bewley et al., "Simple online and realtime tracking", 2016): each object is followed by a Kalman filter of constant
velocity, and what it predicts is matched with what was detected, by overlap. SORT's assignment is the Hungarian one, from SciPy, which
costs 88 MB of memory on a box that has 700; the best overlaps first, as here, differ from it only where boxes of one label overlap each
other, and there the next frames put it right.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edged.domain.result import Detection, Detections, Output

Numbers = NDArray[np.float64]

POSITION_NOISE = 0.05
"""Standard deviation of a detected centre or side, in sides of its box: a twentieth, as in DeepSORT (Wojke et al., 2017)."""
FIRST_SPEED = 1.0
"""Standard deviation of the speed of what has just been seen, in sides of its box a second: people walk 0.8 of their height."""
ACCELERATION = 2.0
"""Standard deviation of what a second does to the speed, in sides of the box a second."""


@dataclass(frozen=True, slots=True)
class Following:
    """How detections are followed. Times are the source's own, in seconds."""

    min_iou: float = 0.3
    """Overlap from which a detection may be the object that was predicted there; SORT's own figure."""
    confirm: int = 3
    """Detections in a row before an object gets its number: one that flickers up gets none."""
    keep_s: float = 1.0
    """An object that was not seen for longer is another one when it comes back."""


class Tracker:
    """Follows the detections of one pipeline: ``follow(output, source_s)`` gives the output with its objects numbered.

    What is not (yet) confirmed has no number. Numbers start at 1 and are never given twice; they count the objects. Owned by one thread.
    """

    def __init__(self, following: Following | None = None) -> None:
        self._settings = following or Following()
        self._tracks = _Tracks.none()
        self._now_s = 0.0
        self.count = 0

    def __repr__(self) -> str:
        return f"<Tracker: {len(self._tracks.labels)} followed, {self.count} confirmed so far>"

    def follow(self, output: Output, source_s: float) -> Output:
        """Number the objects of a detector's answer; any other answer is given back as it is.

        Args:
            output: The answer to the newest frame.
            source_s: That frame's time. Once it steps back, everything is new.
        """
        if not isinstance(output, Detections):
            return output
        if source_s < self._now_s:
            self._tracks = _Tracks.none()
        tracks = self._tracks.predicted(max(0.0, source_s - self._now_s))
        self._now_s = source_s
        found = np.array([_center_form(item) for item in output.items], np.float64).reshape(-1, 4)
        labels = [item.label for item in output.items]
        pairs = dict(_matched(tracks, found, labels, self._settings.min_iou))
        self._tracks, numbers = self._updated(tracks, found, labels, pairs)
        items = zip(output.items, numbers, strict=True)
        return Detections(tuple(replace(item, track=number or None) for item, number in items))

    def _updated(
        self, tracks: _Tracks, found: Numbers, labels: list[str], pairs: dict[int, int]
    ) -> tuple[_Tracks, list[int]]:
        """Correct what was matched, begin what is new, forget what is long gone; give each detection's number, 0 for none."""
        kept = [*pairs]
        tracks.correct(kept, found[[pairs[index] for index in kept]], self._now_s)
        for index in range(len(tracks.labels)):
            missed = index not in pairs
            # One that flickers is not confirmed, and starts again.
            tracks.hits[index] = 0 if missed and not tracks.numbers[index] else tracks.hits[index] + (not missed)
        fresh = [place for place in range(len(labels)) if place not in pairs.values()]
        tracks = tracks.joined(_Tracks.begun(found[fresh], [labels[place] for place in fresh], self._now_s))
        numbers = [0] * len(labels)
        for index, place in [*pairs.items(), *enumerate(fresh, start=len(tracks.labels) - len(fresh))]:
            if not tracks.numbers[index] and tracks.hits[index] >= self._settings.confirm:
                self.count += 1
                tracks.numbers[index] = self.count
            numbers[place] = tracks.numbers[index]
        return tracks.seen_since(self._now_s - self._settings.keep_s), numbers


@dataclass(slots=True)
class _Tracks:
    """All objects that are followed, a row each. ``mean`` is (n, 4, 2): position and speed of centre x, centre y, width and height.

    ``spread`` is (n, 4, 3): the covariance's three different numbers. The four are filtered apart: nothing couples them in SORT's model.
    """

    mean: Numbers
    spread: Numbers
    labels: list[str]
    hits: list[int]
    numbers: list[int]
    seen_s: list[float]

    @classmethod
    def none(cls) -> _Tracks:
        return cls(np.empty((0, 4, 2)), np.empty((0, 4, 3)), [], [], [], [])

    @classmethod
    def begun(cls, found: Numbers, labels: list[str], now_s: float) -> _Tracks:
        mean = np.stack((found, np.zeros_like(found)), axis=2)
        side = _sides(found)
        spread = np.stack(((POSITION_NOISE * side) ** 2, np.zeros_like(side), (FIRST_SPEED * side) ** 2), axis=2)
        count = len(labels)
        return cls(mean, spread, list(labels), [1] * count, [0] * count, [now_s] * count)

    def predicted(self, dt_s: float) -> _Tracks:
        """Move every object on by its speed."""
        position, speed = self.mean[..., 0], self.mean[..., 1]
        variance, shared, of_speed = self.spread[..., 0], self.spread[..., 1], self.spread[..., 2]
        # Discrete white noise acceleration (Bar-Shalom et al., "Estimation with applications to tracking", 6.3.2).
        noise = (ACCELERATION * _sides(position)) ** 2
        spread = (
            variance + 2 * dt_s * shared + dt_s**2 * of_speed + noise * dt_s**4 / 4,
            shared + dt_s * of_speed + noise * dt_s**3 / 2,
            of_speed + noise * dt_s**2,
        )
        mean = np.stack((position + dt_s * speed, speed), axis=2)
        return replace(self, mean=mean, spread=np.stack(spread, axis=2))

    def correct(self, rows: list[int], found: Numbers, now_s: float) -> None:
        """Take what was detected of the objects in ``rows``: the Kalman filter's update, for each number apart."""
        variance, shared, of_speed = (self.spread[rows, :, index] for index in range(3))
        total = variance + (POSITION_NOISE * _sides(found)) ** 2
        surprise = found - self.mean[rows, :, 0]
        self.mean[rows, :, 0] += variance / total * surprise
        self.mean[rows, :, 1] += shared / total * surprise
        self.spread[rows] = np.stack(
            (variance - variance**2 / total, shared - variance * shared / total, of_speed - shared**2 / total), axis=2
        )
        for row in rows:
            self.seen_s[row] = now_s

    def joined(self, other: _Tracks) -> _Tracks:
        return _Tracks(
            np.concatenate((self.mean, other.mean)),
            np.concatenate((self.spread, other.spread)),
            self.labels + other.labels,
            self.hits + other.hits,
            self.numbers + other.numbers,
            self.seen_s + other.seen_s,
        )

    def seen_since(self, first_s: float) -> _Tracks:
        """Keep what was seen not before ``first_s``, and is confirmed or was seen in this very frame."""
        rows = [i for i, seen_s in enumerate(self.seen_s) if seen_s >= first_s and self.hits[i]]
        return _Tracks(
            self.mean[rows],
            self.spread[rows],
            [self.labels[i] for i in rows],
            [self.hits[i] for i in rows],
            [self.numbers[i] for i in rows],
            [self.seen_s[i] for i in rows],
        )


def _sides(boxes: Numbers) -> Numbers:
    """Give the side that each of (n, 4) centre x, centre y, width, height is measured by; never nothing, which no filter bears."""
    return np.maximum(np.abs(boxes[:, (2, 3, 2, 3)]), 1e-3)


def _center_form(item: Detection) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = item.box
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def _matched(tracks: _Tracks, found: Numbers, labels: list[str], min_iou: float) -> Iterator[tuple[int, int]]:
    """Give pairs of a followed object and a detection of the same label, the best overlap first, each at most once."""
    shares = _overlaps(tracks.mean[..., 0], found)
    shares *= np.array(tracks.labels, object)[:, None] == np.array(labels, object)[None, :]
    order = np.argsort(-shares, axis=None, kind="stable")
    taken_rows, taken_places = set[int](), set[int]()
    for flat in order[: np.count_nonzero(shares >= min_iou)].tolist():
        row, place = divmod(flat, len(labels))
        if row not in taken_rows and place not in taken_places:
            taken_rows.add(row)
            taken_places.add(place)
            yield row, place


def _overlaps(some: Numbers, others: Numbers) -> Numbers:
    """Give the intersection over union of (n, 4) with (m, 4) boxes in centre form: (n, m)."""
    half, other_half = np.maximum(some[:, None, 2:], 0) / 2, others[None, :, 2:] / 2
    center, other_center = some[:, None, :2], others[None, :, :2]
    low = np.maximum(center - half, other_center - other_half)
    high = np.minimum(center + half, other_center + other_half)
    common = np.prod(np.clip(high - low, 0, None), axis=2)
    union = np.prod(2 * half, axis=2) + np.prod(2 * other_half, axis=2) - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))
