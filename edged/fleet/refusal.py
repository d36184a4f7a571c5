"""Why there is no connection, said plainly: one table for what the broker answers, one for what the network does."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from edged.fleet.trouble import Trouble

UNSUPPORTED_PROTOCOL = 0x84
_ACCESS = "set mqtt.username and mqtt.password_file as the broker has them, and its access rules for this device"
_LATER = "the broker is up and does not want us now; edged tries again"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A trouble, whether only a person can mend it (the slow lane), and whether another version of MQTT might."""

    trouble: Trouble
    slow: bool = False
    other_protocol: bool = False


# MQTT 5, table 2-6; paho translates the return codes of 3.1.1 into these.
_ANSWERS: dict[int, tuple[str, bool, str]] = {
    0x80: ("broker-refused", False, _LATER),
    0x81: (
        "broker-protocol",
        True,
        "the broker calls our packets malformed: report this with the broker's name and version",
    ),
    0x82: (
        "broker-protocol",
        True,
        "the broker calls our packets wrong: report this with the broker's name and version",
    ),
    UNSUPPORTED_PROTOCOL: ("broker-protocol", False, "use a broker that speaks MQTT 5 or 3.1.1"),
    0x85: ("broker-client-id", True, "let the broker accept the device's id as client id, or change device.id"),
    0x86: ("broker-auth", True, _ACCESS),
    0x87: ("broker-auth", True, _ACCESS),
    0x88: ("broker-unavailable", False, _LATER),
    0x89: ("broker-busy", False, _LATER),
    0x8A: ("broker-banned", True, "lift the ban on the broker"),
    0x8C: ("broker-auth", True, _ACCESS),
    0x8E: ("broker-taken-over", True, "another client uses this device's id: give every device its own device.id"),
    0x97: ("broker-quota", False, "raise the broker's quota for this device"),
    0x9C: ("broker-moved", True, "set mqtt.host to the broker's new address"),
    0x9D: ("broker-moved", True, "set mqtt.host to the broker's new address"),
    0x9F: ("broker-rate", False, "raise the broker's rate limit for this device"),
}

# The first that fits; the order goes from the particular to the general.
_FAULTS: tuple[tuple[type[Exception], str, bool, str], ...] = (
    (ssl.SSLCertVerificationError, "broker-certificate", True, "check mqtt.tls.ca, the broker's name and the clock"),
    (ssl.SSLError, "broker-tls", True, "check that the port speaks TLS, and mqtt.tls.cert and mqtt.tls.key"),
    (FileNotFoundError, "broker-tls-file", True, "check the files that mqtt.tls names"),
    (PermissionError, "broker-tls-file", True, "let the daemon's user read the files that mqtt.tls names"),
    (socket.gaierror, "broker-name", False, "check mqtt.host and the name server"),
    (ConnectionRefusedError, "broker-down", False, "start the broker, or check mqtt.host and mqtt.port"),
    (TimeoutError, "broker-silent", False, "check the network and the firewall between here and the broker"),
    (OSError, "broker-unreachable", False, "check the network between here and the broker"),
    (ValueError, "broker-settings", True, "check the section mqtt of the configuration"),
)


def answered(code: int, name: str, where: str, what: str = "connect to") -> Refusal:
    """Explain a reason code of the broker's."""
    kind, slow, remedy = _ANSWERS.get(code, ("broker-refused", False, _LATER))
    message = f"cannot {what} {where}: the broker answered 0x{code:02x} ({name}), expected 0x00"
    return Refusal(Trouble(kind, "mqtt", message, remedy), slow, other_protocol=code == UNSUPPORTED_PROTOCOL)


def failed(error: Exception, where: str) -> Refusal:
    """Explain an exception of the network's."""
    for kind, code, slow, remedy in _FAULTS:
        if isinstance(error, kind):
            message = f"cannot connect to {where}: {error}, expected an MQTT broker"
            return Refusal(Trouble(code, "mqtt", message, remedy), slow)
    raise error


def silent(where: str, patience_s: float) -> Refusal:
    """Explain a port that takes a connection and says nothing, or nothing to this version of MQTT."""
    message = f"cannot connect to {where}: no answer to CONNECT and SUBSCRIBE, expected one within {patience_s:.0f} s"
    trouble = Trouble("broker-silent", "mqtt", message, "check that the port is an MQTT broker's")
    return Refusal(trouble, other_protocol=True)


def dropped(why: str, where: str, *, answered_connect: bool) -> Refusal:
    """Explain a connection that ended without an answer; some old brokers hang up on an MQTT 5 CONNECT without a word."""
    before = "" if answered_connect else " before the broker answered CONNECT"
    message = f"cannot keep the connection to {where}: {why}{before}, expected it to stay"
    trouble = Trouble("broker-lost", "mqtt", message, "edged tries again; check the broker's log if this repeats")
    return Refusal(trouble, other_protocol=not answered_connect)
