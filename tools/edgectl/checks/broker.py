"""The broker: its name, the way there, its certificate, the login, what goes through, and whether it holds this device to its own topics.

The last is a real attempt to read and to write on the topics of a device that does not exist, which disturbs nobody.
"""

from __future__ import annotations

import json
import secrets
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

import psutil

from edgectl.checks import daemon
from edgectl.checks.certificates import own_certificate
from edgectl.checks.conversation import Conversation, begin, tls_context
from edgectl.checks.rows import Ground, Row, Step, Verdict, walked
from edged.assembly.office import link_settings
from edged.assembly.secrets import secret
from edged.domain.errors import DeviceError, EdgedError
from edged.fleet import refusal, topics
from edged.fleet.session import MQTT5
from edged.fleet.settings import MAX_PACKET_BYTES, LinkSettings

STREAM = "doctor"
"""Probes go out on ``out/doctor``: no part of the wire contract, and no client of the fleet looks at it."""
WAIT_S, ECHO_S, LARGE_S = 5.0, 1.0, 10.0
SOON_DAYS = 30
LATE_S = 0.3
STAYS_S = 0.5
DAY_S = 86_400.0


@dataclass(slots=True)
class Subject:
    """The broker under test, and what of it has been reached."""

    settings: LinkSettings
    broken: str = ""
    spoken: Conversation | None = None
    figures: dict[str, Any] = field(default_factory=dict)
    ghost: str = field(default_factory=lambda: f"doctor-{secrets.token_hex(4)}")
    """A device that nobody is."""

    @property
    def name(self) -> str:
        """Its address."""
        return self.settings.where

    def details(self, step: str) -> Mapping[str, Any]:
        """Give a step's figures."""
        return dict(self.figures.get(step, {}))


def rows(ground: Ground) -> Iterator[Row]:
    """Take the way that the daemon's link takes, step by step."""
    subject = Subject(link_settings(ground.config))
    try:
        yield from walked(subject, STEPS, ground)
    finally:
        if subject.spoken is not None:
            subject.spoken.close()


def _name(subject: Subject, ground: Ground) -> Verdict:
    host, port = subject.settings.host, subject.settings.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        return "fail", f"{host}: {error.strerror}", f"getent hosts {host}; {ground.edit('host below [mqtt]')}"
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    return "ok", f"{host} is {', '.join(addresses[:4])}", ""


def _tcp(subject: Subject, ground: Ground) -> Verdict:
    settings = subject.settings
    began_s = time.monotonic()
    try:
        socket.create_connection((settings.host, settings.port), WAIT_S).close()
    except OSError as error:
        told = refusal.failed(error, settings.where).trouble
        return "fail", told.message, f"nc -vz {settings.host} {settings.port}  # {told.remedy} in {ground.file}"
    return "ok", f"connected in {(time.monotonic() - began_s) * 1000:.1f} ms", ""


def _tls(subject: Subject, ground: Ground) -> Verdict:
    settings = subject.settings
    if settings.tls is None:
        if settings.port == ENCRYPTED:
            return "warn", f"port {ENCRYPTED} without tls", ground.edit("tls = {} below [mqtt]")
        local = settings.host in {"localhost", "127.0.0.1", "::1"}
        remedy = "" if local else ground.edit('tls = { ca = "/etc/edged/ca.pem" } below [mqtt]')
        return "skipped" if local else "warn", "not encrypted", remedy
    try:
        with (
            socket.create_connection((settings.host, settings.port), WAIT_S) as plain,
            tls_context(settings).wrap_socket(plain, server_hostname=settings.host) as spoken,
        ):
            _refused_late(spoken)
            return _dated(subject, spoken.getpeercert() or {}, f"{spoken.version()}")
    except (OSError, ValueError) as error:
        told = refusal.failed(error, settings.where).trouble
        look = f"openssl s_client -connect {settings.where} </dev/null 2>/dev/null | openssl x509 -noout -issuer -subject -dates"
        mend = ground.edit(told.remedy) if "mqtt." in told.remedy else f"# {told.remedy}"
        return "fail", told.message, f"{look}; {mend}"


def _refused_late(spoken: ssl.SSLSocket) -> None:
    """Wait a moment for a broker that wants a certificate: with TLS 1.3 it says so after the handshake. Raises OSError then."""
    spoken.settimeout(LATE_S)
    with suppress(TimeoutError):  # it waits for CONNECT: all is well
        spoken.recv(1)


def _dated(subject: Subject, certificate: Mapping[str, Any], version: str) -> Verdict:
    ends_s = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
    days = (ends_s - time.time()) / DAY_S
    subject.figures["tls"] = {"days_left": round(days, 1), "version": version}
    shown = f"{version}, the broker's certificate is valid until {_day(ends_s)} ({days:.0f} days)"
    if days < SOON_DAYS:
        return "warn", shown, f"renew the broker's certificate within {max(days, 0):.0f} days, and restart the broker"
    return "ok", shown, ""


