"""``[tracing]`` put together: who begins traces, and what takes their spans. Imported where it is configured alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from edged.assembly.adapters import adapter
from edged.assembly.secrets import secret
from edged.config.schema import Config
from edged.config.tracing import Tracing as Settings
from edged.daemon import Wanted
from edged.domain.errors import EdgedError
from edged.domain.health import Reason
from edged.domain.ports import Clock
from edged.pipeline.line import NEVER_STUCK_NS
from edged.telemetry.trace import Span, Tracer

PART = ".tracing"
MOST_EARLY = 256
"""Spans that wait for the way to the collector: parts that give some are started before it."""


class Tracing:
    """Gives the ``tracer`` to whoever begins traces. Without an endpoint spans go nowhere, and nothing of OpenTelemetry is imported."""

    ended, working = True, False
    heartbeat_ns = NEVER_STUCK_NS

    def __init__(self, config: Config, clock: Clock) -> None:
        """``config`` is the one that edged was started with: ``[tracing]`` holds until a restart."""
        self._settings, self._clock = config.tracing or Settings(), clock
        self._about = {"service.name": "edged", "service.instance.id": config.device.id}
        self._about["service.version"] = version("edged")
        self._collector: Any = None
        self._early: deque[Span] = deque(maxlen=MOST_EARLY)
        self._reason: Reason | None = None
        self.tracer = Tracer(self._settings.sample, self._take)

    def __repr__(self) -> str:
        return f"<Tracing {self._settings.sample:.4g} of all to {self._collector or 'nobody'}>"

    def parts(self) -> tuple[Wanted, ...]:
        """Give what the daemon has to start and end."""
        return (Wanted(PART, None, lambda: self),)

    def start(self) -> None:
        """Open the way to the collector; why it cannot be is a reason, and a reload tries again."""
        endpoint = self._settings.endpoint
        if endpoint is None or self._collector is not None:
            return
        try:
            otel = adapter("edged.sinks.otel", "otel")
            self._collector = otel.Collector(endpoint, secret(self._settings.token_file), self._about)
        except EdgedError as error:
            message = f"collects no traces: {error.args[0]}"
            self._reason = Reason(error.code, "tracing", message, self._clock.monotonic_ns(), error.remedy)
        else:
            self._reason = None
            while self._early:
                self._collector.take((self._early.popleft(),))

    def stop(self) -> None:
        """Send what waits."""
        if self._collector is not None:
            self._collector.close()

    def join(self, timeout_s: float) -> bool:
        """Wait until it is sent; what a collector does not take then is lost, and no fault of the daemon's."""
        if self._collector is not None:
            self._collector.join(timeout_s)
        return True

    def reload(self) -> None:
        """Open it when that was not possible before."""
        self.start()

    def reasons(self) -> Sequence[Reason]:
        """Why spans go nowhere although they should."""
        return (self._reason,) if self._reason is not None else ()

    def _take(self, spans: Sequence[Span]) -> None:
        if self._collector is not None:
            self._collector.take(spans)
        elif self._settings.endpoint is not None:
            self._early.extend(spans)
