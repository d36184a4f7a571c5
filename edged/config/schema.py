"""The configuration's shape: what may stand in edged.toml. Key by key: docs/reference/configuration.md.

A docstring below a field is that key's text in the reference and in the JSON Schema. Faults that need more than one
section (a pipeline that names no source) are found by ``edged.config.load``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from edged.config.actions import Action
from edged.config.beside import HomeAssistant, Sink
from edged.config.count import Count
from edged.config.keys import DAY_S, File, FileName, Flag, Host, Name, Number, Section, Text, Url, Whole
from edged.config.pipelines import Cascade, Drift, Gate, Objective, Pipeline, Report, Rule, Selector, When
from edged.config.record import Record
from edged.config.remote import Remote
from edged.config.sensors import (
    JoinSource,
    MicrophoneSource,
    ModbusSource,
    SerialSource,
    SystemSource,
    TopicSource,
    UdpSource,
    WavSource,
)
from edged.config.serving import Grpc, Http, Serving
from edged.config.sources import CameraSource, CsvSource, FileSource, ImagesSource, PluginSource, Source
from edged.config.tracing import Tracing

__all__ = [
    "CameraSource",
    "Cascade",
    "Config",
    "Count",
    "CsvSource",
    "Device",
    "Drift",
    "EngineConfig",
    "FileSource",
    "Gate",
    "Governor",
    "HomeAssistant",
    "Http",
    "ImagesSource",
    "JoinSource",
    "MicrophoneSource",
    "ModbusSource",
    "Models",
    "Mqtt",
    "Objective",
    "OutboxConfig",
    "Pipeline",
    "PluginSource",
    "Profiles",
    "Record",
    "Remote",
    "Report",
    "Rule",
    "Selector",
    "SerialSource",
    "Serving",
    "Sink",
    "Source",
    "State",
    "SystemSource",
    "Telemetry",
    "Tls",
    "TopicSource",
    "Tracing",
    "UdpSource",
    "Updates",
    "WavSource",
    "When",
]

MQTT_PORT = 1883
MQTT_TLS_PORT = 8883
"""Both as registered with IANA."""
MIN_OUTBOX_BYTES = 1_048_576
"""Room for a handful of the largest documents (128 KiB), without which an outbox only ever evicts."""


class Device(Section):
    """Who this box is."""

    # The loader puts the machine's own identity in; an editor must not ask for it.
    model_config = ConfigDict(json_schema_extra={"required": []})

    id: Name
    """The box's name in topics and documents. Default: derived from /etc/machine-id, which itself is never shown."""
    groups: tuple[Name, ...] = ()
    """An order for the device beats one for a group; groups count in this order."""
    profile: Name = "auto"
    """The device profile by name, or ``auto``: the one that matches the hardware."""


class State(Section):
    """Where the box keeps what must survive a restart."""

    directory: File = Path("/var/lib/edged")
    """Needs to be writable and on a disk that keeps what was written."""


class Models(Section):
    """Where model bundles are found."""

    directories: tuple[File, ...] = (Path("/etc/edged/models"),)
    """Folders of bundles, one folder each; they stand before the shipped ones, the first before the later ones."""
    measure: Literal["background", "off"] = "background"
    """``background``: what each variant takes on this box is measured in the time that the pipelines spare, and the better one takes over;
    ``off``: only what ``edgectl bench`` has measured counts, and what came with a bundle."""
    selftest_s: Annotated[Number, Field(ge=1, le=DAY_S)] = 300.0
    """Within so long each golden sample of a bundle runs once on the engine that serves, in at most a hundredth of its time."""


class Profiles(Section):
    """Where device profiles are found."""

    directories: tuple[File, ...] = (Path("/etc/edged/device-profiles"),)
    """Folders of profiles, one TOML file each; they stand before the shipped ones."""


class Tls(Section):
    """How the broker proves itself to the box, and the box to the broker."""

    ca: File | None = None
    """Certificates that may have signed the broker's, PEM. Default: those of the system."""
    cert: File | None = None
    """The box's own certificate, PEM; with ``key``."""
    key: File | None = None
    """The key of ``cert``, PEM."""

    @model_validator(mode="after")
    def _certificate_with_key(self) -> Tls:
        if (self.cert is None) != (self.key is None):
            message = "cannot use cert or key alone, expected both or neither"
            raise ValueError(message)
        return self