def _own(subject: Subject, ground: Ground) -> Verdict:
    tls = subject.settings.tls
    if tls is None or tls.cert is None:
        return "skipped", "the device has none", ""
    return own_certificate(tls.cert, ground.file)


def _login(subject: Subject, ground: Ground) -> Verdict:
    try:
        settings = replace(subject.settings, password=secret(ground.config.mqtt.password_file))
    except EdgedError as error:
        look = f"ls -l {ground.config.mqtt.password_file}"
        return "fail", str(error.args[0]), error.remedy or f"{look}; {ground.edit('password_file below [mqtt]')}"
    has_identity = settings.username is not None or (settings.tls is not None and settings.tls.cert is not None)
    if has_identity and not ground.logs_in and (held := _held(subject, ground)) is not None:
        subject.broken = HELD
        return held
    subject.settings = settings
    subject.spoken, refused = begin(settings)
    if refused is not None:
        return "fail", refused.trouble.message, ground.edit(refused.trouble.remedy)
    version = "5" if subject.spoken.protocol == MQTT5 else "3.1.1"
    who = f"as {settings.username}" if settings.username else "without a name"
    return "ok", f"MQTT {version}, {who}, client id {subject.spoken.client_id}", ""


def _held(subject: Subject, ground: Ground) -> Verdict | None:
    """Say how the daemon's own connection was seen; None where it has none now, and nothing can be taken from it."""
    running = ground.daemon
    if not running.runs:
        return None
    if running.said:
        return ("ok", f"{running.who} says that it is online", "") if running.said.get("online") else None
    try:
        before = daemon.established(running.pid, subject.settings.port)
        time.sleep(STAYS_S)  # a login that is refused does not last
        stays = [one for one in daemon.established(running.pid, subject.settings.port) if one in before]
    except psutil.Error:
        return "skipped", f"{running.who} runs, and whether it is online only its user may see", ""
    return ("ok", f"{running.who} holds a connection from port {stays[0][1]}", "") if stays else None


def _round_trip(subject: Subject, ground: Ground) -> Verdict:
    spoken, settings = _spoken(subject), subject.settings
    for topic in topics.subscriptions(settings.device, settings.groups):
        answer = spoken.subscribe(topic, WAIT_S)
        if answer.is_refused or answer.code is None:
            return "fail", f"may not read {topic}: {answer.words}", _rule(ground)
    own = topics.out(settings.device, STREAM)
    listens = not spoken.subscribe(own, WAIT_S).is_refused
    probe = _probe(settings.device)
    answer = spoken.publish(own, probe, WAIT_S)
    if answer.is_refused or answer.code is None:
        return "fail", f"may not write {own}: {answer.words}", _rule(ground)
    took = f"{answer.took_s * 1000:.1f} ms"
    subject.figures["round trip"] = {"ack_ms": round(answer.took_s * 1000, 2)}
    came = listens and spoken.hears(lambda topic, payload: topic == own and payload == probe, ECHO_S)
    back = "and came back" if came else "and not handed back, as rules would have it"
    return "ok", f"published and acknowledged in {took}, {back}", ""


def _size(subject: Subject, _ground: Ground) -> Verdict:
    spoken, device = _spoken(subject), subject.settings.device
    lines = f"max_packet_size {2 * MAX_PACKET_BYTES}\\nmessage_size_limit {2 * MAX_PACKET_BYTES}\\n"
    place = "/etc/mosquitto/conf.d/edged.conf && sudo systemctl restart mosquitto  # where the broker runs"
    remedy = f"printf '{lines}' | sudo tee {place}"
    limit = spoken.packet_limit
    if limit is not None and limit < MAX_PACKET_BYTES:
        return "fail", f"takes packets of {limit} bytes, documents have up to {topics.MAX_DOCUMENT_BYTES}", remedy
    answer = spoken.publish(topics.out(device, STREAM), _probe(device, topics.MAX_DOCUMENT_BYTES), LARGE_S)
    if answer.is_refused or spoken.is_lost:
        return "fail", f"a document of {topics.MAX_DOCUMENT_BYTES} bytes is refused: {answer.words}", remedy
    if answer.code is None:
        return (
            "warn",
            f"{topics.MAX_DOCUMENT_BYTES} bytes took longer than {LARGE_S:g} s",
            "edged thins results where budget_mb_per_day is set",
        )
    rate = topics.MAX_DOCUMENT_BYTES * 8 / 1000 / max(answer.took_s, 1e-6)
    return "ok", f"a document of {topics.MAX_DOCUMENT_BYTES} bytes passed, {rate:.0f} kbit/s", ""


