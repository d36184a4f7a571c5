"""Why there is no connection, said plainly: one table for what the broker answers, one for what the network does."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

from edged.domain.errors import EdgedError
from edged.fleet.trouble import Trouble

UNSUPPORTED_PROTOCOL, TAKEN_OVER, TOO_LARGE = 0x84, 0x8E, 0x95
TAKEN_OVER_CODE, PACKET_LIMIT = "broker-taken-over", "broker-packet-limit"
RAISE_LIMIT = "raise the broker's packet limit above the 128 KiB that a document may have (mosquitto: max_packet_size, message_size_limit)"
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
    TAKEN_OVER: (
        TAKEN_OVER_CODE,
        True,
        "give every device its own device.id, and test clients and topic sources users of their own",
    ),
    TOO_LARGE: (PACKET_LIMIT, False, RAISE_LIMIT),
    0x9A: ("broker-unsuited", True, "let the broker keep retained messages: status and health are"),
    0x9B: ("broker-unsuited", True, "let the broker take QoS 1: without it nothing is sure to arrive"),
    0x97: ("broker-quota", False, "raise the broker's quota for this device"),
    0x9C: ("broker-moved", True, "set mqtt.host to the broker's new address"),
    0x9D: ("broker-moved", True, "set mqtt.host to the broker's new address"),
    0x9F: ("broker-rate", False, "raise the broker's rate limit for this device"),
}

# Why OpenSSL does not trust the broker's certificate (X509_V_ERR_* of x509_vfy.h).
_NOT_YET_VALID, _EXPIRED, _HOST_MISMATCH, _ADDRESS_MISMATCH = 9, 10, 62, 64
_VERIFICATION: dict[int, tuple[str, bool, str]] = {
    # Most often the box's clock still stands where it booted: nobody needs to come, it is tried again as usual.
    _NOT_YET_VALID: ("broker-certificate-early", False, "set this box's clock, or wait until it is synchronised"),
    _EXPIRED: ("broker-certificate-expired", True, "renew the broker's certificate; check this box's clock"),
    _HOST_MISMATCH: (
        "broker-certificate-name",
        True,
        "set mqtt.host to a name in the broker's certificate, or add this one to it",
    ),
    _ADDRESS_MISMATCH: (
        "broker-certificate-name",
        True,
        "set mqtt.host to a name in the broker's certificate, or add this address to it",
    ),
}
_UNTRUSTED = ("broker-certificate", True, "set mqtt.tls.ca to the authority that signed the broker's certificate")

# Words of OpenSSL's reasons, the alerts as a peer sends them (RFC 8446, 6.2). The first that fits.
_TLS: tuple[tuple[str, str, str], ...] = (
    (
        "ALERT_CERTIFICATE_REQUIRED",
        "broker-wants-certificate",
        "set mqtt.tls.cert and mqtt.tls.key: the broker asks for a certificate",
    ),
    ("ALERT_CERTIFICATE_EXPIRED", "certificate-expired", "renew the certificate that mqtt.tls.cert names"),
    (
        "ALERT_CERTIFICATE_REVOKED",
        "certificate-refused",
        "get a new certificate for mqtt.tls.cert: the broker has this one revoked",
    ),
    ("ALERT_UNKNOWN_CA", "certificate-refused", "have mqtt.tls.cert signed by an authority that the broker trusts"),
    (
        "ALERT_BAD_CERTIFICATE",
        "certificate-refused",
        "have mqtt.tls.cert signed by an authority that the broker trusts",
    ),
    ("ALERT_UNSUPPORTED_CERTIFICATE", "certificate-refused", "get a certificate for clients for mqtt.tls.cert"),
    ("ALERT_CERTIFICATE_UNKNOWN", "certificate-refused", "check mqtt.tls.cert against what the broker trusts"),
    (
        "ALERT_HANDSHAKE_FAILURE",
        "broker-wants-certificate",
        "set mqtt.tls.cert and mqtt.tls.key, if the broker asks for a certificate",
    ),
    ("KEY_VALUES_MISMATCH", "certificate-files", "let mqtt.tls.key be the key of mqtt.tls.cert"),
    ("NO_CERTIFICATE_OR_CRL_FOUND", "certificate-files", "let mqtt.tls.ca name a file of certificates in PEM"),
    ("", "broker-tls", "check that the port speaks TLS, and mqtt.tls.cert and mqtt.tls.key"),
)

# The first that fits; the order goes from the particular to the general.
_FAULTS: tuple[tuple[type[Exception], str, bool, str], ...] = (
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
    if code == TAKEN_OVER:
        return Refusal(taken_over(where), slow=True)
    kind, slow, remedy = _ANSWERS.get(code, ("broker-refused", False, _LATER))
    message = f"cannot {what} {where}: the broker answered 0x{code:02x} ({name}), expected 0x00"
    return Refusal(Trouble(kind, "mqtt", message, remedy), slow, other_protocol=code == UNSUPPORTED_PROTOCOL)


def taken_over(where: str) -> Trouble:
    """Explain a connection that was lost to another one of the same client id."""
    code, _, remedy = _ANSWERS[TAKEN_OVER]
    message = (
        f"cannot keep the connection to {where}: another client uses this device's id, expected to be its only one"
    )
    return Trouble(code, "mqtt", message, remedy)


def without_secret(error: EdgedError) -> Refusal:
    """Explain that there is no password to connect with now; whoever writes its file needs not tell."""
    return Refusal(Trouble(error.code, "mqtt", str(error.args[0]), error.remedy))


def denied(streams: Iterable[str], where: str) -> Trouble:
    """Explain which streams the broker's access rules keep back."""
    names = ", ".join(sorted(streams))
    message = (
        f"cannot publish {names} at {where}: the broker answered 0x87 (Not authorized), expected 0x00; all else is sent"
    )
    remedy = "let the device write below its out/ in the broker's access rules; edged tries again every few minutes"
    return Trouble("broker-topic-denied", "mqtt", message, remedy)


