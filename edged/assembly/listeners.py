"""Who hears all that the box tells, besides its broker's readers: sinks of packages, and Home Assistant.

Nothing of theirs is imported where they are not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edged.assembly.adapters import adapter
from edged.assembly.allowance import Allowance
from edged.assembly.office import Beside
from edged.config.schema import Config, Pipeline
from edged.daemon import Wanted
from edged.fleet.topics import Stamper

NOTE = "homeassistant.json"
"""Lies in the state directory for as long as something is announced to Home Assistant."""


class Listeners:
    """``config`` is the one that edged was started with: who listens changes with a restart only."""

    def __init__(self, config: Config, allowance: Allowance, stamper: Stamper) -> None:
        """Stand before the allowance's outbox, if anybody is to hear what is put there."""
        self._config, self._stamper = config, stamper
        self._ears: Any = None
        self._sinks: Any = None
        if config.sink or config.homeassistant.enabled:
            self._ears = adapter("edged.assembly.ears").Ears(allowance.outbox)
            allowance.outbox = self._ears
        if config.sink:
            self._sinks = adapter("edged.assembly.sinking").Sinks(self._ears, config.sink, stamper.clock)

    def parts(self, config: Config) -> tuple[Wanted, ...]:
        """Give the sinks as parts, for the pipelines of this configuration."""
        parts: tuple[Wanted, ...] = self._sinks.parts(config) if self._sinks is not None else ()
        return parts

    def beside(self, pipelines: Callable[[], Sequence[Pipeline]], pending: Callable[[], int]) -> Beside | None:
        """Give Home Assistant's side, or what takes it back; None when nothing is announced, nor shall be.

        ``pending`` says how many documents of the box wait for the broker.
        """
        if self._config.homeassistant.enabled:
            made: Beside = adapter("edged.assembly.homeassistant").HomeAssistant(
                self._config, pipelines, self._ears, self._stamper
            )
            return made
        if (self._config.state.directory / NOTE).is_file():
            taken: Beside = adapter("edged.assembly.homeassistant").Withdrawal(self._config, pending)
            return taken
        return None
