"""What runs beside the pipelines where it is configured: actions, further listeners, recording, tracing and the flight recorder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edged.assembly.acting import Acting
from edged.assembly.adapters import adapter
from edged.assembly.feeling import Feeling
from edged.assembly.governing import Governing
from edged.assembly.ground import Ground
from edged.assembly.listeners import Listeners
from edged.config.schema import Config
from edged.daemon import Wanted

if TYPE_CHECKING:
    from edged.assembly.flying import Flight
    from edged.assembly.over_the_air import OverTheAir
    from edged.assembly.recording import Recording
    from edged.assembly.tracing import Tracing
    from edged.telemetry.trace import Tracer


@dataclass(frozen=True, slots=True)
class Beside:
    """What runs beside the pipelines, where it is configured. ``always`` are parts that no configuration changes."""

    acting: Acting
    listeners: Listeners
    recording: Recording | None
    tracer: Tracer | None
    histories: Any
    always: tuple[Wanted, ...]

    def parts(self, now: Config) -> tuple[Wanted, ...]:
        """Give the parts of the daemon by this configuration."""
        recorders = self.recording.parts(now) if self.recording is not None else ()
        return (*self.always, *recorders, *self.listeners.parts(now), *self.acting.parts(now))


def beside_of(
    ground: Ground, plans: Callable[[], int], governing: Governing, feel: Feeling, air: OverTheAir | None
) -> Beside:
    """Make it; what is not configured is not imported. ``plans`` counts the plans so far."""
    flight, tracing = _flight(ground, plans, governing, feel), _tracing(ground)
    always = tuple(part for one in (air, flight, tracing) if one is not None for part in one.parts())
    return Beside(
        Acting(ground.config.state.directory, ground.allowance.outbox, ground.config.device.id, ground.clock),
        ground.listeners,
        _recording(ground),
        tracing.tracer if tracing is not None else None,
        flight.histories if flight is not None else None,
        always,
    )


def _flight(ground: Ground, plans: Callable[[], int], governing: Governing, feel: Feeling) -> Flight | None:
    """Give the flight recorder; nothing of it is imported where no history is kept."""
    if not ground.config.telemetry.history:
        return None
    flying, clock, state = adapter("edged.assembly.flying"), ground.clock, ground.config.state.directory
    scraper = adapter("edged.assembly.scraping").Scraper(
        ground.box,
        ground.roster,
        ground.outbox,
        state,
        clock,
        plans,
        governing.telemetry,
        feel=lambda: feel.readings(clock.monotonic_ns()),
        usage_s=flying.USAGE_S,
    )
    made: Flight = flying.Flight(scraper, state, ground.stamper.boot_id, clock, ground.roster.lines)
    return made


def _recording(ground: Ground) -> Recording | None:
    """Give what records; nothing of it is imported where nothing is recorded."""
    if ground.config.record is None:
        return None
    made: Recording = adapter("edged.assembly.recording").Recording(ground.config, ground.stamper, ground.clock)
    return made


def _tracing(ground: Ground) -> Tracing | None:
    """Give what traces; nothing of it is imported where nothing is traced."""
    if ground.config.tracing is None:
        return None
    made: Tracing = adapter("edged.assembly.tracing").Tracing(ground.config, ground.clock)
    return made
