"""The box's word to the fleet: the outbox, the link, and the documents about the box itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from edged.assembly import levels
from edged.assembly.allowance import Allowance
from edged.assembly.notes import drop_note, read_note, write_note
from edged.assembly.orders import Orders
from edged.assembly.roster import Roster
from edged.assembly.secrets import secret
from edged.config.schema import Config
from edged.daemon import DEAD, Part
from edged.domain.health import Grade, Reason
from edged.domain.message import Draft, Lane
from edged.domain.ports import Clock
from edged.fleet.dating import Dating
from edged.fleet.link import Link, LinkState
from edged.fleet.outbox import Outbox
from edged.fleet.session import Inbound
from edged.fleet.settings import LinkSettings, TlsFiles
from edged.fleet.topics import ALERT, HEALTH, INVENTORY, MODELS, TELEMETRY, Stamper
from edged.fleet.trouble import Trouble
from edged.hardware.process import ProcessProbe
from edged.hardware.readings import read
from edged.telemetry import logs

LEVEL_PRIORITY, TELEMETRY_PRIORITY = 0, 2
BESIDE = "beside"
"""What counts as a stream of its own in the day's budget: what is said beside the box's documents, such as to Home Assistant."""
MODELS_EVERY_S = 2.0
"""How soon a model that went live, or one that was refused, is told."""
UNSYNCED = "clock-unsynced"
"""Holds the boot_id of a boot whose documents wait to be dated."""
NS_PER_S = 1_000_000_000
GRAVITY: Mapping[Grade, int] = {"ok": logging.INFO, "degraded": logging.WARNING, "failed": logging.ERROR}

_LOG = logging.getLogger("edged.office")

Body = Callable[[], dict[str, Any]]


class Beside(Protocol):
    """What uses the box's connection for topics that are not the device's own."""

    topics: tuple[str, ...]
    """What it reads; may be empty."""

    def connect(self, send: Callable[[str, bytes], None]) -> None:
        """Name what publishes retained, while there is a connection."""

    def became(self, state: LinkState) -> None:
        """Hear of the connection, on its thread."""

    def take(self, inbound: Inbound) -> bool:
        """Take a message; False when it is none of its."""

    def tick(self) -> None:
        """Do what is due."""


class FleetOffice:
    """Implements ``edged.daemon.Office``. ``inventory`` and ``models`` give their documents' bodies when asked.

    ``ills`` says what else is not well that no part of the daemon knows; ``settle`` is called at each report, ``felt`` says in
    telemetry how much the box suffers, and ``more`` gives further fields of it.
    """

    def __init__(
        self,
        config: Config,
        outbox: Outbox,
        stamper: Stamper,
        clock: Clock,
        orders: Orders,
        *,
        allowance: Allowance,
        inventory: Body,
        models: Body,
        roster: Roster,
        ills: Callable[[], Sequence[Reason]] = lambda: (),
        settle: Callable[[], None] = lambda: None,
        felt: Body | None = None,
        more: Body = dict,
        beside: Beside | None = None,
    ) -> None:
        self._beside = beside
        self._roster = roster
        self._felt = felt
        self._more = more
        self._outbox = outbox
        self._allowance = allowance
        self._metered = allowance.outbox
        self._stamper = stamper
        self._clock = clock
        self._bodies: Mapping[str, Body] = {INVENTORY: inventory, MODELS: models}
        self._ills = ills
        self._settle = settle
        self._orders = orders
        self._link = self._linked(config)
        if beside is not None:
            beside.connect(self._send_beside)
        self._probe = ProcessProbe(config.state.directory)
        self._interval_ns = int(config.telemetry.interval_s * NS_PER_S)
        self._telemetry_ns = clock.monotonic_ns()
        self._levels_due_ns = 0
        self._said: dict[str, Any] = {}
        roster.said = self._said
        self._counted: dict[str, int] = {}
        self._since_ns: dict[tuple[str, str], int] = {}
        self._alert: dict[str, Any] | None = None
        self._unsynced = config.state.directory / UNSYNCED
        # A step or a late synchronisation is told once: an earlier run of this boot may have left it open.
        self._dating = Dating(clock, was_unsynced=read_note(self._unsynced) == stamper.boot_id.encode())
        self._keep_dating()

    def __repr__(self) -> str:
        return f"<FleetOffice {self._link!r}>"

    def start(self) -> None:
        """Connect in the background, and say what the box is."""
        self._link.start()

    def report(self, grade: Grade, reasons: Sequence[Reason], parts: Sequence[Part]) -> None:
        """Publish what changed, and telemetry when it is due."""
        self._roster.is_online = self.is_online
        self._roster.tell(grade, reasons, parts)
        self._orders.begin()
        now_ns = self._clock.monotonic_ns()
        self._say_clock()
        self._say_health(grade, reasons)
        if now_ns >= self._levels_due_ns:
            self._levels_due_ns = now_ns + int(MODELS_EVERY_S * NS_PER_S)
            for stream, body in self._bodies.items():
                self._say(stream, body())
        if now_ns - self._telemetry_ns >= self._interval_ns:
            self._say_telemetry(now_ns)
        self._allowance.keep()
        self._settle()
        if self._beside is not None:
            self._beside.tick()

    def reasons(self) -> Sequence[Reason]:
        """Why delivery is not well, and what else is not."""
        troubles = (*self._outbox.health(), *self._link.troubles())
        found = [*(self._reason(trouble) for trouble in troubles), *self._allowance.reasons(self._since_ns)]
        self._since_ns = {(reason.code, reason.component): reason.since_mono_ns for reason in found}
        return [*found, *self._ills()]

    def delivered(self) -> bool:
        """Whether nothing waits for the broker."""
        return self._outbox.flush(0.0) and self._outbox.pending() == 0

    def close(self, timeout_s: float) -> None:
        """Say the last figures, deliver for at most this long, say good-bye."""
        self._say_telemetry(self._clock.monotonic_ns())
        self._link.stop(timeout_s)
        self._outbox.close()
        self._allowance.keep(now=True)

    @property
    def is_online(self) -> bool:
        """Whether the broker is there."""
        return self._link.state.phase == "online"

    @property
    def heartbeats(self) -> Mapping[str, int]:
        """How the threads of delivery are; the link's lies ahead, since it says until when it may be silent.

        A broker that is away is no matter of these: the link's thread then waits, and says so.
        """
        return {
            "link": DEAD if self._link.died else self._link.heartbeat_ns,
            "outbox": self._outbox.heartbeat_ns if self._outbox.alive else DEAD,
        }

    def _take(self, inbound: Inbound) -> None:
        if self._beside is None or not self._beside.take(inbound):
            self._orders.take(inbound)

    def _send_beside(self, topic: str, payload: bytes) -> None:
        self._allowance.spend(BESIDE, len(payload))
        self._link.send_beside(topic, payload)

    def _reason(self, trouble: Trouble) -> Reason:
        since_ns = self._since_ns.get((trouble.code, trouble.component), self._clock.monotonic_ns())
        return Reason(trouble.code, trouble.component, trouble.message, since_ns, trouble.remedy)

    def _say_clock(self) -> None:
        """Tell how what was captured before can be dated, and date the levels anew."""
        alert = self._dating.look()
        if alert is not None:
            self._alert = alert
            self._keep_dating()
            self._said.clear()
            logs.event(_LOG, "clock.dated", level=logging.WARNING, what=alert["message"], boot_at=alert["boot_at"])
        unsaid = self._alert
        if unsaid and self._metered.put(Draft(ALERT, {**unsaid, **self._stamper.now()}, priority=LEVEL_PRIORITY)):
            self._alert = None

    def _keep_dating(self) -> None:
        if self._dating.is_open:
            write_note(self._unsynced, self._stamper.boot_id.encode())
        else:
            drop_note(self._unsynced)

    def _linked(self, config: Config) -> Link:
        beside = self._beside
        return Link(
            replace(link_settings(config), beside=beside.topics if beside else ()),
            self._outbox,
            self._clock,
            self._orders.take if beside is None else self._take,
            *(() if beside is None else (beside.became,)),
            boot_id=self._stamper.boot_id,
            password=partial(secret, config.mqtt.password_file),
        )

    def _say_health(self, grade: Grade, reasons: Sequence[Reason]) -> None:
        key = (grade, levels.same_health(reasons))
        if self._said.get(HEALTH) == key:
            return
        body = levels.health(grade, reasons, self._clock.monotonic_ns(), self._clock.wall_ns())
        if not self._put(HEALTH, body, LEVEL_PRIORITY):
            return
        self._said[HEALTH] = key
        told = "; ".join(f"{r.component}: {r.message}" for r in reasons)
        logs.event(_LOG, f"health.{grade}", level=GRAVITY[grade], reasons=told)

    def _say(self, stream: str, body: dict[str, Any]) -> None:
        """Publish a level if it is another than the last."""
        if self._said.get(stream) != body and self._put(stream, body, LEVEL_PRIORITY):
            self._said[stream] = body

    def _say_telemetry(self, now_ns: int) -> None:
        lines = self._roster.lines()
        seconds = (now_ns - self._telemetry_ns) / NS_PER_S
        self._telemetry_ns = now_ns
        pipelines = levels.pipelines(lines, seconds, self._counted, self._allowance.thinned)
        self._counted = {name: told["results"] for name, told in pipelines.items()}
        body = {
            "schema": "edged.telemetry/1",
            "uptime_s": round(now_ns / NS_PER_S, 1),
            "process": asdict(self._probe()),
            "readings": asdict(read(Path("/"))),
            "pipelines": pipelines,
            **({"governor": self._felt()} if self._felt is not None else {}),
            "outbox": asdict(self._outbox.stats()),
            "budget": self._allowance.figures(),
            "commands": {**self._orders.counts, "dropped": self._link.inbound_dropped},
            **self._more(),
        }
        self._put(TELEMETRY, body, TELEMETRY_PRIORITY)

    def _put(self, stream: str, body: dict[str, Any], priority: int) -> bool:
        is_level = priority == LEVEL_PRIORITY
        stamped = {**body, **self._stamper.now()}
        lane: Lane = "event" if is_level else "telemetry"
        return self._metered.put(Draft(stream, stamped, lane=lane, retain=is_level, priority=priority))


def link_settings(config: Config) -> LinkSettings:
    """Give the link's settings, without the password: it is read from its file before each connection."""
    mqtt = config.mqtt
    tls = TlsFiles(mqtt.tls.ca, mqtt.tls.cert, mqtt.tls.key) if mqtt.tls else None
    return LinkSettings(
        host=mqtt.host,
        port=mqtt.port,
        device=config.device.id,
        groups=config.device.groups,
        tls=tls,
        username=mqtt.username or (config.device.id if mqtt.password_file is not None else None),
    )


def broker_settings(config: Config) -> LinkSettings:
    """Give the broker as a source subscribes to it, with the password. Raises DeviceError when that cannot be read."""
    return replace(link_settings(config), password=secret(config.mqtt.password_file))
