"""The dashboard: one page, its style and script from the wheel, what it shows as one document, and pictures when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from edged.api.refusal import RefusedError
from edged.api.routes import Lane, Route, aside, document

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/dashboard.css": ("dashboard.css", "text/css; charset=utf-8"),
    "/dashboard.js": ("dashboard.js", "text/javascript; charset=utf-8"),
    "/history.js": ("history.js", "text/javascript; charset=utf-8"),
    "/charts.js": ("charts.js", "text/javascript; charset=utf-8"),
    "/elements.js": ("elements.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
HEADERS = {
    # Nothing from elsewhere, nothing inline: a label that is a script stays text even where the page's own care fails.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
FRESH = {"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin"}
"""Another site's page shows no camera's picture, whatever its visitor's browser knows of passwords."""
MOST_LOOKING = 8
"""Pictures and windows at once: each waits up to two seconds for its pipeline, and nothing else waits for that."""


class Looking(Protocol):
    """What the page looks at. Each method may be called on any thread."""

    def document(self) -> dict[str, Any]:
        """Give everything but pictures."""

    def picture(self, name: str) -> bytes | None:
        """Give a pipeline's next frame as a JPEG with what was found; None when there is none."""

    def window(self, name: str) -> dict[str, Any] | None:
        """Give a pipeline's latest window; None when there is none."""


def routes(looking: Looking) -> Sequence[Route]:
    """Give the rows."""
    looks, views = Lane(MOST_LOOKING), Lane(1)

    async def overview(_request: Request) -> Response:
        return document(await aside(looking.document, views))

    async def picture(request: Request) -> Response:
        name = request.path_params["pipeline"]
        found = await aside(lambda: looking.picture(name), looks)
        if found is None:
            message = f"cannot show pipeline {name!r:.80}: it has no picture, expected one on a camera that runs"
            raise RefusedError(message, "not-found")
        return Response(found, media_type="image/jpeg", headers=FRESH)

    async def window(request: Request) -> Response:
        name = request.path_params["pipeline"]
        found = await aside(lambda: looking.window(name), looks)
        if found is None:
            message = f"cannot show pipeline {name!r:.80}: it has no window, expected one on a sensor that runs"
            raise RefusedError(message, "not-found")
        return document(found)

    pages = [Route("GET", path, _static(*file), "read", "The dashboard", gives=file[1]) for path, file in FILES.items()]
    return (
        *pages,
        Route("GET", "/api/overview", overview, "read", "What the dashboard shows", gives="Overview"),
        Route(
            "GET",
            "/api/pipelines/{pipeline}/picture",
            picture,
            "read",
            "A camera's next frame with what was found, as JPEG",
            gives="image/jpeg",
        ),
        Route("GET", "/api/pipelines/{pipeline}/window", window, "read", "A sensor's latest window", gives="Window"),
    )


def _static(name: str, media_type: str) -> Callable[[Request], Any]:
    # Read when it is asked for: a box whose page nobody opens keeps nothing of it.
    async def page(_request: Request) -> Response:
        content = (files("edged.api") / "dashboard" / name).read_bytes()
        return Response(content, media_type=media_type, headers=HEADERS)

    return page
