"""What every server of the box answers: two probes with a status, the same in words, and what it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from edged.api import openapi
from edged.api.handlers import Condition
from edged.api.routes import Route, document
from edged.domain.health import Reason


def routes(condition: Condition, version: str, served: Callable[[], Iterable[Route]]) -> Sequence[Route]:
    """Give the rows. ``served`` gives all rows of the server, these among them."""

    async def healthz(_request: Request) -> Response:
        return Response()

    async def readyz(_request: Request) -> Response:
        unready = condition.unready()
        # Whoever may ask this needs no token: the kinds of trouble, and not whose they are.
        codes = sorted({one.code for one in (*unready, *condition.unmet())})
        return Response("".join(f"{code}\n" for code in codes), 503 if unready else 200, media_type="text/plain")

    async def health(_request: Request) -> Response:
        return document(condition.health())

    async def described(_request: Request) -> Response:
        return document(openapi.document(served(), version))

    async def ready(_request: Request) -> Response:
        reasons = _told(condition.unready())
        return document({"ready": not reasons, "reasons": reasons, "unmet": _told(condition.unmet())})

    return (
        Route("GET", "/healthz", healthz, "open", "Whether the process answers"),
        Route(
            "GET",
            "/readyz",
            readyz,
            "open",
            "Whether every pipeline's model is loaded and its source is live; what is amiss, by codes",
        ),
        Route(
            "GET",
            "/api/health",
            health,
            "read",
            "How the box is, with reasons: the document of out/health",
            gives="Health",
        ),
        Route(
            "GET", "/api/ready", ready, "read", "Why the box is not ready, and what meets no objective", gives="Ready"
        ),
        Route("GET", "/api/openapi.json", described, "read", "This server's OpenAPI document", gives="Settings"),
    )


def _told(reasons: Iterable[Reason]) -> list[dict[str, str]]:
    return [
        {"code": one.code, "component": one.component, "message": one.message, "remedy": one.remedy} for one in reasons
    ]
