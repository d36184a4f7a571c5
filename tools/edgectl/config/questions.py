"""From what was said on the command line and what is found on the box to answers; what is left open is asked."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from edgectl.config.answers import Answers, Broker, Watched
from edgectl.config.asks import Asks
from edgectl.config.found import Device, Found
from edged.config.schema import MQTT_PORT, MQTT_TLS_PORT
from edged.domain.bundle import Bundle, WindowInput
from edged.domain.errors import ConfigError

CAMERA_MODEL, SENSOR_MODEL = "camera-health", "vibration"
BAUD = 115_200
VIBRATION_HZ = 200.0
"""What the shipped model of vibrations was made for."""
SAMPLES: Mapping[str, dict[str, object]] = {"camera-health": {}, "parts": {}, "vibration": {"calibrate_s": 11}}
"""Shipped models that bring a recording on which something happens, and what their pipelines need for it."""
TAKES = {"image": "it looks at pictures", "window": "it takes samples"}
AXES = ("x", "y", "z")
_WHOLE = re.compile(r"[0-9]{1,9}")
_NAME = re.compile(r"[a-z0-9-]{1,64}")
_BROKER = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\s]+)(?::(\d{1,5}))?")

_Value = TypeVar("_Value")
Bundles = Mapping[str, tuple[Bundle, ...]]


@dataclass(frozen=True, slots=True)
class Said:
    """What the command line gave; None and empty are open."""

    device: str | None = None
    broker: str | None = None
    is_encrypted: bool = False
    ca: Path | None = None
    username: str | None = None
    password_file: Path | None = None
    cameras: tuple[str, ...] = ()
    camera_model: str | None = None
    ports: tuple[Path, ...] = ()
    baud: int | None = None
    rate_hz: float | None = None
    sensor_model: str | None = None
    samples: tuple[str, ...] = ()
    state: Path | None = None
    updates: str | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Where things lie: the broker's password is a credential that systemd hands over, where there is one, or a file to write."""

    password: Path
    credential: Path | None = None
    trust: Path | None = None
    """The root of trust, where ``edgectl install`` has put one."""


def answers(said: Said, found: Found, asks: Asks, bundles: Bundles, machine: str | None, places: Places) -> Answers:
    """Give every answer. ``machine`` is the name that this box has by itself. Raises ConfigError for an answer that cannot be used."""
    device = _given(said.device, _device) or _asked(asks, "Name of this box", machine or "", _device)
    broker, password = _broker(said, asks, places)
    watched = [*_cameras(said, found, asks, bundles), *_sensors(said, found, asks, bundles)]
    samples = said.samples
    if not watched and not samples and asks.is_person:
        wished = asks.whether(
            "Nothing to look at yet. Run the model 'parts' on the recording that it brings?", usual=True
        )
        samples = ("parts",) if wished else ()
    watched += [_sample(name, bundles) for name in samples]
    updates = _updates(said, asks, places)
    return Answers(device if device != machine else None, broker, tuple(watched), said.state, updates, password)


def _broker(said: Said, asks: Asks, places: Places) -> tuple[Broker, str]:
    host, port = _given(said.broker, _address) or _asked(asks, "Broker", "localhost", _address)
    is_encrypted = said.is_encrypted or said.ca is not None or port == MQTT_TLS_PORT
    username = said.username
    if username is None:
        username = asks.text("User name at the broker, empty for none", "")
    file, password = said.password_file or places.credential, ""
    if file is None and username:
        password = asks.secret("Password at the broker, empty for none")
        file = places.password if password else None
    chosen = port or (MQTT_TLS_PORT if is_encrypted else MQTT_PORT)
    return Broker(host, chosen, is_encrypted, said.ca, username, file), password


def _updates(said: Said, asks: Asks, places: Places) -> Mapping[str, str]:
    """Give the section that lets new models come in; without a root of trust nobody's are taken."""
    repository = said.updates
    if repository is None and places.trust is not None:
        repository = asks.text("Where new models come from (https://…, a folder, mqtt), empty for none", "")
    if not repository:
        return {}
    if places.trust is None:
        message = f"cannot take models from {repository}: no root of trust is installed, expected one"
        raise ConfigError(message, remedy="sudo edgectl install --trust root.json")
    return {"repository": repository, "trust": str(places.trust)}


def _cameras(said: Said, found: Found, asks: Asks, bundles: Bundles) -> Iterator[Watched]:
    """Take the cameras that were named; otherwise offer those that are there, and one of the network."""
    urls = list(said.cameras) or [str(one.path) for one in _wished(found.cameras, asks, "camera", usual=True)]
    if not said.cameras and asks.is_person:
        url = _asked(asks, "Address of a network camera (rtsp://…), empty for none", "", _url)
        urls += [url] if url else []
    for number, url in enumerate(urls):
        model = _model(said.camera_model, asks, f"Model for {url}", CAMERA_MODEL, partial(_bundle, bundles, "image"))
        # One picture a second is plenty for a camera's health.
        more = {"objective": {"fps": 1.0}} if model.manifest.name == CAMERA_MODEL else {}
        yield _watched(_counted("camera", number), {"kind": "camera", "url": url}, model, more)


