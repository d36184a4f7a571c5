"""``/metrics``, as Prometheus scrapes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from edged.api.routes import Lane, Route, aside
from edged.telemetry.exposition import CONTENT_TYPE


def routes(scrape: Callable[[], str]) -> Sequence[Route]:
    """Give the row. ``scrape`` gives the text; it takes some milliseconds, and may be called on any thread."""
    lane = Lane(1)

    async def metrics(_request: Request) -> Response:
        return Response(await aside(scrape, lane), media_type=CONTENT_TYPE)

    return (
        Route(
            "GET", "/metrics", metrics, "read", "What the box counts, in Prometheus' text format", gives=CONTENT_TYPE
        ),
    )
