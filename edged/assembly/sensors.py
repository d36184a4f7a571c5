"""From the configuration's sensor tables to sources that can be opened."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from edged.assembly.adapters import adapter
from edged.assembly.secrets import secret
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
from edged.domain.errors import ConfigError
from edged.domain.ports import Clock, Source
from edged.fleet.settings import LinkSettings
from edged.hardware.readings import read

Broker = Callable[[], LinkSettings]
"""Gives the broker that edged reports to; secrets are read from their files when it is called."""


def _open_serial(source: SerialSource, clock: Clock) -> Source:
    module = adapter("edged.sources.serial", "serial")
    opened: Source = module.open_source(
        port=source.port,
        clock=clock,
        wire=_wire(source),
        baud=source.baud,
        data_bits=source.data_bits,
        parity=source.parity,
        stop_bits=source.stop_bits,
        rate_hz=source.rate_hz,
        garbage_bytes=source.garbage_bytes,
    )
    return opened


def _wire(source: SerialSource) -> Any:
    fields, wanted = _layout(source)
    return adapter("edged.sources.wire", "serial").Wire(
        format=source.format,
        fields=fields,
        wanted=wanted,
        delimiter=source.delimiter,
        framing=source.framing,
        sync=bytes.fromhex(source.sync),
        length=source.length,
        crc=source.crc,
        order=source.byte_order,
    )


def _layout(source: SerialSource | TopicSource) -> tuple[tuple[Any, ...], Any]:
    """Give a sample's numbers as they are sent, and what is wanted of them."""
    layout = adapter("edged.sources.layout", "serial")
    wanted = layout.Wanted(source.columns, source.time)
    fields = tuple(layout.Column(field.name, field.type, field.scale, field.offset) for field in source.fields)
    return fields or layout.in_order(wanted), wanted


def open_topic(source: TopicSource, clock: Clock, broker: Broker | None = None) -> Source:
    """Subscribe at the broker that edged reports to."""
    if broker is None:
        message = f"cannot read topic {source.topic!r}: no broker is known here, expected a section mqtt"
        raise ConfigError(message)
    module = adapter("edged.sources.topic")
    settings = broker()
    # The device's own id is its link's; a broker ends the older of two connections of one id.
    client_id = f"{settings.device}.{source.name}"
    has_own_user = source.username is not None or source.password_file is not None
    if has_own_user:
        user, password = source.username or client_id, secret(source.password_file)
        settings = dataclasses.replace(settings, username=user, password=password)
    fields, wanted = _layout(source)
    opened: Source = module.open_source(
        broker=settings,
        subscription=module.Subscription(source.topic, source.qos, source.retained),
        clock=clock,
        fields=fields,
        wanted=wanted,
        client_id=client_id,
        rate_hz=source.rate_hz,
        shares_user=not has_own_user,
    )
    return opened


def _open_system(source: SystemSource, clock: Clock) -> Source:
    opened: Source = adapter("edged.sources.system").open_source(
        read=partial(box_readings, Path("/")), clock=clock, columns=source.columns, rate_hz=source.rate_hz
    )
    return opened


def box_readings(root: Path) -> dict[str, float | None]:
    """Take one round of the box's readings as numbers by name: ``cpu_pressure.some_avg10``, ``temperature.cpu-thermal``."""
    found = read(root)
    numbers: dict[str, float | None] = {"hottest_c": found.hottest_c, "headroom_c": found.headroom_c}
    for field in dataclasses.fields(found):
        value = getattr(found, field.name)
        if field.name.endswith("_pressure"):
            for key in ("some_avg10", "full_avg10"):
                numbers[f"{field.name}.{key}"] = getattr(value, key, None)
        elif field.name != "temperatures":
            numbers[field.name] = None if value is None else float(value)
    return numbers | {f"temperature.{one.sensor}": one.temp_c for one in found.temperatures}


def _open_udp(source: UdpSource, clock: Clock) -> Source:
    channels = source.channels or source.columns
    layout = adapter("edged.sources.datagram").DatagramLayout(
        header=tuple((field.name, field.type) for field in source.header),
        channels=len(channels),
        taken=tuple(channels.index(name) for name in source.columns),
        type=source.type,
        order=source.byte_order,
        scale=source.scale,
    )
    host, port = source.address or ("", 0)
    opened: Source = adapter("edged.sources.udp").open_source(
        host=host, port=port, clock=clock, layout=layout, rate_hz=source.rate_hz, sender=source.sender
    )
    return opened


def _open_wav(source: WavSource, clock: Clock) -> Source:
    opened: Source = adapter("edged.sources.wav").open_source(
        path=source.path, clock=clock, channels=source.channels, rate_hz=source.rate_hz, loop=source.loop
    )
    return opened


def _open_microphone(source: MicrophoneSource, clock: Clock) -> Source:
    opened: Source = adapter("edged.sources.microphone", "audio").open_source(
        clock=clock, device=source.device, channels=source.channels, rate_hz=source.rate_hz
    )
    return opened


def _open_modbus(source: ModbusSource, clock: Clock) -> Source:
    module, registers = adapter("edged.sources.modbus", "modbus"), adapter("edged.sources.registers", "modbus")
    if source.host is not None:
        line = module.TcpLine(source.host, source.tcp_port)
    else:
        line = module.RtuLine(str(source.port), source.baud, source.parity, source.stop_bits)
    known = {
        one.name: registers.Register(one.name, one.address, one.table, one.type, one.word_order, one.scale, one.offset)
        for one in source.registers
    }
    opened: Source = module.open_source(
        line=line,
        clock=clock,
        registers=[known[name] for name in source.columns],
        unit=source.unit,
        rate_hz=source.rate_hz,
        timeout_s=source.timeout_s,
    )
    return opened


def open_join(source: JoinSource, clock: Clock, broker: Broker | None = None) -> Source:
    """Join sensors; those that are topics come from the broker that edged reports to."""
    module = adapter("edged.sources.join")
    opened: Source = module.open_source(
        parts=[module.Part(part.name, _width(part), _part_opener(part, clock, broker)) for part in source.part],
        clock=clock,
        rate_hz=source.rate_hz,
        method=source.method,
        max_wait_s=source.max_wait_s,
        missing=source.missing,
    )
    return opened


def _width(part: Any) -> int:
    return len(part.channels if isinstance(part, MicrophoneSource) else part.columns)


def _part_opener(part: Any, clock: Clock, broker: Broker | None) -> Callable[[], Source]:
    if isinstance(part, TopicSource):
        return partial(open_topic, part, clock, broker)
    return partial(OPENERS[part.kind], part, clock)


OPENERS: dict[str, Callable[..., Source]] = {
    "serial": _open_serial,
    "system": _open_system,
    "topic": open_topic,
    "udp": _open_udp,
    "wav": _open_wav,
    "microphone": _open_microphone,
    "modbus": _open_modbus,
    "join": open_join,
}
LIVE = frozenset(OPENERS) - {"wav"}
"""What is lost of these is opened again."""
