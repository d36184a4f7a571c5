"""Why a request is not answered, in a form that both protocols put into their own words.

``STATUS`` holds HTTP's; gRPC's codes by the same kinds stand beside its server: ``invalid`` INVALID_ARGUMENT, ``not-found`` NOT_FOUND,
``overloaded``, ``unready`` and ``lost`` UNAVAILABLE, ``late`` DEADLINE_EXCEEDED, ``too-large`` and ``budget`` RESOURCE_EXHAUSTED,
``guessing`` RESOURCE_EXHAUSTED, ``unauthenticated`` UNAUTHENTICATED, ``forbidden`` PERMISSION_DENIED, ``unsupported`` UNIMPLEMENTED,
``fault`` INTERNAL.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from edged.domain.errors import BudgetError, BundleError, EdgedError, FrameError

Kind = Literal[
    "invalid",
    "unauthenticated",
    "guessing",
    "forbidden",
    "not-found",
    "too-large",
    "unsupported",
    "overloaded",
    "late",
    "unready",
    "budget",
    "lost",
    "fault",
]

STATUS: Mapping[Kind, int] = MappingProxyType(
    {
        "invalid": 400,
        "unauthenticated": 401,
        "guessing": 429,
        "forbidden": 403,
        "not-found": 404,
        "too-large": 413,
        "unsupported": 400,
        "overloaded": 429,
        "late": 504,
        "unready": 503,
        "budget": 503,
        "lost": 503,
        "fault": 500,
    }
)

WORDS: Mapping[Kind, str] = MappingProxyType(
    {
        "invalid": "what was sent is no request, or does not fit the model",
        "unauthenticated": "no token, or none that is valid",
        "guessing": "this address brought too many wrong tokens within a minute",
        "forbidden": "a token that only reads; a host that is not the box's own name; a page of another site",
        "not-found": "no such model, version or path",
        "too-large": "the body",
        "unsupported": "what this server does not do",
        "overloaded": "as many requests wait as may, or their bodies take as much memory as they may",
        "late": "the request's time was over before its run began",
        "unready": "the model is not loaded, or does not load",
        "budget": "memory has no room for it",
        "lost": "the engine failed; it is opened anew",
        "fault": "a fault of edged's own",
    }
)
"""What each means, for the reference."""


class RefusedError(EdgedError):
    """A request that gets no answer; ``kind`` says whose move it is.

    ``retry_after_s`` is when to come again (``overloaded`` and ``guessing`` only).
    """

    def __init__(self, message: str, kind: Kind, *, remedy: str = "", retry_after_s: float = 0.0) -> None:
        super().__init__(message, remedy=remedy, code=kind)
        self.kind: Kind = kind
        self.retry_after_s = retry_after_s

    def again(self) -> RefusedError:
        """Give the same for another request: an error that is raised twice keeps both ways that it went."""
        return RefusedError(str(self.args[0]), self.kind, remedy=self.remedy, retry_after_s=self.retry_after_s)


def invalid(message: str) -> RefusedError:
    """Refuse what the client sent."""
    return RefusedError(message, "invalid")


def refusal(error: EdgedError) -> RefusedError:
    """Give the refusal that an error of edged's own amounts to for a client."""
    if isinstance(error, RefusedError):
        return error
    kinds: tuple[tuple[type[EdgedError], Kind], ...] = (
        (FrameError, "invalid"),
        (BudgetError, "budget"),
        (BundleError, "unready"),
    )
    kind: Kind = next((kind for leaf, kind in kinds if isinstance(error, leaf)), "lost")
    return RefusedError(str(error.args[0]), kind, remedy=error.remedy)
