"""How many documents may be on their way, and which. Decisions only: no input or output here.

The broker's Receive Maximum is ours to keep: paho ignores it, and after a reconnect it sent 520 documents at once to a
broker that had asked for 20.
"""

from __future__ import annotations

from edged.fleet.ready import Row

WIDEST = 64
"""Wider windows gained nothing: 4,158 messages a second with 64, 3,502 to 6,995 with 256, in the same noise."""
WITHOUT_RECEIVE_MAXIMUM = 20
"""MQTT 3.1.1 cannot say what it bears; 20 is what mosquitto takes unless told otherwise."""


def width(protocol: int, receive_maximum: int | None) -> int:
    """Give the window for a connection. ``protocol`` is MQTT's own level: 5, or 4 for 3.1.1."""
    if protocol < 5:  # noqa: PLR2004  (MQTT's protocol level)
        return WITHOUT_RECEIVE_MAXIMUM
    # A broker that names none bears 65,535 (MQTT 5, 3.2.2.3.3).
    return max(1, min(WIDEST, receive_maximum or WIDEST))


class Window:
    """The rows that were sent on one connection and not yet acknowledged, by MQTT packet id.

    An acknowledgement may overtake its packet id (read before ``publish`` returned): between ``sending`` and ``sent``
    unknown ids are kept. Outside, they are ignored: packet ids come round again, and a stale one must never settle a
    later row.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._rows: dict[int, Row] = {}
        self._early: set[int] = set()
        self._sending = False

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def room(self) -> int:
        """How many rows may be sent now."""
        return max(0, self.size - len(self._rows))

    def largest(self) -> Row | None:
        """Give the largest document that is on its way."""
        return max(self._rows.values(), key=lambda row: len(row.payload), default=None)

    def sending(self) -> None:
        """Note that a row is about to be sent, its packet id not yet known."""
        self._early.clear()
        self._sending = True

    def sent(self, mid: int, row: Row) -> Row | None:
        """Note what was sent; gives the row back when its acknowledgement came first."""
        self._sending = False
        if mid in self._early:
            return row
        self._rows[mid] = row
        return None

    def acknowledged(self, mid: int) -> Row | None:
        """Give the row that ``mid`` stood for; None when its row is still to come, or when it was never ours."""
        row = self._rows.pop(mid, None)
        if row is None and self._sending:
            self._early.add(mid)
        return row
