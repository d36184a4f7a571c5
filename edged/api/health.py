"""What every server of the box answers: two probes with a status and nothing else, the same in words, and what it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from starlette.requests import Request
from starlette.responses import Response

from edged.api import openapi
from edged.api.handlers import Condition
from edged.api.routes import Route, document


def routes(condition: Condition, version: str, served: Callable[[], Iterable[Route]]) -> Sequence[Route]:
    """Give the rows. ``served`` gives all rows of the server, these among them."""

    async def healthz(_request: Request) -> Response:
        return Response()

    async def readyz(_request: Request) -> Response:
        return Response(status_code=503 if condition.unready() else 200)

    async def health(_request: Request) -> Response:
        return document(condition.health())

    async def described(_request: Request) -> Response:
        return document(openapi.document(served(), version))

    async def ready(_request: Request) -> Response:
        reasons = [
            {"code": one.code, "component": one.component, "message": one.message, "remedy": one.remedy}
            for one in condition.unready()
        ]
        return document({"ready": not reasons, "reasons": reasons})

    return (
        Route("GET", "/healthz", healthz, "open", "Whether the process answers"),
        Route("GET", "/readyz", readyz, "open", "Whether every pipeline's model is loaded and its source is live"),
        Route(
            "GET",
            "/api/health",
            health,
            "read",
            "How the box is, with reasons: the document of out/health",
            gives="Health",
        ),
        Route("GET", "/api/ready", ready, "read", "Why the box is not ready", gives="Ready"),
        Route("GET", "/api/openapi.json", described, "read", "This server's OpenAPI document", gives="Settings"),
    )
