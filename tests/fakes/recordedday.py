"""A night of a box as the flight recorder keeps it: a heat wave that the governor meets, a broker that is away, a restart."""

from __future__ import annotations

from collections.abc import Mapping
from math import cos, exp, pi, sin
from pathlib import Path

from edged.assembly.flight import FlightRecorder
from edged.assembly.history_store import HistoryStore
from fakes.clock import SECOND_NS, FakeClock

BOOT = "6c1c9e0e-0000-4000-8000-000000000001"
HEAT_BEGINS, HEAT_ENDS, AWAY, BACK, RESTART = 0.35, 0.62, 0.7, 0.78, 0.88
"""Parts of the time."""
MODEL = 'edged_model_info{{pipeline="gate",model="parts",version="2.0.0",variant="{}",runtime="litert",accelerator="cpu",sha256="ab"}}'


class Night:
    """What the box counts at each second of ``seconds``; nothing in it is left to chance."""

    def __init__(self, seconds: int) -> None:
        self.seconds, self.at, self._counts = seconds, 0, {"gate": 0.0, "bearing": 0.0, "drops": 0.0}

    def __call__(self) -> Mapping[str, float]:
        part = self.at / self.seconds
        is_hot = HEAT_BEGINS + 0.03 < part < HEAT_ENDS + 0.05
        is_away = AWAY < part < BACK
        self._counts["gate"] += 5 if is_hot else 10
        self._counts["bearing"] += 1
        self._counts["drops"] += 5 if is_hot else self.at % 60 == 0
        noise = sin(self.at * 12.9898) * 0.5
        return {
            "edged_uptime_seconds": self.at - self.seconds * RESTART if part >= RESTART else self.at + 9000,
            'edged_temperature_celsius{sensor="cpu",number="0"}': 52 + 4 * sin(2 * pi * part) + _heat(part) + noise,
            "edged_pressure_level": 2 if is_hot else 0,
            'edged_governor_steps{pipeline="gate",kind="rate"}': int(is_hot),
            'edged_governor_steps{pipeline="gate",kind="variant"}': int(is_hot and part > HEAT_BEGINS + 0.1),
            'edged_results_total{pipeline="gate",status="ok"}': self._counts["gate"],
            'edged_results_total{pipeline="bearing",status="ok"}': self._counts["bearing"],
            'edged_frame_p95_seconds{pipeline="gate"}': 0.06 + 0.02 * is_hot + 0.004 * noise,
            'edged_frame_p95_seconds{pipeline="bearing"}': 0.012 + 0.001 * noise,
            'edged_age_p95_seconds{pipeline="gate"}': 0.02 + 0.002 * noise,
            'edged_frames_dropped_total{pipeline="gate",reason="rate"}': self._counts["drops"],
            MODEL.format("small" if is_hot and part > HEAT_BEGINS + 0.1 else "int8"): 1,
            'edged_health{grade="ok"}': int(not is_hot and not is_away),
            'edged_health{grade="degraded"}': int(is_hot or is_away),
            "edged_mqtt_connected": int(not is_away),
            "edged_spool_depth": 4000 * (part - AWAY) / (BACK - AWAY) if is_away else 0,
            "edged_spool_bytes": 4096 * 40,
            "edged_process_resident_bytes": (84 + 6 * part + cos(self.at / 40)) * 2**20,
            "edged_memory_available_bytes": (2100 - 40 * part) * 2**20,
            "edged_process_cpu_ratio": 0.6 - 0.25 * is_hot + 0.05 * noise,
        }


def record(state: Path, seconds: int, ends_wall_ns: int) -> HistoryStore:
    """Keep a night that ends then."""
    night, store = Night(seconds), HistoryStore(state)
    clock = FakeClock(wall=ends_wall_ns - seconds * SECOND_NS)
    recorder = FlightRecorder(night, store, BOOT, clock)
    for at in range(seconds):
        night.at = at
        recorder.tick()
        clock.advance(1)
    recorder.keep()
    return store


def _heat(part: float) -> float:
    """Give the degrees that a heat wave adds: it comes, is met, and goes."""
    if part < HEAT_BEGINS:
        return 0.0
    return 24 * (1 - exp(-(part - HEAT_BEGINS) * 25)) * (1.0 if part < HEAT_ENDS else exp(-(part - HEAT_ENDS) * 20))