def _sensors(said: Said, found: Found, asks: Asks, bundles: Bundles) -> Iterator[Watched]:
    """Take the serial ports that were named; otherwise offer those that are there. Nobody knows what is on a port but a person."""
    ports = list(said.ports) or [one.path for one in _wished(found.ports, asks, "serial port", usual=False)]
    for number, port in enumerate(ports):
        baud = said.baud if said.baud is not None else _asked(asks, f"Bits a second on {port}", str(BAUD), _whole)
        model = _model(said.sensor_model, asks, f"Model for {port}", SENSOR_MODEL, partial(_bundle, bundles, "window"))
        usual = f"{VIBRATION_HZ:g}" if model.manifest.name == SENSOR_MODEL else ""
        rate = said.rate_hz
        if rate is None:
            rate = _asked(asks, "Samples a second, empty: dated as they arrive", usual, _rate)
        source = {"kind": "serial", "port": str(port), "baud": baud, "columns": _columns(model)}
        yield _watched(_counted("sensor", number), {**source, "rate_hz": rate} if rate is not None else source, model)


def _sample(name: str, bundles: Bundles) -> Watched:
    """Give a shipped model on the recording that it brings."""
    if name not in SAMPLES:
        message = f"cannot run {name!r} on its recording, expected one of {', '.join(SAMPLES)}"
        raise ConfigError(message)
    bundle = bundles[name][0]
    recording = next((bundle.folder / "demo").iterdir(), None)
    if recording is None:
        message = f"cannot find the recording of {name}: {bundle.folder / 'demo'} is empty, expected one"
        raise ConfigError(message, remedy="install edged again")
    source: dict[str, object] = {"kind": "file", "path": str(recording)}
    if recording.suffix == ".csv":
        source = {"kind": "csv", "path": str(recording), "columns": AXES, "time": "t"}
    return _watched(name, {**source, "pace": "recorded", "loop": True}, bundle, SAMPLES[name])


def _watched(
    name: str, source: Mapping[str, object], bundle: Bundle, more: Mapping[str, object] | None = None
) -> Watched:
    labels = bundle.manifest.output.labels
    text = (bundle.folder / labels).read_text(encoding="utf-8").split("\n") if labels else []
    return Watched(name, source, bundle.manifest, tuple(filter(None, text)), more or {})


def _wished(devices: tuple[Device, ...], asks: Asks, what: str, *, usual: bool) -> list[Device]:
    return [one for one in devices if asks.whether(f"Use the {what} {one.path} ({one.name})?", usual=usual)]


def _counted(name: str, number: int) -> str:
    return f"{name}-{number + 1}" if number else name


def _model(named: str | None, asks: Asks, question: str, usual: str, read: Callable[[str], Bundle]) -> Bundle:
    return read(named) if named else _asked(asks, question, usual, read)


def _bundle(bundles: Bundles, kind: str, name: str) -> Bundle:
    """Give a model that looks at this kind of input."""
    if name not in bundles:
        message = f"cannot find model {name!r}, expected one of {', '.join(bundles)}"
        raise ConfigError(message, remedy="edged models lists them")
    bundle = bundles[name][0]
    if bundle.manifest.input.kind != kind:
        fitting = [other for other, found in bundles.items() if found[0].manifest.input.kind == kind]
        message = (
            f"cannot use model {name!r} here: {TAKES[bundle.manifest.input.kind]}, expected one of {', '.join(fitting)}"
        )
        raise ConfigError(message)
    return bundle


def _columns(bundle: Bundle) -> list[str]:
    """Name the channels that the model wants."""
    wanted = bundle.manifest.input
    count = wanted.channels if isinstance(wanted, WindowInput) else 0
    return list(AXES) if count == len(AXES) else [f"value-{number + 1}" for number in range(count)]


def _given(text: str | None, read: Callable[[str], _Value]) -> _Value | None:
    return None if text is None else read(text)


def _asked(asks: Asks, question: str, usual: str, read: Callable[[str], _Value]) -> _Value:
    """Ask until the answer can be used."""
    while True:
        try:
            return read(asks.text(question, usual))
        except ConfigError as error:
            if not asks.is_person:
                raise
            asks.say(f"  {error}")


def _device(text: str) -> str:
    if not _NAME.fullmatch(text):
        message = f"cannot call a box {text!r}, expected 1 to 64 of a-z, 0-9 and -"
        raise ConfigError(message)
    return text


def _address(text: str) -> tuple[str, int | None]:
    parts = _BROKER.fullmatch(text)
    port = int(parts[2]) if parts and parts[2] else None
    if parts is None or (port is not None and not 0 < port < 1 << 16):
        message = f"cannot use {text!r} as a broker's address, expected HOST or HOST:PORT"
        raise ConfigError(message)
    return parts[1].strip("[]"), port


def _url(text: str) -> str:
    """What stands before an @ is not shown again, nor written down."""
    if "@" in text.partition("://")[2].partition("/")[0]:
        message = "cannot take a user's name and password in an address, expected it without them"
        raise ConfigError(message, remedy="write username and password_file into the source afterwards")
    return text


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text) or not int(text):
        message = f"cannot use {text!r}, expected a whole number above 0"
        raise ConfigError(message)
    return int(text)


def _rate(text: str) -> float | None:
    try:
        rate = float(text) if text else None
    except ValueError:
        rate = math.nan
    if rate is not None and not 0 < rate < math.inf:
        message = f"cannot use {text!r} as a rate, expected a number above 0, or nothing"
        raise ConfigError(message)
    return rate
