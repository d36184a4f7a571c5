"""What a replay tells: what came out, held against what the box said then and against a second model. Values only."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgectl.replay.compare import Comparison, Pair, compare
from edged.assembly.clip import Clip, Key, Row, key_of
from edged.assembly.replaying import Played, key_of_stamp
from edged.domain.errors import ConfigError
from edged.domain.result import Event, Output, Result
from edged.fleet.documents import output_body
from edged.update.trial import output_of

SCHEMA = "edged.replay/1"
_ODD = (AttributeError, KeyError, MemoryError, OverflowError, TypeError, ValueError)
"""What an answer leads to that no decoder gives."""
ANSWERS = ("detections", "classes", "anomaly", "keypoints", "values", "mask")


@dataclass(frozen=True, slots=True)
class Side:
    """One model on the recording; ``note`` is what is to be known of it."""

    played: Played
    note: str = ""

    @property
    def latency_ms(self) -> Mapping[str, float]:
        """What an input took from preprocessing to the answer: the middle and the 95th percentile."""
        took = [
            one.latency.preprocess_ms + one.latency.inference_ms + one.latency.postprocess_ms
            for one in self.played.results
        ]
        p50, p95 = np.percentile(took, (50, 95)) if took else (0.0, 0.0)
        return {"p50": round(float(p50), 3), "p95": round(float(p95), 3)}


@dataclass(frozen=True, slots=True)
class Then:
    """What the box said, against what came out now: results to the digit, and events by rule, phase and input."""

    identical: int
    compared: int
    comparison: Comparison
    only_then: tuple[Row, ...]
    only_now: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything."""

    clip: Clip
    ours: Side
    then: Then
    theirs: Side | None = None
    versus: Comparison | None = None

    def document(self) -> dict[str, Any]:
        """Write it as JSON carries it."""
        manifest, then = self.clip.manifest, self.then
        told: dict[str, Any] = {
            "schema": SCHEMA,
            "recording": {
                **{key: manifest.get(key) for key in ("id", "device", "pipeline", "why", "began_at", "seconds")},
                "exact": self.clip.is_exact,
                "missed": manifest["counts"]["missed"],
            },
            "replayed": _side(self.ours),
            "then": {
                "identical": then.identical,
                **self._compared(then.comparison),
                "events": {
                    "only_then": [_event_row(row) for row in then.only_then],
                    "only_now": [_event(event) for event in then.only_now],
                },
            },
        }
        if self.theirs is not None and self.versus is not None:
            told["against"] = {**_side(self.theirs), **self._compared(self.versus)}
        return told

    def frame_of(self, place: int) -> int:
        """Give the number that results and events call an input by, from its place in the recording."""
        return int(self.clip.inputs[place]["index"])

    def was_under_way(self, event: Event) -> bool:
        """Whether an event may have begun before the recording did, so that the box said its first word earlier."""
        results = self.ours.played.results
        return bool(results) and event.since == results[0].stamp

    def _compared(self, comparison: Comparison) -> dict[str, Any]:
        told = comparison.document()
        for row in told["differences"]:
            row["frame"] = self.frame_of(row["input"])
        return told


def report(clip: Clip, ours: Side, theirs: Side | None = None) -> Report:
    """Hold everything against each other. Raises ConfigError when the models answer different questions."""
    try:
        then = _then(clip, ours.played)
    except _ODD as error:
        message = f"cannot read what the box said in {clip.place}: {error}, expected results as edged publishes them"
        raise ConfigError(message, remedy="copy the recording again") from error
    if theirs is None:
        return Report(clip, ours, then)
    both = paired(clip, ours.played, theirs.played)
    versus = compare([Pair(place, one.output, other.output) for place, one, other in both])
    return Report(clip, ours, then, theirs, versus)


def paired(clip: Clip, ours: Played, theirs: Played) -> Iterator[tuple[int, Result, Result]]:
    """Give both results of each input with its place in the recording; of windows that were cut anew, the latest that had ended."""
    places = {key_of(row): place for place, row in enumerate(clip.inputs)}
    times = [one.stamp.source_s for one in ours.results]
    known = {_key(one): one for one in ours.results}
    for other in theirs.results:
        same = known.get(_key(other)) if _key(other) in places else None
        if same is not None and same.stamp == other.stamp:
            yield places[_key(other)], same, other
        elif (before := bisect_right(times, other.stamp.source_s)) > 0:
            latest = ours.results[before - 1]
            yield places[_key(latest)], latest, other


def output_then(clip: Clip) -> Mapping[int, Output | None]:
    """Give what the box said, by the input's place in the recording."""
    rows = {key_of(row): row for row in clip.results}
    keys = ((place, key_of(row)) for place, row in enumerate(clip.inputs))
    return {place: _recorded(rows[key]) for place, key in keys if key in rows}


def _then(clip: Clip, ours: Played) -> Then:
    rows = {key_of(row): row for row in clip.results}
    places = {key_of(row): place for place, row in enumerate(clip.inputs)}
    both = [(rows[_key(one)], one) for one in ours.results if _key(one) in rows]
    pairs = [Pair(places[_key(one)], _recorded(row), one.output) for row, one in both]
    identical = sum(_answer(row) == _published(one) for row, one in both)
    before = {_event_key(row): row for row in clip.events}
    now = {(event.rule, event.phase, key_of_stamp(event)): event for event in ours.events}
    only_then = tuple(row for key, row in before.items() if key not in now)
    only_now = tuple(event for key, event in now.items() if key not in before)
    return Then(identical, len(both), compare(pairs), only_then, only_now)


def _recorded(row: Row) -> Output | None:
    return output_of(row) if any(key in row for key in ANSWERS) else None


def _answer(row: Row) -> Any:
    """Give what the box said of an input; objects' numbers apart, which begin anew with each tracker."""
    told = {key: row[key] for key in ANSWERS if key in row} or {"reason": row.get("reason")}
    return _untracked(told)


def _published(result: Result) -> Any:
    told = output_body(result.output) if result.output is not None else {"reason": result.reason}
    return _untracked(json.loads(json.dumps(told)))


def _untracked(told: Mapping[str, Any]) -> Any:
    items = [{key: value for key, value in item.items() if key != "track"} for item in told.get("detections", ())]
    return {**told, "detections": items} if "detections" in told else told


def _key(result: Result) -> Key:
    return result.stamp.index, result.stamp.mono_ns


def _event_key(row: Row) -> tuple[str, str, Key]:
    return row["rule"], row["phase"], key_of(row)


def _side(side: Side) -> dict[str, Any]:
    events: Sequence[Event] = side.played.events
    return {
        "model": asdict(side.played.model),
        "note": side.note,
        "results": len(side.played.results),
        "unknown": sum(one.output is None for one in side.played.results),
        "events": [_event(event) for event in events],
        "latency_ms": side.latency_ms,
    }


def _event(event: Event) -> dict[str, Any]:
    stamp = event.result.stamp
    told = {"rule": event.rule, "phase": event.phase, "frame": stamp.index, "source_s": round(stamp.source_s, 3)}
    return {**told, "duration_s": round(event.until.source_s - event.since.source_s, 3)}


def _event_row(row: Row) -> dict[str, Any]:
    return {key: row.get(key) for key in ("rule", "phase", "frame", "source_s", "duration_s")}