class Mqtt(Section):
    """The broker. The client id is the device's id."""

    host: Host = "localhost"
    """Name or address of the broker."""
    port: Annotated[Whole, Field(ge=1, le=65_535)] = MQTT_PORT
    """Default: 1883, or 8883 with ``tls``."""
    tls: Tls | None = None
    """Present, even when empty: the connection is encrypted and the broker's certificate checked."""
    username: Text | None = None
    """Default: the device's id, when there is a ``password_file``."""
    password_file: File | None = None
    """A file that holds the password and nothing else; a line end behind it does not count."""
    budget_mb_per_day: Annotated[Number, Field(gt=0)] | None = None
    """What may go out on a day, in MB of 10^6 bytes: results are thinned first, events never. Default: no limit."""

    @model_validator(mode="before")
    @classmethod
    def _port_follows_tls(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("tls") is not None:
            return {"port": MQTT_TLS_PORT, **given}
        return given


class OutboxConfig(Section):
    """The durable queue to the broker."""

    max_bytes: Annotated[Whole, Field(ge=MIN_OUTBOX_BYTES)] = 268_435_456
    """Its size on disk; the oldest document of the lowest priority goes first, counted and declared."""


class Telemetry(Section):
    """What the box says about itself."""

    interval_s: Annotated[Number, Field(ge=1, le=DAY_S)] = 10.0
    """Time from one telemetry document to the next."""
    history: Flag = True
    """Everything that the box counts is kept once a second for the last day, in 20 MB of the state directory at most."""


class Governor(Section):
    """What makes the box do less when it runs hot, short of memory or late, and all of it again afterwards."""

    enabled: Flag = True
    """False: it is only watched and told how the box feels."""


_HOUR = r"([01][0-9]|2[0-3]):[0-5][0-9]"


class Updates(Section):
    """Where new models come from, and when they may go live."""

    repository: Url | None = None
    """A URL, ``mqtt``, or a folder. Default: only the models' own directories."""
    trust: File | None = None
    """The root of trust: who may sign."""
    window: Annotated[str, StringConstraints(pattern=f"^{_HOUR}-{_HOUR}$")] | None = None
    """Local time from HH:MM to HH:MM, past midnight too, when a new model may go live. Default: always."""
    max_kbps: Annotated[Whole, Field(gt=0)] | None = None
    """Kilobits a second for downloads. Default: no limit."""

    @model_validator(mode="after")
    def _trusts_somebody(self) -> Updates:
        if self.repository is not None and self.trust is None:
            message = "cannot take models from a repository without trust, expected the file that says who may sign"
            raise ValueError(message)
        return self


class EngineConfig(Section):
    """How an engine's child process is started."""

    python: FileName | None = None
    """Another interpreter, with the runtime that the accelerator's delegate was built for. Default: edged's own."""
    library: FileName | None = None
    """The delegate's library. Default: libedgetpu.so.1 where packages put it."""
    devices: tuple[Annotated[str, StringConstraints(pattern=r"^(usb|pci):\d{1,3}$")], ...] = ()
    """The Edge TPUs to use, such as ``usb:0`` and ``pci:1``. Default: those that are found; name them where a container hides them."""


class Config(Section):
    """The whole configuration, after its files have been put together."""

    model_config = ConfigDict(json_schema_extra={"required": []})

    device: Device
    state: State = Field(default_factory=State)
    models: Models = Field(default_factory=Models)
    profiles: Profiles = Field(default_factory=Profiles)
    mqtt: Mqtt = Field(default_factory=Mqtt)
    outbox: OutboxConfig = Field(default_factory=OutboxConfig)
    telemetry: Telemetry = Field(default_factory=Telemetry)
    governor: Governor = Field(default_factory=Governor)
    http: Http | None = None
    grpc: Grpc | None = None
    serving: Serving = Field(default_factory=Serving)
    updates: Updates = Field(default_factory=Updates)
    homeassistant: HomeAssistant = Field(default_factory=HomeAssistant)
    record: Record | None = None
    tracing: Tracing | None = None
    engine: dict[Name, EngineConfig] = Field(default_factory=dict)
    remote: dict[Name, Remote] = Field(default_factory=dict)
    sink: tuple[Sink, ...] = ()
    action: tuple[Action, ...] = ()
    source: tuple[Source, ...] = ()
    pipeline: tuple[Pipeline, ...] = ()
