"""What boxes tell, as rows: one a pipeline. Nothing that arrives can break it, since anybody's boxes may write."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgectl.fleet.view import Device
from edged.domain.strict import read_json

MAX_DEPTH = 32
EVENTS = 200
"""So many events and alerts are kept of all boxes."""
SILENT_GAPS = 3.5
"""A box that says it is online is silent once it told nothing for so many of its own intervals of telemetry."""
STREAMS = ("status", "health", "inventory", "models", "telemetry", "alert", "event/+")
"""No results: they are the bulk of what a box tells, and their figures stand in telemetry."""
MOST = 1e18
"""Of a count: no box has dropped more."""
ROOT_PARTS = 5
"""``edged/v1/d/<id>/out`` stands before the stream's name."""


@dataclass(frozen=True, slots=True)
class Row:
    """One pipeline of one box, or a box without any. Absent is None: nothing is made up."""

    box: str
    pipeline: str
    state: str
    rate_hz: float | None = None
    age_ms: float | None = None
    """Median of the time from capture to the model's turn."""
    p99_ms: float | None = None
    """99th percentile of the time from capture to result."""
    drops: int | None = None
    temp_c: float | None = None
    rung: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class Happening:
    """An event or an alert. ``at`` is the box's own date of it (RFC 3339)."""

    at: str
    box: str
    where: str
    what: str
    is_alert: bool


class Boxes:
    """Fed with what arrives, asked for what is known; thread-safe. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._devices: dict[str, Device] = {}
        self._heard_s: dict[str, float] = {}
        self._figures_s: dict[str, float] = {}
        self._gap_s: dict[str, float] = {}
        self._happenings: deque[Happening] = deque(maxlen=EVENTS)
        self.refused = 0
        """Messages that were no document of ours."""

    def heard(self, topic: str, payload: bytes, now_s: float) -> None:
        """Take a message."""
        try:
            parts = topic.split("/")
            document = _document(payload)
            with self._lock:
                self._take(parts[3], "/".join(parts[ROOT_PARTS:]), document, now_s)
        except (ValueError, LookupError, TypeError):
            self.refused += 1

    def names(self) -> list[str]:
        """Name the boxes that told anything."""
        with self._lock:
            return sorted(self._devices)

    def device(self, name: str) -> Device | None:
        """Give the last document of each stream of a box."""
        with self._lock:
            found = self._devices.get(name)
            return Device(name, dict(found.documents)) if found else None

    def online(self) -> int:
        """Count the boxes whose connection is there."""
        with self._lock:
            return sum(one.is_online for one in self._devices.values())

    def is_complete(self) -> bool:
        """Whether every box that is online has told its figures."""
        with self._lock:
            return bool(self._devices) and all(
                "telemetry" in one.documents for one in self._devices.values() if one.is_online
            )

    def rows(self, now_s: float) -> list[Row]:
        """Give a row a pipeline, and one for each box that has none."""
        with self._lock:
            known = [
                (Device(one.name, dict(one.documents)), self._is_silent(one.name, now_s))
                for one in self._devices.values()
            ]
        return [row for device, is_silent in known for row in rows_of(device, is_silent=is_silent)]

    def happenings(self, box: str = "") -> list[Happening]:
        """Give events and alerts, the newest first; of one box, or of all."""
        with self._lock:
            return [one for one in reversed(self._happenings) if box in ("", one.box)]

    def _take(self, name: str, stream: str, document: dict[str, Any], now_s: float) -> None:
        self._heard_s[name] = now_s
        if stream == "telemetry":
            before_s, self._figures_s[name] = self._figures_s.get(name), now_s
            if before_s is not None:
                self._gap_s[name] = now_s - before_s
        device = self._devices.setdefault(name, Device(name))
        if stream.startswith("event/") or stream == "alert":
            happened = happening(name, document)
            if happened is not None:
                self._happenings.append(happened)
        else:
            device.documents[stream] = document

    def _is_silent(self, name: str, now_s: float) -> bool:
        """Whether it has told nothing for longer than it usually does; nobody knows before two telemetries have come."""
        gap_s = self._gap_s.get(name)
        return gap_s is not None and now_s - self._heard_s[name] > SILENT_GAPS * max(1.0, gap_s)


def rows_of(device: Device, *, is_silent: bool = False) -> Iterator[Row]:
    """Give a box's rows."""
    telemetry = device.documents.get("telemetry", {})
    figures = table(telemetry.get("pipelines"))
    told = {
        str(table(one).get("name")): table(one) for one in listed(device.documents.get("inventory", {}), "pipelines")
    }
    names = sorted({*figures, *told})
    temp_c = hottest_c(telemetry)
    if not names:
        yield Row(device.name, "", _state(device, {}, is_silent=is_silent), temp_c=temp_c)
    for name in names:
        figure, about = table(figures.get(name)), told.get(name, {})
        latency = table(figure.get("latency_ms"))
        yield Row(
            device.name,
            name,
            _state(device, figure, is_silent=is_silent),
            number(figure.get("rate_hz")),
            number(table(latency.get("age")).get("p50")),
            number(table(latency.get("total")).get("p99")),
            dropped(figure),
            temp_c,
            rung_of(device, name, about),
            model_of(device, str(about.get("model", ""))),
        )


