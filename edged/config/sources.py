"""Where pictures and samples come from: the ``[[source]]`` tables, one class a kind."""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from edged.config.faults import models_in
from edged.config.keys import Columns, File, Flag, Fps, Name, Number, Pixels, Polygon, Rate, Section, Text, Url
from edged.config.plugins import brought
from edged.config.sensors import (
    Grid,
    JoinSource,
    MicrophoneSource,
    ModbusSource,
    SerialSource,
    SystemSource,
    TopicSource,
    UdpSource,
    WavSource,
)


class CameraSource(Section):
    """A camera: a V4L2 device, a stream, or a GStreamer pipeline."""

    name: Name
    kind: Literal["camera"]
    url: Url
    """A device such as /dev/video0, an RTSP or HTTP URL without user information, or GStreamer pipeline text."""
    username: Text | None = None
    """For a stream that asks for one."""
    password_file: File | None = None
    """A file that holds the password and nothing else."""
    fps: Fps | None = None
    """Pictures a second asked of the camera, and the most that are taken from a stream. Default: the camera's own."""
    width: Pixels | None = None
    """Picture width asked of a device, with ``height``. Default: the camera's own."""
    height: Pixels | None = None
    """Picture height asked of a device, with ``width``."""
    transport: Literal["tcp", "udp"] = "tcp"
    """What an RTSP stream's pictures come over; over ``udp`` a lost packet costs the pictures up to the next key picture."""
    decoder: Literal["software", "hardware"] = "software"
    """``hardware`` decodes with what the box has for it (V4L2, NVIDIA) and falls back to ``software``, with a line in the log."""
    max_frame_age_ms: Annotated[Number, Field(gt=0, le=60_000)] = 1000.0
    """No model runs on a picture that was captured longer ago than this; it is counted as dropped, by cause ``stale``."""
    masks: tuple[Polygon, ...] = ()
    """Polygons of fractions of the picture, blackened at capture: no model, picture or record ever sees them."""

    @model_validator(mode="after")
    def _whole_size(self) -> CameraSource:
        if (self.width is None) != (self.height is None):
            message = "cannot ask for width or height alone, expected both or neither"
            raise ValueError(message)
        return self

    @property
    def is_pipeline(self) -> bool:
        """Whether ``url`` is GStreamer pipeline text: elements with ``!`` between them."""
        return " ! " in self.url


Pace = Literal["fast", "recorded"]


class FileSource(Section):
    """A video file."""

    name: Name
    kind: Literal["file"]
    path: File
    """The video."""
    pace: Pace = "fast"
    """``fast`` waits for its readers and loses nothing; ``recorded`` keeps the recording's own rate."""
    loop: Flag = False
    """Begin again at the end; the source's time goes on."""
    fps: Fps | None = None
    """At most so many pictures a second are taken, by the recording's own time. Default: all."""
    masks: tuple[Polygon, ...] = ()
    """Polygons of fractions of the picture, blackened before any model sees it."""


class ImagesSource(Section):
    """Pictures in files, in name order. What is damaged, or has more than 67 million pixels, is passed over and counted."""

    name: Name
    kind: Literal["images"]
    path: File
    """A folder, or a pattern such as /data/*.jpg."""
    loop: Flag = False
    """Begin again at the end."""
    fps: Fps | None = None
    """Pictures a second. Default: as fast as their readers take them."""
    masks: tuple[Polygon, ...] = ()
    """Polygons of fractions of the picture, blackened before any model sees it."""


class CsvSource(Section):
    """A recorded sensor file, with a line of column names on top."""

    name: Name
    kind: Literal["csv"]
    path: File
    """The file, UTF-8."""
    columns: Columns
    """Names of the columns that are the channels, in the model's order."""
    time: Text | None = None
    """Name of the column with the sample's time: seconds, or ISO 8601 (UTC where it names no offset)."""
    rate_hz: Rate | None = None
    """Samples a second, where no column tells the time."""
    pace: Pace = "fast"
    """``fast`` waits for its readers and loses nothing; ``recorded`` keeps the recording's own rate."""
    loop: Flag = False
    """Begin again at the end; the source's time goes on."""
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    """The character between two columns."""
    grid: Grid | None = None
    """Even instants for samples that come when they like, or out of order. Default: the samples as they stand, without those whose time is
    not after the one before."""

    @model_validator(mode="after")
    def _samples_have_a_time(self) -> CsvSource:
        if self.time is None and self.rate_hz is None:
            message = "cannot date the samples without time or rate_hz, expected one of them"
            raise ValueError(message)
        return self


class PluginSource(Section):
    """A source that an installed package brings: any other ``kind``, named by its entry point (docs/plug-ins.md)."""

    name: Name
    kind: Name
    options: dict[str, Any]
    """What the package asks for, handed to it as it stands; ``{}`` when it asks for nothing. Of a kind that is not edged's own, this key
    is what tells it from a misspelt one."""
    masks: tuple[Polygon, ...] = ()
    """Polygons of fractions of the picture, blackened before any model sees it."""


OwnSource = Annotated[
    CameraSource
    | FileSource
    | ImagesSource
    | CsvSource
    | SerialSource
    | TopicSource
    | SystemSource
    | UdpSource
    | WavSource
    | MicrophoneSource
    | ModbusSource
    | JoinSource,
    Field(discriminator="kind"),
]
"""The kinds that are edged's own; a package cannot take the place of one."""
OWN_KINDS = frozenset(
    kind for model in models_in(OwnSource) for kind in get_args(model.model_fields["kind"].annotation)
)


def _whose(given: Any) -> str:
    """Tell the table of an installed package's kind from all others: those are edged's own, or misspelt."""
    if isinstance(given, PluginSource):
        return "plugin"
    kind = given.get("kind") if isinstance(given, dict) else None
    # The packages' metadata are read for a kind that edged does not know, and only then.
    is_brought = isinstance(kind, str) and kind not in OWN_KINDS and kind in brought("edged.sources")
    return "plugin" if is_brought else "own"


Source = Annotated[Annotated[OwnSource, Tag("own")] | Annotated[PluginSource, Tag("plugin")], Discriminator(_whose)]