def _writes(subject: Subject, ground: Ground) -> Verdict:
    """Try to write what only others may: an order to another device, and a document in its name."""
    spoken = _spoken(subject)
    open_to: list[str] = []
    unknown: list[str] = []
    for topic in (topics.inbound(subject.ghost, topics.COMMAND), topics.out(subject.ghost, STREAM)):
        listens = not spoken.subscribe(topic, WAIT_S).is_refused
        probe = _probe(subject.settings.device)
        answer = spoken.publish(topic, probe, WAIT_S)
        if spoken.is_lost:
            return "ok", f"the broker hung up when {topic} was written", ""
        if answer.is_refused:
            continue
        came = listens and spoken.hears(lambda _topic, payload: payload == probe, ECHO_S)  # noqa: B023 - called at once
        # With 3.1.1 a broker has no word for a refusal, and acknowledges what it throws away.
        is_open = came or (spoken.protocol == MQTT5 and answer.code is not None)
        (open_to if is_open else unknown).append(topic)
    if open_to:
        return "fail", f"it may write {' and '.join(open_to)}: any device can command any other", _rule(ground)
    if unknown:
        shown = f"nothing came of writing {' and '.join(unknown)}, and MQTT 3.1.1 has no word for a refusal"
        return "warn", shown, "use a broker that speaks MQTT 5"
    return "ok", "refused: another device's orders and documents", ""


def _reads(subject: Subject, ground: Ground) -> Verdict:
    """Try to read what only others may: what every device says and is told, and the requests that file services share out."""
    spoken, settings = _spoken(subject), subject.settings
    own = (f"{topics.ROOT}/d/{settings.device}/", *(topics.group_desired(group) for group in settings.groups))
    granted = []
    for topic in (
        f"{topics.ROOT}/#",
        topics.out("+", topics.STATUS),
        f"$share/{subject.ghost}/{topics.out('+', topics.GET)}",
    ):
        answer = spoken.subscribe(topic, WAIT_S)
        if spoken.is_lost:
            return "ok", f"the broker hung up when {topic} was subscribed", ""
        if not answer.is_refused and answer.code is not None:
            granted.append(topic)
    if not granted:
        return "ok", "refused: what other devices say and are told", ""
    heard = spoken.hears(lambda topic, _payload: topic.startswith(topics.ROOT) and not topic.startswith(own), ECHO_S)
    if heard is not None:
        return "fail", f"it heard {heard}, which is another's", _rule(ground)
    shown = f"{' and '.join(granted)} granted, though nothing came"
    if ground.config.mqtt.username is None and ground.config.mqtt.password_file is None:
        return "fail", f"{shown}: nobody has a name here", _rule(ground)
    return (
        "warn",
        f"{shown}: rules that are applied at delivery let a device swallow what services share",
        _rule(ground),
    )


def _rule(ground: Ground) -> str:
    device, groups = ground.config.device.id, ground.config.device.groups
    more = "".join(f" --group {one}" for one in groups)
    after = f"then here: password_file below [mqtt] in {ground.file}, with what lies in BROKER/passwords/{device}"
    return (
        f"edgectl fleet broker init BROKER && edgectl fleet broker add BROKER {device}{more}  # on the broker; {after}"
    )


def _spoken(subject: Subject) -> Conversation:
    """Give the conversation; a new one where the broker hung up on the step before. Raises DeviceError when it lets nobody in any more."""
    assert subject.spoken is not None  # noqa: S101 - the steps behind the login are taken after it alone
    if subject.spoken.is_lost:
        subject.spoken, refused = begin(subject.settings)
        if refused is not None:
            raise DeviceError(refused.trouble.message, remedy=refused.trouble.remedy)
    return subject.spoken


def _probe(device: str, size: int = 0) -> bytes:
    said = {"schema": "edged.probe/1", "device": device, "nonce": secrets.token_hex(8)}
    return json.dumps(said).encode().ljust(size)


def _day(at_s: float) -> str:
    return f"{datetime.fromtimestamp(at_s, timezone.utc):%Y-%m-%d}"


ENCRYPTED = 8883
HELD = "edged is online with this login, and some brokers would drop it: edgectl doctor broker --login"
STEPS: tuple[Step, ...] = (
    Step("name", _name),
    Step("TCP", _tcp),
    Step("own certificate", _own, stops=False),
    Step("tls", _tls),
    Step("login", _login),
    Step("round trip", _round_trip, stops=False),
    Step("size", _size, stops=False),
    Step("writes", _writes, stops=False),
    Step("reads", _reads, stops=False),
)
"""In the order in which a fault of one explains the next."""
