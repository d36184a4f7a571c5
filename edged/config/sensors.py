"""Sensors that are read as they measure: the ``[[source]]`` tables of their kinds."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints, model_validator

from edged.config.keys import DAY_S, Columns, File, Flag, Name, Number, Rate, Seconds, Section, Text, Whole

Hex = Annotated[str, StringConstraints(pattern=r"^([0-9a-fA-F]{2}){0,16}$")]
FieldType = Literal["u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64"]
ByteOrder = Literal["little", "big"]
MOST_GRID_STEPS = 10_000


class WireField(Section):
    """One number of a sample as it is sent."""

    name: Text
    """What ``columns`` and ``time`` call it; in JSON the path to it, such as data[0].x."""
    type: FieldType = "f32"
    """Its type in binary records; counts for nothing in text."""
    scale: Number = 1.0
    """What it is multiplied with: from counts to units, and for a time to seconds."""
    offset: Number = 0.0
    """What is added behind that."""


WireFields = Annotated[tuple[WireField, ...], Field(max_length=4096)]


class Grid(Section):
    """Even instants for the samples of a slow sensor: each is the mean of the samples of the step that ends there."""

    step_s: Annotated[Number, Field(gt=0, le=DAY_S)]
    """From one instant to the next."""
    late_s: Seconds = 0.0
    """How long is waited, in the samples' own time, for samples that are out of order; at most 10000 steps."""
    bridge_s: Seconds = 0.0
    """The longest time without samples that is bridged by a straight line; at most 10000 steps. A longer one is left out, so that no
    window spans it."""

    @model_validator(mode="after")
    def _steps_are_few(self) -> Grid:
        longest_s = max(self.late_s, self.bridge_s)
        if longest_s > MOST_GRID_STEPS * self.step_s:
            message = (
                f"cannot lay {longest_s:g} s on a grid of {self.step_s:g} s, expected at most {MOST_GRID_STEPS} steps"
            )
            raise ValueError(message)
        return self


class SerialSource(Section):
    """A sensor on a serial line."""

    name: Name
    kind: Literal["serial"]
    port: File
    """The device. A name in /dev/serial/by-id stays with the sensor; /dev/ttyUSB0 is whatever was plugged in first."""
    baud: Annotated[Whole, Field(gt=0, le=12_000_000)] = 115_200
    """Bits a second on the line."""
    data_bits: Literal[7, 8] = 8
    """Bits a character."""
    parity: Literal["none", "even", "odd"] = "none"
    """The check bit behind each character."""
    stop_bits: Literal[1, 2] = 1
    """Stop bits behind each character."""
    format: Literal["csv", "jsonl", "binary"] = "csv"
    """``csv``: a line of numbers a sample; ``jsonl``: an object a line; ``binary``: frames of one or more samples."""
    columns: Columns
    """Names of the channels, in the model's order."""
    fields: WireFields = ()
    """Every number of a sample as it is sent, in order. Default for text: ``time``, then ``columns``."""
    time: Text | None = None
    """Name of the field with the sensor's own time; the field's ``scale`` turns it into seconds."""
    rate_hz: Rate | None = None
    """Samples a second that the sensor sends. Without it and without ``time`` samples are dated when they arrive."""
    delimiter: Annotated[str, StringConstraints(min_length=1, max_length=1)] = ","
    """``csv``: the character between two numbers; a space stands for any number of blanks and tabs."""
    framing: Literal["records", "cobs"] = "records"
    """``binary``: ``records`` of sync, length, samples and checksum, or ``cobs``: samples and checksum in COBS."""
    sync: Hex = ""
    """``records``: the bytes that each begins with, in hexadecimal."""
    length: Literal["none", "u8", "u16"] = "u8"
    """``records``: the type of the count of payload bytes behind the sync bytes."""
    crc: Literal["none", "crc16-ccitt", "crc16-xmodem", "crc32"] = "crc16-ccitt"
    """``binary``: the checksum at the end, over length and samples; ``none`` only in ``cobs``."""
    byte_order: ByteOrder = "little"
    """``binary``: which byte of a number comes first."""
    garbage_bytes: Annotated[Whole, Field(ge=256, le=1 << 30)] = 65_536
    """Bytes in a row without a good frame that are borne before the line counts as lost."""
    grid: Grid | None = None
    """Even instants, for a slow sensor. Default: the samples as they come."""

    @model_validator(mode="after")
    def _layout_is_whole(self) -> SerialSource:
        if self.format == "binary" and not self.fields:
            message = "cannot read binary records without fields, expected every number of a sample with its type"
            raise ValueError(message)
        if self.format == "binary" and self.framing == "records" and self.crc == "none":
            message = "cannot tell records from noise with crc none, expected a checksum, or framing cobs"
            raise ValueError(message)
        _know_all(self.fields, self.columns, self.time)
        return self


