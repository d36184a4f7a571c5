"""Who tries tokens: an address that brought many wrong ones within a minute is not listened to for a while. Thread-safe.

The same wrong token counts once: a page or a program that was left with an old one guesses nothing, and shall not shut its address out.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address

from edged.api.refusal import RefusedError

MOST, WINDOW_S = 20, 60.0
"""Different wrong tokens an address may bring within so many seconds; people mistype fewer."""
MOST_ADDRESSES = 256
"""More are forgotten, the oldest first: memory is bounded, and a token has 16 characters at least."""


class Guesses:
    """Wrong tokens by address, as hashes of this process alone, with when each came last."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s, self._lock = now_s, threading.Lock()
        self._wrong: dict[str, dict[int, float]] = {}

    def __repr__(self) -> str:
        return f"<Guesses: {len(self._wrong)} addresses>"

    def check(self, address: str) -> None:
        """Raise RefusedError, ``guessing``, while an address is not listened to, whatever it brings."""
        if not self._wrong:
            return
        with self._lock:
            last_s = sorted(self._recent(_whose(address)).values())[-MOST:]
        if len(last_s) == MOST:
            message = (
                f"cannot answer this address now: it brought {MOST} wrong tokens within {WINDOW_S:g} s, expected fewer"
            )
            raise RefusedError(message, "guessing", retry_after_s=last_s[0] + WINDOW_S - self._now_s())

    def wrong(self, address: str, authorization: str) -> None:
        """Count a token that was none; nothing where none came along."""
        if not authorization:
            return
        whose = _whose(address)
        with self._lock:
            recent = self._recent(whose)
            # Put back behind the others: who came last is forgotten last.
            self._wrong.pop(whose, None)
            self._wrong[whose] = dict([*recent.items(), (hash(authorization), self._now_s())][-2 * MOST :])
            while len(self._wrong) > MOST_ADDRESSES:
                del self._wrong[next(iter(self._wrong))]

    def _recent(self, whose: str) -> dict[int, float]:
        early_s = self._now_s() - WINDOW_S
        return {one: at_s for one, at_s in self._wrong.get(whose, {}).items() if at_s > early_s}


def _whose(address: str) -> str:
    """Give what counts as one: of IPv6 the network, within which a machine takes whatever address it likes."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return found.packed[:8].hex() if isinstance(found, IPv6Address) and not found.ipv4_mapped else address