def happening(box: str, document: Mapping[str, Any]) -> Happening | None:
    """Read an event or an alert; None for what goes with one, such as its picture."""
    schema = document.get("schema")
    if schema == "edged.event/1":
        what = f"{document.get('rule', '')} {document.get('phase', '')} {seen_of(document)}".strip()
        return Happening(
            str(document.get("captured_at", "")), box, str(document.get("pipeline", "")), what, is_alert=False
        )
    if schema == "edged.alert/1":
        what = f"{document.get('code', '')}: {document.get('message', '')}"
        return Happening(str(document.get("at", "")), box, str(document.get("component", "")), what, is_alert=True)
    return None


def seen_of(document: Mapping[str, Any]) -> str:
    """Say in a few words what an event saw."""
    anomaly = table(document.get("anomaly"))
    if anomaly:
        return f"score {number(anomaly.get('score')) or 0:.3g}"
    for key in ("detections", "classes", "keypoints"):
        found = [table(one) for one in listed(document, key)]
        if found:
            best = max(found, key=lambda one: number(one.get("score")) or 0.0)
            more = f" +{len(found) - 1}" if key == "detections" and len(found) > 1 else ""
            return f"{best.get('label', '')} {number(best.get('score')) or 0:.2f}{more}"
    values = [table(one) for one in listed(document, "values")]
    return ", ".join(f"{one.get('label', '')} {number(one.get('value')) or 0:.3g}" for one in values[:2])


def rung_of(device: Device, pipeline: str, about: Mapping[str, Any]) -> str:
    """Name the variant that a pipeline runs: the governor's word where it does less, otherwise what was chosen."""
    governed = table(about.get("governor"))
    if governed:
        return f"▼{governed.get('rung', '')}"
    for ladder in (table(one) for one in listed(device.documents.get("inventory", {}), "models")):
        if pipeline in listed(ladder, "pipelines"):
            chosen = [table(one) for one in listed(ladder, "variants") if table(one).get("verdict") == "chosen"]
            return str(chosen[0].get("id", "")) if chosen else ""
    return ""


def model_of(device: Device, model: str) -> str:
    """Name a model with the version that is active."""
    version = table(device.model(model).get("active")).get("version")
    return f"{model} {version}" if version else model


def hottest_c(telemetry: Mapping[str, Any]) -> float | None:
    """Give the highest temperature of processor or accelerator."""
    found = [table(one) for one in listed(table(telemetry.get("readings")), "temperatures")]
    told = [number(one.get("temp_c")) for one in found if one.get("is_compute")]
    return max((one for one in told if one is not None), default=None)


def dropped(figure: Mapping[str, Any]) -> int | None:
    """Count what a pipeline dropped, for whatever cause."""
    causes = figure.get("drops")
    if not isinstance(causes, dict):
        return None
    # Each is finite; what a hostile box tells need not be in sum.
    return int(min(MOST, max(0.0, sum(number(one) or 0.0 for one in causes.values()))))


def table(given: Any) -> Mapping[str, Any]:
    """Give a table, or an empty one for what is none."""
    return given if isinstance(given, dict) else {}


def listed(given: Mapping[str, Any], key: str) -> list[Any]:
    """Give the list at ``key``, or an empty one for what is none."""
    found = given.get(key)
    return found if isinstance(found, list) else []


def number(given: Any) -> float | None:
    """Give a number, or None for what is none."""
    return float(given) if isinstance(given, int | float) and not isinstance(given, bool) else None


def _document(payload: bytes) -> dict[str, Any]:
    """Read a message; an empty one takes back what was retained. Raises ValueError or TypeError for what is no document."""
    document = read_json(payload, MAX_DEPTH) if payload else {}
    if not isinstance(document, dict):
        raise TypeError
    return document


def _state(device: Device, figure: Mapping[str, Any], *, is_silent: bool) -> str:
    """Give the worst that is known of a pipeline in a word."""
    if not device.is_online:
        return "offline" if "status" in device.documents else "unknown"
    if is_silent:
        return "silent"
    worker, source = str(figure.get("state", "running")), str(figure.get("source_state", "live"))
    if worker != "running":
        return worker
    if source not in {"live", "ended"}:
        return source
    return device.health
