"""The box's word to the fleet: the outbox, the link, and the documents about the box itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edged.assembly import levels
from edged.assembly.lines import secret
from edged.config.schema import Config
from edged.daemon import Part
from edged.domain.health import Grade, Reason
from edged.domain.message import Draft, Lane
from edged.domain.ports import Clock
from edged.fleet.link import Link
from edged.fleet.outbox import Outbox
from edged.fleet.session import Inbound
from edged.fleet.settings import LinkSettings, TlsFiles
from edged.fleet.topics import HEALTH, INVENTORY, MODELS, TELEMETRY, Stamper
from edged.fleet.trouble import Trouble
from edged.hardware.process import ProcessProbe
from edged.hardware.readings import read
from edged.pipeline.line import Line
from edged.telemetry import logs

LEVEL_PRIORITY, TELEMETRY_PRIORITY = 0, 2
MODELS_EVERY_S = 2.0
"""How soon a model that went live, or one that was refused, is told."""
NS_PER_S = 1_000_000_000

_LOG = logging.getLogger("edged.office")

Body = Callable[[], dict[str, Any]]


class FleetOffice:
    """Implements ``edged.daemon.Office``. ``inventory`` and ``models`` give their documents' bodies when asked."""

    def __init__(
        self, config: Config, outbox: Outbox, stamper: Stamper, clock: Clock, inventory: Body, models: Body
    ) -> None:
        self._outbox = outbox
        self._stamper = stamper
        self._clock = clock
        self._bodies: Mapping[str, Body] = {INVENTORY: inventory, MODELS: models}
        self._link = Link(link_settings(config), outbox, clock, _refuse, boot_id=stamper.boot_id)
        self._probe = ProcessProbe(config.state.directory)
        self._interval_ns = int(config.telemetry.interval_s * NS_PER_S)
        self._telemetry_ns = clock.monotonic_ns()
        self._levels_due_ns = 0
        self._said: dict[str, Any] = {}
        self._counted: dict[str, int] = {}
        self._parts: Sequence[Part] = ()
        self._since_ns: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<FleetOffice {self._link!r}>"

    def start(self) -> None:
        """Connect in the background, and say what the box is."""
        self._link.start()

    def report(self, grade: Grade, reasons: Sequence[Reason], parts: Sequence[Part]) -> None:
        """Publish what changed, and telemetry when it is due."""
        self._parts = parts
        now_ns = self._clock.monotonic_ns()
        self._say_health(grade, reasons)
        if now_ns >= self._levels_due_ns:
            self._levels_due_ns = now_ns + int(MODELS_EVERY_S * NS_PER_S)
            for stream, body in self._bodies.items():
                self._say(stream, body())
        if now_ns - self._telemetry_ns >= self._interval_ns:
            self._say_telemetry(now_ns)

    def reasons(self) -> Sequence[Reason]:
        """Why delivery is not well."""
        troubles = list(self._outbox.health())
        if self._link.state.trouble is not None:
            troubles.append(self._link.state.trouble)
        codes = {trouble.code for trouble in troubles}
        self._since_ns = {code: self._since_ns.get(code, self._clock.monotonic_ns()) for code in codes}
        return [self._reason(trouble) for trouble in troubles]

    def delivered(self) -> bool:
        """Whether nothing waits for the broker."""
        return self._outbox.flush(0.0) and self._outbox.pending() == 0

    def close(self, timeout_s: float) -> None:
        """Say the last figures, deliver for at most this long, say good-bye."""
        self._say_telemetry(self._clock.monotonic_ns())
        self._link.stop(timeout_s)
        self._outbox.close()

    @property
    def heartbeat_ns(self) -> int:
        """Until when delivery may be silent."""
        return self._link.heartbeat_ns if self._outbox.alive else 0

    def _reason(self, trouble: Trouble) -> Reason:
        return Reason(trouble.code, trouble.component, trouble.message, self._since_ns[trouble.code], trouble.remedy)

    def _say_health(self, grade: Grade, reasons: Sequence[Reason]) -> None:
        key = (grade, levels.same_health(reasons))
        if self._said.get(HEALTH) == key:
            return
        self._said[HEALTH] = key
        body = levels.health(grade, reasons, self._clock.monotonic_ns(), self._clock.wall_ns())
        self._put(HEALTH, body, LEVEL_PRIORITY)
        logs.event(_LOG, f"health.{grade}", reasons="; ".join(f"{r.component}: {r.message}" for r in reasons))

    def _say(self, stream: str, body: dict[str, Any]) -> None:
        """Publish a level if it is another than the last."""
        if self._said.get(stream) != body:
            self._said[stream] = body
            self._put(stream, body, LEVEL_PRIORITY)

    def _say_telemetry(self, now_ns: int) -> None:
        lines = [part for part in self._parts if isinstance(part, Line)]
        seconds = (now_ns - self._telemetry_ns) / NS_PER_S
        self._telemetry_ns = now_ns
        pipelines = levels.pipelines(lines, seconds, self._counted)
        self._counted = {name: told["results"] for name, told in pipelines.items()}
        body = {
            "schema": "edged.telemetry/1",
            "uptime_s": round(now_ns / NS_PER_S, 1),
            "process": asdict(self._probe()),
            "readings": asdict(read(Path("/"))),
            "pipelines": pipelines,
            "outbox": asdict(self._outbox.stats()),
        }
        self._put(TELEMETRY, body, TELEMETRY_PRIORITY)

    def _put(self, stream: str, body: dict[str, Any], priority: int) -> None:
        is_level = priority == LEVEL_PRIORITY
        stamped = {**body, **self._stamper.now()}
        lane: Lane = "event" if is_level else "telemetry"
        self._outbox.put(Draft(stream, stamped, lane=lane, retain=is_level, priority=priority))


def link_settings(config: Config) -> LinkSettings:
    """Give the link's settings; secrets are read from their files here. Raises ConfigError when one cannot be read."""
    mqtt = config.mqtt
    tls = TlsFiles(mqtt.tls.ca, mqtt.tls.cert, mqtt.tls.key) if mqtt.tls else None
    password = secret(mqtt.password_file)
    username = mqtt.username or (config.device.id if password is not None else None)
    return LinkSettings(
        host=mqtt.host,
        port=mqtt.port,
        device=config.device.id,
        groups=config.device.groups,
        tls=tls,
        username=username,
        password=password,
    )


def _refuse(inbound: Inbound) -> None:
    """Orders over the air are a later version's; what comes is told in the log and left alone."""
    logs.event(_LOG, "inbound.ignored", level=logging.WARNING, topic=inbound.topic, bytes=len(inbound.payload))
