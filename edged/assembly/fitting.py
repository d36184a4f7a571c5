"""Whether a file that was signed and ordered is the same one, and one for this box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edged.domain.errors import RejectedError
from edged.fleet.places import Offered


def hold(offered: Offered, order: Mapping[str, Any]) -> None:
    """Hold what the repository's signers say of a file against the order, and against this box. Raises RejectedError."""
    wanted, custom, target = offered.wanted, offered.custom, order["target"]
    if (wanted.sha256, wanted.length) != (order["sha256"], order["length"]):
        message = f"cannot fetch {target}: the order names sha256 {order['sha256']}, the repository {wanted.sha256}, expected the same"
        raise RejectedError(message, remedy="order what was published", code="mismatch")
    for key in ("name", "version"):
        if custom.get(key, order[key]) != order[key]:
            message = (
                f"cannot fetch {target}: it is {key} {ascii(custom[key])[:80]}, expected {order[key]!r} as ordered"
            )
            raise RejectedError(message, remedy="order what was published", code="mismatch")
    if _numbers(custom.get("min_edged", "")) > _numbers(order["edged"]):
        message = (
            f"cannot run {target}: this is edged {order['edged']}, expected {ascii(custom['min_edged'])[:40]} or newer"
        )
        raise RejectedError(message, remedy="update edged first", code="incompatible")
    profiles = custom.get("profiles") or []
    if order["profile"] and profiles and order["profile"] not in profiles:
        message = f"cannot run {target}: this is a {order['profile']}, expected one of {ascii(profiles)[:120]}"
        raise RejectedError(message, remedy="order a release for this device profile", code="incompatible")


def _numbers(version: Any) -> tuple[int, ...]:
    release = str(version).partition("-")[0].split(".")
    return tuple(int(part) for part in release if part.isdigit())
