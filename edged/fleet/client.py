"""paho's client, with the two parts of it done more cheaply that every acknowledgement goes through.

paho reads a packet byte by byte, and builds the table of all of MQTT 5's properties anew for each PUBACK: with that the link spends 50 us
of processor time on a document, here 30. Both are methods of paho's own, which may change: a test holds them.
"""

from __future__ import annotations

from typing import Literal

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

READ_BYTES = 4096
PLAIN_BYTES = 2
"""A PUBACK without a reason: its packet id alone (MQTT 5, 3.4.2.1)."""
UNHEARD = b"\x10"
"""Reason code "no matching subscribers": taken all the same, and what a box gets whose results nobody reads now."""
TOO_LARGE = b"\x95"
"""Reason code "packet too large". MQTT 5 has none such in a PUBACK, and paho ends the connection over it, each time anew; mosquitto 2.0
gives it to a document above its ``message_size_limit``."""

_TAKEN = ReasonCode(PacketTypes.PUBACK)
_TOO_LARGE = ReasonCode(PacketTypes.DISCONNECT, identifier=TOO_LARGE[0])
_NOTHING = Properties(PacketTypes.PUBACK)  # type: ignore[no-untyped-call]  # paho's own is not annotated


class Client(mqtt.Client):
    """Reads what has arrived at once, and takes a plain acknowledgement, or a "too large", for what it is."""

    _unread = b""

    @property
    def has_unread(self) -> bool:
        """Whether there is something to read that the socket does not tell of any more."""
        return bool(self._unread)

    def _sock_recv(self, bufsize: int) -> bytes:
        if not self._unread:
            self._unread = super()._sock_recv(READ_BYTES)
        read, self._unread = self._unread[:bufsize], self._unread[bufsize:]
        return read

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        why = packet[PLAIN_BYTES:]
        is_too_large = why[:1] == TOO_LARGE
        if cmd != "PUBACK" or not (is_too_large or why in (b"", UNHEARD)):
            return super()._handle_pubackcomp(cmd)
        mid = int.from_bytes(packet[:PLAIN_BYTES], "big")
        with self._out_message_mutex:
            if mid in self._out_messages:
                return self._do_on_publish(mid, _TOO_LARGE if is_too_large else _TAKEN, _NOTHING)
        return MQTTErrorCode.MQTT_ERR_SUCCESS
