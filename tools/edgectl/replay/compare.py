"""Two models' answers to the same input, held against each other: figures by class, and the inputs on which they disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edged.domain.errors import ConfigError
from edged.domain.result import Anomaly, Classes, Detection, Detections, Keypoints, Mask, Output, Values, by_kind
from edged.pipeline.postprocess.agree import TOLD_SHARE, iou, pixels

SAME_PLACE = 0.5
"""IoU from which on two boxes are of the same object: PASCAL VOC's."""
NEAR = 0.05
"""Of a keypoint, as a fraction of the frame: a golden sample's default."""
SPREAD = 0.1
"""Values disagree when they differ by more than this share of what the first model's values spread."""
NEIGHBOURS = 10
"""Inputs: most of a second of a camera."""
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Pair:
    """What both said of one input; None is an unknown result. ``place`` is the input's in the recording."""

    place: int
    ours: Output | None
    theirs: Output | None


@dataclass(frozen=True, slots=True)
class Difference:
    """An input on which they disagree: what was told by only one of them, the surest first, and how much that weighs, 0..1."""

    place: int
    weight: float
    words: tuple[str, ...]


@dataclass(slots=True)
class ClassRow:
    """One label: how often each told it, how often both did, and how far they differ where both did."""

    label: str
    ours: int = 0
    theirs: int = 0
    both: int = 0
    overlaps: list[float] = field(default_factory=list)
    shifts: list[float] = field(default_factory=list)

    @property
    def agreement(self) -> float:
        """What both told, as a share of what either did; 1 where neither told anything."""
        either = self.ours + self.theirs - self.both
        return self.both / either if either else 1.0

    def document(self) -> dict[str, Any]:
        """Write it as JSON carries it; ``shift`` is theirs minus ours."""
        shifts = np.array(self.shifts)
        return {
            "label": self.label,
            "ours": self.ours,
            "theirs": self.theirs,
            "both": self.both,
            "agreement": round(self.agreement, 4),
            "iou": round(float(np.mean(self.overlaps)), 4) if self.overlaps else None,
            "score_shift": round(float(shifts.mean()), 4) if shifts.size else None,
            "score_difference": round(float(np.abs(shifts).mean()), 4) if shifts.size else None,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything; differences with the heaviest first."""

    pairs: int
    rows: tuple[ClassRow, ...]
    differences: tuple[Difference, ...]

    def document(self) -> dict[str, Any]:
        """Write it as JSON carries it."""
        told = [{"input": one.place, "weight": round(one.weight, 4), "what": one.words} for one in self.differences]
        rows = [row.document() for row in self.rows]
        return {"inputs": self.pairs, "same": self.pairs - len(told), "classes": rows, "differences": told}


def compare(pairs: Sequence[Pair]) -> Comparison:
    """Hold answers against each other. Raises ConfigError when the models answer different questions."""
    rows: dict[str, ClassRow] = {}
    known = [pair for pair in pairs if pair.ours is not None and pair.theirs is not None]
    kinds = {(type(pair.ours), type(pair.theirs)) for pair in known}
    for one, other in kinds:
        if one is not other:
            message = f"cannot compare {one.__name__} with {other.__name__}, expected two models of one task"
            raise ConfigError(message, remedy="name a model of the same task")
    found = [_unknown(pair, rows) for pair in pairs if pair.ours is None or pair.theirs is None]
    if known and (first := known[0].ours) is not None:
        found += _COMPARISONS[type(first)](known, rows)
    differences = sorted((one for one in found if one is not None), key=lambda one: (-one.weight, one.place))
    return Comparison(len(pairs), tuple(sorted(rows.values(), key=lambda row: row.label)), tuple(differences))


def various(differences: Sequence[Difference], most: int) -> list[Difference]:
    """Pick the heaviest, of neighbours that differ in the same only one: who looks through them wants to see other things."""
    picked: list[Difference] = []
    for one in differences:
        kinds = _kinds(one)
        if len(picked) < most and not any(
            abs(one.place - other.place) <= NEIGHBOURS and kinds == _kinds(other) for other in picked
        ):
            picked.append(one)
    return picked


def _kinds(one: Difference) -> frozenset[str]:
    """Give what was told, without the scores."""
    return frozenset(words.rsplit(" ", 1)[0] for words in one.words)


def matched(
    ours: Sequence[Detection], theirs: Sequence[Detection]
) -> tuple[list[tuple[Detection, Detection]], list[Detection], list[Detection]]:
    """Pair detections of one label that overlap, the surest first; gives the pairs and what each alone has."""
    left, pairs, alone = list(theirs), [], []
    for item in sorted(ours, key=lambda item: -item.score):
        near = [other for other in left if other.label == item.label and iou(item, other) >= SAME_PLACE]
        if not near:
            alone.append(item)
            continue
        best = max(near, key=lambda other: iou(item, other))
        left.remove(best)
        pairs.append((item, best))
    return pairs, alone, left


def _row(rows: dict[str, ClassRow], label: str) -> ClassRow:
    return rows.setdefault(label, ClassRow(label))


def _count(
    rows: dict[str, ClassRow], ours: Iterable[str] = (), theirs: Iterable[str] = (), both: Iterable[str] = ()
) -> None:
    for label in ours:
        _row(rows, label).ours += 1
    for label in theirs:
        _row(rows, label).theirs += 1
    for label in both:
        _row(rows, label).both += 1


def _unknown(pair: Pair, rows: dict[str, ClassRow]) -> Difference | None:
    """Count an unknown result: agreed upon when both are."""
    told = [UNKNOWN if output is None else "" for output in (pair.ours, pair.theirs)]
    _count(rows, *([name] if name else [] for name in told))
    if all(told):
        _row(rows, UNKNOWN).both += 1
        return None
    return Difference(pair.place, 1.0, (f"only {'the first' if told[0] else 'the second'} gives no answer",))


def _detections(pairs: Sequence[Pair], rows: dict[str, ClassRow]) -> Iterator[Difference]:
    for pair in pairs:
        ours, theirs = _items(pair)
        both, alone, others = matched(ours, theirs)
        _count(rows, (item.label for item in ours), (item.label for item in theirs), (item.label for item, _ in both))
        for item, other in both:
            row = _row(rows, item.label)
            row.overlaps.append(iou(item, other))
            row.shifts.append(other.score - item.score)
        told = [(item.score, f"only A: {item.label} {item.score:.2f}") for item in alone]
        told += [(item.score, f"only B: {item.label} {item.score:.2f}") for item in others]
        if told:
            told.sort(reverse=True)
            yield Difference(pair.place, told[0][0], tuple(words for _, words in told))


def _items(pair: Pair) -> tuple[Sequence[Any], Sequence[Any]]:
    assert isinstance(pair.ours, Detections | Classes | Keypoints | Values | Mask)  # noqa: S101 - as its caller chose
    assert isinstance(pair.theirs, Detections | Classes | Keypoints | Values | Mask)  # noqa: S101 - as above
    return pair.ours.items, pair.theirs.items


def _classes(pairs: Sequence[Pair], rows: dict[str, ClassRow]) -> Iterator[Difference]:
    for pair in pairs:
        best, other = ((items[0].label, items[0].score) if items else ("none", 0.0) for items in _items(pair))
        yield from _verdict(pair, rows, best, other)


def _anomaly(pairs: Sequence[Pair], rows: dict[str, ClassRow]) -> Iterator[Difference]:
    for pair in pairs:
        best, other = (_judged(output) for output in (pair.ours, pair.theirs))
        yield from _verdict(pair, rows, best, other)


def _judged(output: Any) -> tuple[str, float]:
    """Give an anomaly's verdict, and its score in thresholds: the models' own scales have nothing to do with each other."""
    assert isinstance(output, Anomaly)  # noqa: S101 - as its caller chose
    ratio = output.score / output.threshold if output.threshold else output.score
    return "anomaly" if output.is_anomaly else "normal", ratio


def _verdict(
    pair: Pair, rows: dict[str, ClassRow], best: tuple[str, float], other: tuple[str, float]
) -> Iterator[Difference]:
    is_same = best[0] == other[0]
    _count(rows, [best[0]], [other[0]], [best[0]] if is_same else [])
    if is_same:
        _row(rows, best[0]).shifts.append(other[1] - best[1])
    else:
        words = f"A: {best[0]} {best[1]:.2f}", f"B: {other[0]} {other[1]:.2f}"
        yield Difference(pair.place, min(1.0, (best[1] + other[1]) / 2), words)


def _keypoints(pairs: Sequence[Pair], rows: dict[str, ClassRow]) -> Iterator[Difference]:
    for pair in pairs:
        ours, theirs = ({item.label: item for item in items} for items in _items(pair))
        near = [
            label
            for label in ours.keys() & theirs.keys()
            if max(abs(ours[label].x - theirs[label].x), abs(ours[label].y - theirs[label].y)) <= NEAR
        ]
        _count(rows, ours, theirs, near)
        for label in near:
            _row(rows, label).shifts.append(theirs[label].score - ours[label].score)
        apart = sorted((ours.keys() | theirs.keys()) - set(near))
        if apart:
            yield Difference(pair.place, len(apart) / len(ours.keys() | theirs.keys()), (f"apart: {', '.join(apart)}",))


def _mask(pairs: Sequence[Pair], rows: dict[str, ClassRow]) -> Iterator[Difference]:
    for pair in pairs:
        ours, theirs = ({item.label for item in items if item.share >= TOLD_SHARE} for items in _items(pair))
        shares = {label: _overlap(pair.ours, pair.theirs, label) for label in ours | theirs}
        same = {label for label, share in shares.items() if share >= SAME_PLACE}
        _count(rows, ours, theirs, same & ours & theirs)
        for label, share in shares.items():
            _row(rows, label).overlaps.append(share)
        apart = sorted(shares.keys() - same)
        if apart:
            words = tuple(f"{label}: overlap {shares[label]:.2f}" for label in apart)
            yield Difference(pair.place, 1.0 - min(shares.values()), words)


def _overlap(ours: Any, theirs: Any, label: str) -> float:
    if (ours.width, ours.height) != (theirs.width, theirs.height):
        return 0.0
    one, other = pixels(ours, label), pixels(theirs, label)
    return float((one & other).sum() / max(1, (one | other).sum()))


def _values(pairs: Sequence[Pair], rows: dict[str, ClassRow]) -> Iterator[Difference]:
    numbers = [[{item.label: item.value for item in items} for items in _items(pair)] for pair in pairs]
    labels = sorted({label for ours, _ in numbers for label in ours})
    bounds = {label: SPREAD * float(np.std([ours[label] for ours, _ in numbers if label in ours])) for label in labels}
    for pair, (ours, theirs) in zip(pairs, numbers, strict=True):
        shared = ours.keys() & theirs.keys()
        near = {label for label in shared if abs(ours[label] - theirs[label]) <= bounds[label]}
        _count(rows, ours, theirs, near)
        for label in shared:
            _row(rows, label).shifts.append(theirs[label] - ours[label])
        apart = sorted(shared - near, key=lambda label: -abs(ours[label] - theirs[label]))
        if apart:
            words = tuple(f"{label}: A {ours[label]:.4g}, B {theirs[label]:.4g}" for label in apart)
            yield Difference(pair.place, len(apart) / len(shared), words)


_COMPARISONS: Mapping[type[Output], Callable[[Sequence[Pair], dict[str, ClassRow]], Iterator[Difference]]] = by_kind(
    detections=_detections, classes=_classes, anomaly=_anomaly, keypoints=_keypoints, values=_values, mask=_mask
)
