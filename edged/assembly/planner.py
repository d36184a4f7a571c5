"""What shall run: the configuration that is in force, as parts for the daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edged.assembly.building import PART as BUILDING
from edged.assembly.building import Building
from edged.assembly.governing import PART as GOVERNING
from edged.assembly.governing import Governing
from edged.assembly.lines import Lines, opener
from edged.assembly.measuring import PART, Measuring
from edged.assembly.state import keep_config
from edged.config.load import Fault, Loaded, load
from edged.config.schema import Config, Pipeline, Source
from edged.daemon import Plan, Wanted
from edged.domain.errors import ConfigError, EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock

FIXED_SECTIONS = (
    *("device", "state", "mqtt", "outbox", "telemetry", "governor", "models", "profiles", "serving", "record"),
    *("homeassistant", "sink", "updates", "tracing", "engine", "remote"),
)
"""What a reload does not change: it takes a restart."""


class Planner:
    """Makes the plan: the first from what was loaded, each later one from the file as it is then."""

    def __init__(
        self,
        file: Path,
        loaded: Loaded,
        fallen_back: tuple[Reason, ...],
        lines: Lines,
        clock: Clock,
        measuring: Callable[[], Measuring] | None = None,
        governing: Governing | None = None,
        admitting: Callable[[Config], Mapping[str, Reason]] = lambda _config: {},
        *,
        building: Callable[[Callable[[], Config]], Building] | None = None,
        serving: Callable[[Config], tuple[Wanted, ...]] = lambda _config: (),
    ) -> None:
        self._serving = serving
        self._building = building
        self._measuring = measuring
        self._governing = governing
        self._admitting = admitting
        self._file = file
        self._loaded: Loaded | None = loaded
        self._fallen_back = fallen_back
        self._lines = lines
        self._clock = clock
        self._started = loaded.config
        self.config = loaded.config
        self.plans = 0

    def __call__(self) -> Plan:
        """Give what shall run, and why the rest cannot."""
        loaded, self._loaded = self._loaded, None
        reasons: list[Reason] = list(self._fallen_back)
        if loaded is None:
            loaded, reasons = load(self._file), []
            reasons += self._left_as_they_are(loaded.config)
        config = loaded.config
        parts, unready = self._parts(config)
        reasons += [self._fault(fault) for fault in loaded.faults] + unready
        self._fallen_back = ()
        self.config = config
        self.plans += 1
        keep_config(config)
        return Plan(parts, tuple(reasons))

    def _parts(self, config: Config) -> tuple[tuple[Wanted, ...], list[Reason]]:
        parts: list[Wanted] = []
        refused = self._admitting(config)
        unready: list[Reason] = list(refused.values())
        for source in config.source:
            pipelines = by_priority(
                pipeline
                for pipeline in config.pipeline
                if pipeline.source == source.name and pipeline.name not in refused
            )
            if not pipelines:
                continue
            try:
                opener(source, self._clock)
            except ConfigError as error:
                unready.append(self._reason("config", source.name, error))
                continue
            parts.append(Wanted(source.name, (source, pipelines), self._builder(source, pipelines)))
        return (*sorted(parts, key=_urgency), *self._behind(parts), *self._serving(config)), unready

    def _behind(self, parts: Sequence[Wanted]) -> tuple[Wanted, ...]:
        """Give what measures and compiles behind the others, and what governs them, if there are any."""
        is_wanted = bool(parts) and self._started.models.measure == "background"
        governing, building = self._governing, self._building
        return (
            *(
                (Wanted(BUILDING, None, lambda: building(lambda: self.config)),)
                if parts and building is not None
                else ()
            ),
            *((Wanted(PART, None, self._measuring),) if is_wanted and self._measuring is not None else ()),
            *((Wanted(GOVERNING, None, lambda: governing),) if parts and governing is not None else ()),
        )

    def _builder(self, source: Source, pipelines: tuple[Pipeline, ...]) -> Callable[[], Any]:
        return lambda: self._lines.build(source, pipelines)

    def _left_as_they_are(self, config: Config) -> list[Reason]:
        changed = [name for name in FIXED_SECTIONS if getattr(config, name) != getattr(self._started, name)]
        if not changed:
            return []
        message = f"changes in {', '.join(f'[{name}]' for name in changed)} are not in force yet"
        return [Reason("restart-needed", "config", message, self._clock.monotonic_ns(), "restart edged")]

    def _fault(self, fault: Fault) -> Reason:
        component = fault.pipeline or "config"
        return Reason(
            "config", component, str(fault), self._clock.monotonic_ns(), "mend the file and reload", fatal=True
        )

    def _reason(self, code: str, component: str, error: EdgedError) -> Reason:
        return Reason(code, component, str(error.args[0]), self._clock.monotonic_ns(), error.remedy, fatal=True)


def by_priority(pipelines: Iterable[Pipeline]) -> tuple[Pipeline, ...]:
    """Give the most important first; of equals, the first in the file."""
    return tuple(sorted(pipelines, key=lambda pipeline: -pipeline.priority))


def _urgency(part: Wanted) -> int:
    pipelines: Sequence[Pipeline] = part.settings[1]
    return -max(pipeline.priority for pipeline in pipelines)
