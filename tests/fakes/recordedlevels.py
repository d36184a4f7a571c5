"""Recordings of whole levels that go on, and what the model level made of them."""

from __future__ import annotations

from pathlib import Path

from fakes.sensor import csv_source
from fakes.subscriber import Subscriber

SQUARES = [float(level**2) for level in range(100)]


def endless(recording: Path, name: str = "spindle") -> str:
    """Give a source that goes on at about 16 windows a second."""
    return csv_source(recording, name, more='pace = "recorded"\nloop = true')


def scores(fleet: Subscriber, name: str) -> list[float]:
    return [result["anomaly"]["score"] for result in fleet.of(f"result/{name}")]


def frames(fleet: Subscriber, name: str) -> set[int]:
    return {result["frame"] for result in fleet.of(f"result/{name}")}