def _know_all(fields: WireFields, columns: Columns, time: str | None) -> None:
    """Raise ValueError when a field stands twice or something is wanted that is none."""
    names = [field.name for field in fields]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"cannot tell fields apart: {twice[0]!r} stands twice, expected each name once"
        raise ValueError(message)
    unknown = [name for name in (*columns, *([time] if time else [])) if names and name not in names]
    if unknown:
        message = f"cannot find {unknown[0]!r} among the fields {', '.join(names)}, expected one of them"
        raise ValueError(message)


class TopicSource(Section):
    """Readings that others publish over MQTT, at the broker of ``[mqtt]``, as JSON documents."""

    name: Name
    kind: Literal["topic"]
    topic: Text
    """The topic's name, or a filter."""
    columns: Columns
    """Where the channels stand in the document, in the model's order: keys and indexes such as data[0].x; $ is the document."""
    fields: WireFields = ()
    """Scale and offset of the numbers, each under its path. Default: the numbers as they are."""
    time: Text | None = None
    """Path to the sensor's own time; its field's ``scale`` turns it into seconds."""
    rate_hz: Rate | None = None
    """Documents a second. Without it and without ``time`` documents are dated when they arrive."""
    qos: Literal[0, 1, 2] = 0
    """How surely the broker delivers: 0 at most once, 1 at least once, 2 exactly once."""
    retained: Flag = False
    """Take the value that the broker kept from earlier, which is of unknown age, as the first sample."""
    username: Text | None = None
    """Default: DEVICE.SOURCE when there is a ``password_file``, else the box's own user."""
    password_file: File | None = None
    """A file that holds the password of this source's own user and nothing else: for a broker that lets a user connect once."""
    grid: Grid | None = None
    """Even instants, for a slow sensor. Default: the samples as they come."""

    @model_validator(mode="after")
    def _fields_are_whole(self) -> TopicSource:
        _know_all(self.fields, self.columns, self.time)
        return self


class SystemSource(Section):
    """The box's own readings."""

    name: Name
    kind: Literal["system"]
    columns: Columns
    """Names of the readings, in the model's order, such as hottest_c, load_1m, memory_available_mb; a wrong one is answered with all."""
    rate_hz: Annotated[Number, Field(gt=0, le=100)] = 1.0
    """Readings a second."""
    grid: Grid | None = None
    """Even instants further apart, for what changes slowly. Default: the readings as they are taken."""


class HeaderField(Section):
    """One number in front of a datagram's samples."""

    name: Text
    """``seq`` counts datagrams, ``sample`` is the number of the first sample, ``channels`` and ``samples`` say how many
    there are; any other is skipped."""
    type: Literal["u8", "u16", "u32", "u64"] = "u32"
    """Its type; a count begins anew at its end."""


class UdpSource(Section):
    """Sample frames in UDP datagrams: a header, then samples with their channels side by side."""

    name: Name
    kind: Literal["udp"]
    listen: Text
    """Address and port, such as 0.0.0.0:5005; an IPv6 address stands in brackets."""
    sender: Text | None = None
    """Only datagrams from this address count. Default: from anybody who reaches the port."""
    columns: Columns
    """Names of the channels that are taken, in the model's order."""
    channels: tuple[Text, ...] = ()
    """Names of all channels of a datagram, in order. Default: ``columns``."""
    header: tuple[HeaderField, ...] = (HeaderField(name="seq"), HeaderField(name="channels", type="u16"))
    """The numbers in front of the samples, in order."""
    type: Literal["i8", "u8", "i16", "u16", "i32", "f32", "f64"] = "i16"
    """The type of every sample."""
    byte_order: ByteOrder = "little"
    """Which byte of a number comes first."""
    scale: Number = 1.0
    """What samples are multiplied with."""
    rate_hz: Rate
    """Samples a second of each channel."""

    @model_validator(mode="after")
    def _layout_is_whole(self) -> UdpSource:
        names = [field.name for field in self.header]
        if not {"seq", "sample"} & set(names) or len(set(names)) < len(names):
            message = (
                "cannot notice lost datagrams with this header, expected a field seq or sample, and each name once"
            )
            raise ValueError(message)
        unknown = [name for name in self.columns if self.channels and name not in self.channels]
        if unknown:
            message = f"cannot find {unknown[0]!r} among the channels {', '.join(self.channels)}, expected one of them"
            raise ValueError(message)
        if self.address is None:
            message = f"cannot listen on {self.listen!r}, expected ADDRESS:PORT such as 0.0.0.0:5005"
            raise ValueError(message)
        return self

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port of ``listen``; None when it is not of that form."""
        try:
            parts = urlsplit(f"//{self.listen}")
            host, port = parts.hostname, parts.port
        except ValueError:
            return None
        return (host, port) if host and port and parts.netloc == self.listen else None


Channels = Annotated[tuple[Annotated[Whole, Field(ge=0, le=255)], ...], Field(min_length=1, max_length=256)]


class WavSource(Section):
    """Recorded sound: a WAVE file of PCM, as numbers between -1 and 1."""

    name: Name
    kind: Literal["wav"]
    path: File
    """The file."""
    channels: Channels = (0,)
    """Numbers of the channels that are taken, from 0, in the model's order."""
    rate_hz: Rate | None = None
    """The rate that the model was made for; a file of another is refused. Default: the file's own."""
    pace: Literal["fast", "recorded"] = "fast"
    """``fast`` waits for its readers and loses nothing; ``recorded`` keeps the recording's own rate."""
    loop: Flag = False
    """Begin again at the end; the source's time goes on."""


