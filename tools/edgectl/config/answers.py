"""What was answered, and the configuration that follows from it. Nothing here asks, looks or writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edged.domain.bundle import Manifest

Keys = Mapping[str, Any]
"""A table's keys in the order in which they are written; a mapping in it becomes an inline table."""

RULE_FOR_S = {"detection": 0.5, "classification": 2.0, "anomaly": 0.5}
"""How long something is seen before it is an event, by the model's task; tasks that are not here get no rule."""
WELL = "ok"
"""A classifier that knows this label tells whether something is well: the event is that it is not."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the box reports to."""

    host: str = "localhost"
    port: int = 1883
    is_encrypted: bool = False
    ca: Path | None = None
    username: str = ""
    password_file: Path | None = None

    def keys(self) -> Keys:
        """Give the section's keys."""
        more: dict[str, Any] = {"tls": {"ca": str(self.ca)} if self.ca else {}} if self.is_encrypted else {}
        if self.username:
            more["username"] = self.username
        if self.password_file:
            more["password_file"] = str(self.password_file)
        return {"host": self.host, "port": self.port, **more}


@dataclass(frozen=True, slots=True)
class Watched:
    """A source and the model that looks at it. ``source`` are the source's keys without its name."""

    name: str
    source: Keys
    model: Manifest
    labels: tuple[str, ...] = ()
    more: Keys = field(default_factory=dict)
    """Further keys of the pipeline."""

    def pipeline(self) -> Keys:
        """Give the pipeline's keys."""
        rule = rule_for(self.model.task, self.labels)
        rules = {"rule": [rule]} if rule else {}
        return {"name": self.name, "source": self.name, "model": self.model.name, **self.more, **rules}


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that the configuration is made of."""

    device: str | None
    broker: Broker
    watched: tuple[Watched, ...] = ()
    state: Path | None = None
    updates: Keys = field(default_factory=dict)
    """Where new models come from, and who may sign them."""
    password: str = field(default="", repr=False)
    """The broker's, when somebody typed it; it goes into a file of its own."""

    def text(self) -> str:
        """Write the configuration."""
        lines = ["# Written by: edgectl config init. Every key: docs/reference/configuration.md; faults: edged check."]
        for name, keys in self._sections():
            lines += ["", name, *(f"{key} = {toml(value)}" for key, value in keys.items())]
        return "\n".join(lines) + "\n"

    def _sections(self) -> Iterator[tuple[str, Keys]]:
        if self.device is not None:
            yield "[device]", {"id": self.device}
        if self.state is not None:
            yield "[state]", {"directory": str(self.state)}
        yield "[mqtt]", self.broker.keys()
        if self.updates:
            yield "[updates]", self.updates
        for one in self.watched:
            yield "[[source]]", {"name": one.name, **one.source}
            yield "[[pipeline]]", one.pipeline()


def rule_for(task: str, labels: tuple[str, ...]) -> Keys | None:
    """Give a rule that makes events of what such a model usually finds; None for tasks that need a limit of the site's own."""
    if task not in RULE_FOR_S:
        return None
    when: dict[str, Any] = {"min_score": 0.5}
    name = "seen"
    if task == "anomaly":
        name, when = "unusual", {"anomaly": True}
    elif WELL in labels:
        name, when = "not-well", {"label": WELL, "count": "== 0"}
    return {"name": name, "when": when, "for_s": RULE_FOR_S[task]}


def toml(value: Any) -> str:
    """Write a value as TOML does: text with JSON's escapes, which are TOML's too; mappings as inline tables."""
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key} = {toml(child)}" for key, child in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
