"""Home Assistant's side of a box: announced when both are there, again when Home Assistant comes up, and taken back when switched off."""

from __future__ import annotations

import json
import math
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from edged.assembly.ears import Ears
from edged.assembly.listeners import NOTE
from edged.assembly.notes import drop_note, read_note, write_note
from edged.config.schema import Config, Pipeline
from edged.domain.message import Draft
from edged.fleet.link import LinkState
from edged.fleet.session import Inbound
from edged.fleet.topics import INVENTORY, MODELS, STATES, Stamper, out, result_stream
from edged.sinks import homeassistant as messages
from edged.sinks.states import States

SPREAD_S = 10.0
"""So long after Home Assistant came up a box answers at the latest: a whole fleet at once would hold it up."""
RESULTS = result_stream("")
_NS = 1_000_000_000

Send = Callable[[str, bytes], None]
"""Publishes retained, beside the box's own documents; lost while there is no connection."""


class HomeAssistant:
    """Implements edged.assembly.office.Beside. ``pipelines`` are those in force now; ``jitter`` gives 0..1."""

    def __init__(
        self,
        config: Config,
        pipelines: Callable[[], Sequence[Pipeline]],
        ears: Ears,
        stamper: Stamper,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._device, self._prefix = config.device.id, config.homeassistant.prefix
        self._pipelines, self._ears, self._stamper, self._jitter = pipelines, ears, stamper, jitter
        self._note = config.state.directory / NOTE
        self._send: Send | None = None
        self._lock = threading.Lock()
        self._states = States()
        self._board: str | None = None
        self._told: Mapping[str, Any] | None = None
        self._version = version("edged")
        self._announced: messages.Facts | None = None
        self._due_s = math.inf
        self.topics: tuple[str, ...] = (messages.birth_topic(self._prefix),)
        self._states.expect(self._facts().pipelines)
        ears.listen(self.hear)

    def connect(self, send: Send) -> None:
        """Name what publishes."""
        self._send = send

    def became(self, state: LinkState) -> None:
        """Announce the box at each connection: a broker may have lost what it kept."""
        self._due_s = self._now_s() if state.phase == "online" else math.inf

    def take(self, inbound: Inbound) -> bool:
        """Take Home Assistant's word that it came up; False for everything else."""
        if inbound.topic not in self.topics:
            return False
        if inbound.payload == b"online" and self._due_s == math.inf:
            self._due_s = self._now_s() + self._jitter() * SPREAD_S
        return True

    def hear(self, draft: Draft) -> None:
        """Follow what the box tells; what an event changes is told at once, on its own thread."""
        if draft.stream == INVENTORY:
            self._board = draft.body.get("hardware", {}).get("board")
        elif draft.stream.startswith(RESULTS):
            return  # before it is read: that would build it here, in the pipeline's own thread
        elif draft.stream != MODELS and draft.body.get("schema") != "edged.event/1":
            return
        with self._lock:
            self._states.hear(draft.stream, draft.body)
            self._tell()

    def tick(self) -> None:
        """Do what is due; called about twice a second."""
        facts = self._facts()
        with self._lock:
            self._states.expect(facts.pipelines)
            self._tell()
        is_due = self._now_s() >= self._due_s
        is_other = self._announced is not None and facts != self._announced
        if self._send is not None and (is_due or is_other):
            self._due_s, self._announced = math.inf, facts
            self._announce(self._send, messages.discovery(facts))

    def _tell(self) -> None:
        """Tell what stands, if it is not what was told last. Under the lock: of two at once the later one shall stand."""
        told = self._states.told()
        if told == self._told:
            return
        body = {"schema": "edged.states/1", "pipelines": told, **self._stamper.now()}
        if self._ears.put(Draft(STATES, body, retain=True, priority=0)):
            self._told = told

    def _facts(self) -> messages.Facts:
        rules = {
            one.name: {rule.name: rule.when.anomaly is True for rule in one.rule}
            for one in sorted(self._pipelines(), key=lambda one: one.name)
        }
        return messages.Facts(self._device, self._version, self._board, rules)

    def _announce(self, send: Send, document: Mapping[str, Any]) -> None:
        topic, now = messages.topic_of(self._prefix, self._device), messages.platforms(document)
        before_topic, before = announced(self._note)
        if before_topic not in ("", topic):
            send(before_topic, b"")
        gone = {name: platform for name, platform in before.items() if name not in now}
        if gone and before_topic == topic:
            send(topic, json.dumps(messages.without(document, gone)).encode())
        if (before_topic, before) != (topic, now):
            # Before it is sent: what is announced and not noted could not be taken back.
            write_note(self._note, json.dumps({"topic": topic, "components": now}).encode())
        send(topic, json.dumps(document).encode())

    def _now_s(self) -> float:
        return self._stamper.clock.monotonic_ns() / _NS


class Withdrawal:
    """Takes back what an earlier start announced, at the next connection. Implements edged.assembly.office.Beside."""

    topics: tuple[str, ...] = ()

    def __init__(self, config: Config, pending: Callable[[], int]) -> None:
        """``pending`` says how many documents wait for the broker: what the earlier start told last may be among them."""
        self._note, self._device, self._pending = config.state.directory / NOTE, config.device.id, pending
        self._is_online = False
        self._send: Send | None = None

    def connect(self, send: Send) -> None:
        """Name what publishes."""
        self._send = send

    def became(self, state: LinkState) -> None:
        """Publish nothing in the place of what was announced."""
        self._is_online = state.phase == "online"
        topic, _ = announced(self._note)
        if self._is_online and topic and self._send is not None:
            self._send(topic, b"")

    def take(self, _inbound: Inbound) -> bool:
        """Leave everything to others."""
        return False

    def tick(self) -> None:
        """Publish nothing in the place of what nobody keeps up to date any more, once no older word of it can come behind that."""
        if self._is_online and not self._pending() and self._send is not None and self._note.exists():
            self._send(out(self._device, STATES), b"")
            drop_note(self._note)


def announced(note: Path) -> tuple[str, dict[str, str]]:
    """Read where what was announced: the topic and each component's platform; empty when nothing was, or nobody knows."""
    try:
        found = json.loads(read_note(note) or b"{}")
        return str(found.get("topic", "")), {str(name): str(one) for name, one in found.get("components", {}).items()}
    except (ValueError, AttributeError):
        return "", {}
