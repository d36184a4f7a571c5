"""The configured actions, each a part of the daemon with a thread, a queue and a line in the audit log for all that it does.

A rule hands its event over and goes on: an action that is slow, fails or waits for a server costs no pipeline and no other action anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from edged.assembly.adapters import adapter
from edged.assembly.runner import Document, Runner
from edged.assembly.secrets import secret
from edged.config.actions import Action, CommandAction, GpioAction, PublishAction, SerialAction
from edged.config.schema import Config
from edged.daemon import Wanted
from edged.domain.errors import EdgedError
from edged.domain.message import Draft
from edged.domain.ports import Clock, Outbox
from edged.sinks.actuate import Actuator
from edged.update.disk import LocalDisk
from edged.update.journal import Journal

FOLDER = "actions"
"""Below the state directory: the audit log, hash-chained as the journal of updates is."""


class Acting:
    """Makes the parts, and hands events to them by name."""

    def __init__(self, state: Path, outbox: Outbox, device: str, clock: Clock) -> None:
        self._outbox, self._device, self._clock = outbox, device, clock
        self._journal = Journal(state / FOLDER, LocalDisk(), clock)
        self._folder = state / FOLDER
        self._runners: dict[str, Runner] = {}
        self._declared: set[str] = set()
        self._gone: set[str] = set()

    def parts(self, config: Config) -> tuple[Wanted, ...]:
        """Give a part for each action that a rule names."""
        self._declared = {one.name for one in config.action}
        named = {name for pipeline in config.pipeline for rule in pipeline.rule for name in rule.action}
        # Pipelines that stop now have a last word for what goes now; at the next change nobody has.
        for name in self._gone:
            self._runners.pop(name, None)
        self._gone = self._runners.keys() - named
        return tuple(
            Wanted(f"action-{one.name}", one, partial(self._build, one)) for one in config.action if one.name in named
        )

    def handler(self, name: str) -> Callable[[Document], None] | None:
        """Give what hands an event to an action and returns at once; None when no table is called so."""
        return partial(self._hand, name) if name in self._declared else None

    def _hand(self, name: str, document: Document) -> None:
        # Looked up each time: a reload may have built it anew.
        runner = self._runners.get(name)
        if runner is not None:
            runner.hear(document)

    def _build(self, settings: Action) -> Runner:
        before = self._runners.get(settings.name)
        runner = self._runners[settings.name] = Runner(settings, self._actuator, self._note, self._clock, before)
        return runner

    def _note(self, **fields: Any) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._journal.note(**fields)

    def _actuator(self, settings: Action, stop: threading.Event) -> Actuator:
        """Open what has the effect; its libraries are imported here, for those who use them."""
        made: Actuator
        if isinstance(settings, GpioAction):
            made = adapter("edged.sinks.relay").Relay(
                settings.chip,
                settings.line,
                self._clock.monotonic_ns,
                active_low=settings.active_low,
                hold_s=settings.hold_s,
            )
        elif isinstance(settings, SerialAction):
            text = adapter("edged.sinks.serial_text", "serial")
            made = text.SerialText(settings.port, settings.baud, settings.text, self._device)
        elif isinstance(settings, PublishAction):
            made = Published(settings, self._outbox)
        elif isinstance(settings, CommandAction):
            made = adapter("edged.sinks.program").Program(settings.run, settings.timeout_s, stop.is_set)
        else:
            made = adapter("edged.sinks.webhook").Webhook(
                settings.url,
                self._clock,
                stop.wait,
                token=partial(secret, settings.token_file),
                ca=settings.ca,
                timeout_s=settings.timeout_s,
                give_up_after_s=settings.give_up_after_s,
            )
        return made


class Published:
    """Implements ``edged.sinks.actuate.Actuator``: a document below ``out/action/``, through the outbox."""

    def __init__(self, settings: PublishAction, outbox: Outbox) -> None:
        self._settings, self._outbox = settings, outbox

    def do(self, document: Mapping[str, Any]) -> None:
        """Put it into the outbox, which keeps it until the broker has it. Raises EdgedError when that is full."""
        body = {**document, "schema": "edged.action/1", "action": self._settings.name}
        if not self._outbox.put(Draft(f"action/{self._settings.name}", body, retain=self._settings.retain, priority=0)):
            message = "cannot publish: the outbox takes nothing now, expected room"
            raise EdgedError(message, code="outbox-full")

    def tick(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing is held."""
