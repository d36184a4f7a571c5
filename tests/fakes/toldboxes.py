"""Boxes that tell what a test wants, in the documents of the wire: for screens whose every figure is known."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from fakes.waiting import until

Document = dict[str, Any]
AT = "2026-11-21T10:02:11.000Z"


def figures(rate_hz: float | None = 9.8, *, state: str = "running", source: str = "dock", drops: int = 0) -> Document:
    """Give a pipeline's part of telemetry."""
    stage = {"p50": 3.1, "p99": 12.0}
    return {
        "state": state,
        "source": source,
        "source_state": "live",
        "frames": 1000,
        "results": 980,
        "unknown": 1,
        "events": 2,
        "restarts": 0,
        "rate_hz": rate_hz,
        "latency_ms": dict.fromkeys(("age", "preprocess", "inference", "postprocess"), stage)
        | {"total": {"p50": 40.0, "p99": 83.4}},
        "drops": {"overwritten": drops},
    }


def telemetry(pipelines: Mapping[str, Document], *, temp_c: float | None = 61.4, level: str = "calm") -> Document:
    """Give a telemetry document."""
    heat = [] if temp_c is None else [{"sensor": "cpu", "temp_c": temp_c, "is_compute": True}]
    return {
        "schema": "edged.telemetry/1",
        "at": AT,
        "pipelines": dict(pipelines),
        "process": {"memory_mb": 118.0},
        "readings": {"temperatures": heat, "memory_available_mb": 2100},
        "governor": {"enabled": True, "level": level, "cause": "", "reason": ""},
        "outbox": {"pending": 0},
    }


def inventory(pipelines: Mapping[str, str], *, governed: Mapping[str, Document] | None = None) -> Document:
    """Give an inventory document: models by pipeline, and which pipelines do less."""
    return {
        "schema": "edged.inventory/1",
        "profile": "raspberry-pi-5",
        "versions": {"edged": "0.1.0"},
        "pipelines": [
            {"name": name, "source": "dock", "model": model, "governor": (governed or {}).get(name)}
            for name, model in pipelines.items()
        ],
        "models": [
            {
                "model": model,
                "version": "1.2.0",
                "pipelines": [name],
                "variants": [{"id": "int8", "verdict": "chosen"}, {"id": "fp32", "verdict": "possible"}],
            }
            for name, model in pipelines.items()
        ],
    }


def models(*names: str) -> Document:
    """Give a models document: each runs 1.2.0 and ran 1.1.0 before."""
    told = {"state": "committed", "active": {"version": "1.2.0"}, "previous": {"version": "1.1.0"}, "desired": None}
    return {"schema": "edged.models/1", "models": [{"name": name, **told, "quarantined": []} for name in names]}


def event(pipeline: str, rule: str, phase: str, label: str = "person", at: str = AT) -> Document:
    """Give an event document."""
    seen = [{"label": label, "score": 0.91, "box": [0.1, 0.1, 0.2, 0.3]}]
    return {
        "schema": "edged.event/1",
        "captured_at": at,
        "pipeline": pipeline,
        "rule": rule,
        "phase": phase,
        "detections": seen,
    }


class ToldBoxes:
    """One connection that speaks for any number of boxes."""

    def __init__(self, port: int) -> None:
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        until(self.client.is_connected, "the boxes are connected")

    def tell(self, box: str, stream: str, document: Document, *, retain: bool = True) -> None:
        """Tell it, and wait until the broker has it."""
        self._arrived([self._sent(box, stream, document, retain=retain)])

    def tell_many(self, told: Iterable[tuple[str, str, Document]]) -> None:
        """Tell all of it, and wait then: on a busy machine each of many would take a fifth of a second, there and back."""
        self._arrived([self._sent(*one) for one in told])

    def tell_all(self, box: str, pipelines: Mapping[str, str], health: str = "ok", **more: Any) -> None:
        """Tell everything of a box that is online and runs these models by pipeline."""
        self.tell(box, "status", {"schema": "edged.status/1", "at": AT, "state": "online"})
        self.tell(
            box, "health", {"schema": "edged.health/1", "at": AT, "state": health, "reasons": more.get("reasons", [])}
        )
        self.tell(box, "inventory", inventory(pipelines, governed=more.get("governed")))
        self.tell(box, "models", models(*pipelines.values()))
        told = more.get("figures") or {name: figures() for name in pipelines}
        # Kept by the broker, which boxes do not ask for: a test need not wait for the next one.
        self.tell(box, "telemetry", telemetry(told, temp_c=more.get("temp_c", 61.4), level=more.get("level", "calm")))

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _sent(self, box: str, stream: str, document: Document, *, retain: bool = True) -> mqtt.MQTTMessageInfo:
        payload = json.dumps({"device": box, **document})
        return self.client.publish(f"edged/v1/d/{box}/out/{stream}", payload, 1, retain=retain)

    def _arrived(self, sent: Sequence[mqtt.MQTTMessageInfo]) -> None:
        until(lambda: all(one.is_published() for one in sent), "the broker has what the boxes tell")
