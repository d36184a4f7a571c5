from __future__ import annotations

import socket
import ssl

import pytest

from edged.fleet import refusal


def tls_fault(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, f"[SSL: {reason}]")
    error.reason = reason
    return error


def distrust(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "in OpenSSL's words"
    return error


@pytest.mark.parametrize(
    ("code", "kind", "slow", "remedy"),
    [
        (9, "broker-certificate-early", False, "clock"),
        (10, "broker-certificate-expired", True, "renew the broker's"),
        (62, "broker-certificate-name", True, "mqtt.host"),
        (64, "broker-certificate-name", True, "mqtt.host"),
        (18, "broker-certificate", True, "mqtt.tls.ca"),
        (20, "broker-certificate", True, "mqtt.tls.ca"),
    ],
)
def test_a_certificate_that_is_not_trusted_says_why_and_what_to_do(
    code: int, kind: str, slow: bool, remedy: str
) -> None:
    found = refusal.failed(distrust(code), "broker:8883")
    assert (found.trouble.code, found.slow) == (kind, slow)
    assert remedy in found.trouble.remedy
    assert "in OpenSSL's words" in found.trouble.message


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "broker-wants-certificate"),
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "broker-wants-certificate"),
        ("TLSV1_ALERT_UNKNOWN_CA", "certificate-refused"),
        ("SSLV3_ALERT_BAD_CERTIFICATE", "certificate-refused"),
        ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "certificate-expired"),
        ("KEY_VALUES_MISMATCH", "certificate-files"),
        ("WRONG_VERSION_NUMBER", "broker-tls"),
    ],
)
def test_a_refusal_in_tls_says_whose_move_it_is(reason: str, kind: str) -> None:
    found = refusal.failed(tls_fault(reason), "broker:8883")
    assert (found.trouble.code, found.slow) == (kind, True)
    assert reason.lower().replace("_", " ") in found.trouble.message
    assert "mqtt.tls" in found.trouble.remedy


def test_a_fault_of_tls_without_a_reason_is_told_in_its_own_words() -> None:
    assert "EOF occurred" in refusal.failed(ssl.SSLError("EOF occurred"), "broker:8883").trouble.message


def test_what_is_no_fault_of_the_network_is_passed_on() -> None:
    with pytest.raises(KeyError):
        refusal.failed(KeyError("a bug"), "broker:1883")


def test_a_name_that_cannot_be_resolved_is_tried_again_soon() -> None:
    found = refusal.failed(socket.gaierror(-3, "Temporary failure in name resolution"), "broker:1883")
    assert (found.trouble.code, found.slow) == ("broker-name", False)


def test_denied_streams_are_named_in_order() -> None:
    assert "cannot publish alert, result/a at" in refusal.denied({"result/a", "alert"}, "broker:1883").message
