"""What the flight recorder kept, for the dashboard's panel and whoever else asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from edged.api.refusal import RefusedError
from edged.api.routes import Lane, Route, aside, document

HOUR_S, POINTS = 3600, 240
MOST_SPAN_S, MOST_POINTS = 40 * 86_400, 1000


class Remembering(Protocol):
    """What is asked. May be called on any thread."""

    def document(self, span_s: float, points: int) -> dict[str, Any]:
        """Give the last ``span_s`` in so many points; a day takes about a second."""


def routes(remembering: Remembering) -> Sequence[Route]:
    """Give the row."""
    # A day takes a second of work, one at a time: who asks for many of them waits for those, and nobody else does.
    lane = Lane(1)

    async def past(request: Request) -> Response:
        span_s = _whole(request, "seconds", HOUR_S, MOST_SPAN_S)
        points = _whole(request, "points", POINTS, MOST_POINTS)
        return document(await aside(lambda: remembering.document(span_s, points), lane))

    summary = "The last hour, or ?seconds= of them in ?points=, as the flight recorder kept it"
    return (Route("GET", "/api/history", past, "read", summary, gives="History"),)


def _whole(request: Request, name: str, default: int, most: int) -> int:
    told = request.query_params.get(name, str(default))
    if not (told.isascii() and told.isdecimal() and 0 < int(told[:9]) <= most):
        message = f"cannot take {name}={told!r:.40}, expected a whole number from 1 to {most}"
        raise RefusedError(message, "invalid")
    return int(told)
