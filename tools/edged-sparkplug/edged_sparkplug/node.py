"""What an edge node says and when (Sparkplug 3.0, chapters 4 to 6): documents and connections in, messages out. No socket, no clock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edged.domain.errors import EdgedError
from edged.domain.strict import unix_ms
from edged_sparkplug.metrics import NODE, PIPELINE, TELEMETRY, Row, found_in, is_alive, kinds_of, rule_row
from edged_sparkplug.payload import DataType, Metric, Value, read, write

NAMESPACE = "spBv1.0"
NUMBERS = 256
"""Sequence numbers, and those of births and deaths, count 0 to 255 and begin anew."""
REBIRTH = "Node Control/Rebirth"
BD_SEQ = "bdSeq"


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be published, never retained. Deaths have QoS 1, everything else 0."""

    topic: str
    payload: bytes
    qos: int = 0


@dataclass(slots=True)
class _Entity:
    """The node (without a name) or a pipeline: its metrics, and what each was last."""

    name: str
    rows: Sequence[Row]
    values: dict[str, tuple[Value | None, int]] = field(default_factory=dict)
    is_alive: bool = True

    def follow(self, kind: str, document: Mapping[str, Any], at_ms: int) -> list[Metric]:
        """Take a document; gives the metrics that it changed."""
        changed = []
        for row in self.rows:
            if row.kind != kind:
                continue
            value = found_in(row, document, self.name)
            if value != self.values.get(row.name, (None, 0))[0]:
                self.values[row.name] = value, at_ms
                changed.append(Metric(row.name, row.type, value, at_ms))
        return changed

    def metrics(self, now_ms: int) -> Iterator[Metric]:
        """Give every metric as it stands; null until it was told."""
        for row in self.rows:
            value, at_ms = self.values.get(row.name, (None, now_ms))
            yield Metric(row.name, row.type, value, at_ms)


class Node:
    """One edge node with a device for each pipeline. Owned by who locks it. Times are Unix time in ms."""

    def __init__(self, group: str, node: str, pipelines: Mapping[str, Sequence[str]], bd_seq: int) -> None:
        """``pipelines`` gives each one's rules; ``bd_seq`` is that of the connection before."""
        self._group, self._node = group, node
        self._own = _Entity("", NODE)
        self._devices = {name: _pipeline(name, rules) for name, rules in pipelines.items()}
        self._seq = 0
        self._is_born = False
        self.bd_seq = bd_seq % NUMBERS
        self.command_topic = self._topic("NCMD")

    def connecting(self, now_ms: int) -> Message:
        """Begin another connection; gives its will."""
        self.bd_seq = (self.bd_seq + 1) % NUMBERS
        self._is_born = False
        return self.death(now_ms)

    def death(self, now_ms: int) -> Message:
        """Give the node's death: as a will, and before it goes by itself."""
        return Message(self._topic("NDEATH"), write([self._numbered(now_ms)], now_ms), qos=1)

    def lost(self) -> None:
        """Take it that nobody hears anything until the next births."""
        self._is_born = False

    def births(self, now_ms: int) -> list[Message]:
        """Give the node's birth and that of each pipeline that lives: all metrics, with their types."""
        self._seq, self._is_born = 0, True
        control = Metric(REBIRTH, DataType.BOOLEAN, value=False, timestamp_ms=now_ms)
        own = [self._numbered(now_ms), control, *self._own.metrics(now_ms)]
        living = [self._birth(device, now_ms) for device in self._devices.values() if device.is_alive]
        return [Message(self._topic("NBIRTH"), write(own, now_ms, 0)), *living]

    def take(self, stream: str, document: Mapping[str, Any], now_ms: int) -> list[Message]:
        """Take a document; gives what it changes for those who listen, which is nothing before the births."""
        kind, pipeline = kinds_of(stream, document)
        at_ms = unix_ms(document.get("captured_at") or document.get("at")) or now_ms
        messages = self._data(self._own, "NDATA", kind, document, at_ms, now_ms) if not pipeline else []
        for device in self._devices.values():
            if pipeline in ("", device.name):
                messages += self._data(device, "DDATA", kind, document, at_ms, now_ms)
        if kind == TELEMETRY:
            messages += [one for device in self._devices.values() for one in self._lives(device, document, now_ms)]
        return messages

    def wants_births(self, topic: str, payload: bytes) -> bool:
        """Say whether a command asks for all births anew; any other is left alone."""
        if topic != self.command_topic:
            return False
        try:
            return (REBIRTH, True) in read(payload)
        except EdgedError:
            return False

    def _data(
        self, entity: _Entity, word: str, kind: str, document: Mapping[str, Any], at_ms: int, now_ms: int
    ) -> list[Message]:
        changed = entity.follow(kind, document, at_ms)
        if not changed or not self._is_born or not entity.is_alive:
            return []
        return [Message(self._topic(word, entity.name), write(changed, now_ms, self._next()))]

    def _lives(self, device: _Entity, document: Mapping[str, Any], now_ms: int) -> list[Message]:
        """Tell that a pipeline gives nothing any more, or that it does again."""
        lives = is_alive(document, device.name)
        if lives is None or lives == device.is_alive:
            return []
        device.is_alive = lives
        if not self._is_born:
            return []
        if lives:
            return [self._birth(device, now_ms)]
        return [Message(self._topic("DDEATH", device.name), write([], now_ms, self._next()))]

    def _birth(self, device: _Entity, now_ms: int) -> Message:
        return Message(self._topic("DBIRTH", device.name), write([*device.metrics(now_ms)], now_ms, self._next()))

    def _numbered(self, now_ms: int) -> Metric:
        return Metric(BD_SEQ, DataType.INT64, self.bd_seq, now_ms)

    def _next(self) -> int:
        self._seq = (self._seq + 1) % NUMBERS
        return self._seq

    def _topic(self, word: str, device: str = "") -> str:
        return "/".join((NAMESPACE, self._group, word, self._node, *([device] if device else [])))


def _pipeline(name: str, rules: Sequence[str]) -> _Entity:
    made = _Entity(name, (*PIPELINE, *(rule_row(rule) for rule in rules)))
    for rule in rules:
        # A visit that nobody has told of does not last: what held before the box came up has no start of its own.
        made.values[f"Rules/{rule}"] = False, 0
    return made