def failed(error: Exception, where: str) -> Refusal:
    """Explain an exception of the network's or of TLS."""
    if isinstance(error, ssl.SSLError):
        return _failed_tls(error, where)
    for kind, code, slow, remedy in _FAULTS:
        if isinstance(error, kind):
            message = f"cannot connect to {where}: {error}, expected an MQTT broker"
            return Refusal(Trouble(code, "mqtt", message, remedy), slow)
    raise error


def _failed_tls(error: ssl.SSLError, where: str) -> Refusal:
    if isinstance(error, ssl.SSLCertVerificationError):
        code, slow, remedy = _VERIFICATION.get(error.verify_code, _UNTRUSTED)
        message = f"cannot trust the certificate of {where}: {error.verify_message}, expected one that is valid for it"
        return Refusal(Trouble(code, "mqtt", message, remedy), slow)
    reason = getattr(error, "reason", None) or ""  # only faults of OpenSSL itself have one
    code, remedy = next(row[1:] for row in _TLS if row[0] in reason)
    message = (
        f"cannot speak TLS with {where}: {reason.lower().replace('_', ' ') or error}, expected both sides to agree"
    )
    return Refusal(Trouble(code, "mqtt", message, remedy), slow=True)


def silent(where: str, patience_s: float) -> Refusal:
    """Explain a port that takes a connection and says nothing, or nothing to this version of MQTT."""
    message = f"cannot connect to {where}: no answer to CONNECT and SUBSCRIBE, expected one within {patience_s:.0f} s"
    trouble = Trouble("broker-silent", "mqtt", message, "check that the port is an MQTT broker's")
    return Refusal(trouble, other_protocol=True)


def dropped(why: str, where: str, *, answered_connect: bool) -> Refusal:
    """Explain a connection that ended without an answer; some old brokers hang up on an MQTT 5 CONNECT without a word."""
    before = "" if answered_connect else " before the broker answered CONNECT"
    message = f"cannot keep the connection to {where}: {why}{before}, expected it to stay"
    remedy = (
        "check the broker's log"
        if answered_connect
        else "check that the port is an MQTT broker's, and set mqtt.tls if it asks for TLS"
    )
    trouble = Trouble("broker-lost", "mqtt", message, f"edged tries again; if this repeats, {remedy}")
    return Refusal(trouble, other_protocol=not answered_connect)
