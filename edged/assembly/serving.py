"""What the box offers to other programs; nothing of it is imported while no server is configured (see ``serving_offers``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from edged.assembly.adapters import adapter
from edged.assembly.admitting import Admitting
from edged.assembly.box import Box
from edged.assembly.roster import Roster
from edged.assembly.supply import Supply
from edged.config.schema import Config
from edged.daemon import Wanted
from edged.domain.ports import Clock
from edged.pipeline.turns import Turns
from edged.telemetry.trace import Tracer


@dataclass(frozen=True, slots=True)
class Ground:
    """What serving stands on."""

    box: Box
    supply: Supply
    roster: Roster
    turns: Turns
    admitting: Admitting
    clock: Clock
    scraper: Callable[[], Callable[[], str]] | None = None
    """Makes what gives the text that Prometheus reads."""
    overview: Callable[[], Any] | None = None
    """Makes what the dashboard looks at."""
    histories: Any = None
    """What is asked for the past; None where nothing is recorded."""
    tracer: Tracer | None = None
    """Who begins traces of requests; None where nothing is traced."""


class Serving:
    """Asked by the planner for the parts that serve; what they share is made when the first of them is wanted."""

    def __init__(self, ground: Ground, config: Config) -> None:
        """``config`` is the one that edged was started with: ``[serving]`` holds until a restart."""
        self._ground, self._config = ground, config
        self._offers: Any = None

    def parts(self, config: Config) -> tuple[Wanted, ...]:
        """Give what serves by this configuration: nothing, unless a server is configured."""
        if config.http is None and config.grpc is None:
            return ()
        if self._offers is None:
            self._offers = adapter("edged.assembly.serving_offers").Offers(self._ground, self._config)
        wanted: tuple[Wanted, ...] = self._offers.parts(config)
        return wanted