class MicrophoneSource(Section):
    """Sound from a microphone, as numbers between -1 and 1. Needs ``edged[audio]`` and the system's PortAudio."""

    name: Name
    kind: Literal["microphone"]
    device: Text | Whole | None = None
    """A part of its name, or its number. Default: the system's choice."""
    channels: Channels = (0,)
    """Numbers of the channels that are taken, from 0, in the model's order."""
    rate_hz: Rate = 16_000.0
    """Samples a second."""


class ModbusRegister(Section):
    """One number of a Modbus device."""

    name: Text
    """What ``columns`` calls it."""
    address: Annotated[Whole, Field(ge=0, le=65_535)]
    """Its address, counted from 0 as on the wire: what manuals call 40001 is 0 of ``holding``."""
    table: Literal["holding", "input", "coil", "discrete"] = "holding"
    """Which of the device's four tables it is in."""
    type: Literal["bool", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64"] = "u16"
    """How its words are read; ``bool`` in coil and discrete."""
    word_order: Literal["big", "little"] = "big"
    """Whether the high or the low word comes first, where there are several."""
    scale: Number = 1.0
    """What it is multiplied with."""
    offset: Number = 0.0
    """What is added behind that."""


class ModbusSource(Section):
    """Registers of a Modbus device, polled over TCP or over a serial line (RTU)."""

    name: Name
    kind: Literal["modbus"]
    host: Text | None = None
    """TCP: name or address of the device or its gateway."""
    tcp_port: Annotated[Whole, Field(ge=1, le=65_535)] = 502
    """TCP: its port."""
    port: File | None = None
    """RTU: the serial device; a name in /dev/serial/by-id stays with the adapter."""
    baud: Annotated[Whole, Field(gt=0, le=12_000_000)] = 19_200
    """RTU: bits a second."""
    parity: Literal["none", "even", "odd"] = "even"
    """RTU: the check bit behind each character."""
    stop_bits: Literal[1, 2] = 1
    """RTU: stop bits behind each character."""
    unit: Annotated[Whole, Field(ge=0, le=255)] = 1
    """The device's number on its line."""
    columns: Columns
    """Names of registers, in the model's order."""
    registers: Annotated[tuple[ModbusRegister, ...], Field(min_length=1, max_length=4096)]
    """What the columns are."""
    rate_hz: Annotated[Number, Field(gt=0, le=1000)] = 1.0
    """Polls a second."""
    timeout_s: Annotated[Number, Field(gt=0, le=60)] = 1.0
    """How long an answer may take."""
    grid: Grid | None = None
    """Even instants further apart, for what changes slowly. Default: the values as they are read."""

    @model_validator(mode="after")
    def _is_whole(self) -> ModbusSource:
        if (self.host is None) == (self.port is None):
            message = "cannot connect with both or neither of host and port, expected host for TCP or port for RTU"
            raise ValueError(message)
        _know_all(tuple(WireField(name=one.name) for one in self.registers), self.columns, None)
        return self


JoinedPart = Annotated[
    SerialSource | TopicSource | SystemSource | UdpSource | ModbusSource | MicrophoneSource, Field(discriminator="kind")
]


class JoinSource(Section):
    """Several live sensors, aligned in time: their channels side by side in one window."""

    name: Name
    kind: Literal["join"]
    part: Annotated[tuple[JoinedPart, ...], Field(min_length=2, max_length=64)]
    """The sensors: tables of kind serial, topic, system, udp, modbus or microphone as they would stand under ``[[source]]``, without
    ``grid``; their channels follow in this order."""
    rate_hz: Rate
    """Samples a second of the whole."""
    method: Literal["nearest", "linear"] = "linear"
    """The value at an instant: of the nearest sample, or between the two around it."""
    max_wait_s: Annotated[Number, Field(gt=0, le=3600)] = 1.0
    """How long is waited for a late sensor, and how far from an instant a sample may lie: above the slowest one's step."""
    missing: Literal["gap", "nan"] = "gap"
    """An instant at which a sensor is missing: left out, so that no window spans it, or NaN in its channels."""

    @model_validator(mode="after")
    def _names_differ(self) -> JoinSource:
        names = [part.name for part in self.part]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            message = f"cannot tell parts apart: {twice[0]!r} stands twice, expected each name once"
            raise ValueError(message)
        if gridded := [part.name for part in self.part if getattr(part, "grid", None)]:
            message = f"cannot lay part {gridded[0]!r} on a grid of its own, expected the rate_hz of the join alone"
            raise ValueError(message)
        return self
