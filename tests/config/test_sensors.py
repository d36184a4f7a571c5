from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from edged.config.sources import Source

SERIAL: dict[str, Any] = {"name": "s", "kind": "serial", "port": "/dev/ttyUSB0", "columns": ["x"]}
BINARY: dict[str, Any] = SERIAL | {"format": "binary", "fields": [{"name": "x", "type": "i16"}]}


def judged(table: dict[str, Any]) -> Any:
    return TypeAdapter(Source).validate_python(table)


def test_a_serial_line_of_numbers_needs_no_layout() -> None:
    assert judged(SERIAL).fields == ()


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"fields": []}, "cannot read binary records without fields"),
        ({"crc": "none"}, "cannot tell records from noise with crc none"),
        ({"fields": [{"name": "x"}, {"name": "x"}]}, "'x' stands twice"),
        ({"columns": ["x", "y"]}, "cannot find 'y' among the fields x"),
        ({"time": "t"}, "cannot find 't' among the fields x"),
        ({"sync": "a"}, "pattern"),
    ],
)
def test_a_serial_layout_that_cannot_be_is_refused(more: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        judged(BINARY | more)


def test_a_grid_of_too_many_steps_is_refused() -> None:
    assert judged(SERIAL | {"grid": {"step_s": 1, "bridge_s": 10_000}}).grid.late_s == 0
    with pytest.raises(ValidationError, match="cannot lay 10001 s on a grid of 1 s, expected at most 10000 steps"):
        judged(SERIAL | {"grid": {"step_s": 1, "late_s": 10_001}})


def test_a_part_of_a_join_has_no_grid_of_its_own() -> None:
    parts = [SERIAL, SERIAL | {"name": "slow", "grid": {"step_s": 60}}]
    with pytest.raises(ValidationError, match="cannot lay part 'slow' on a grid of its own"):
        judged({"name": "both", "kind": "join", "rate_hz": 1, "part": parts})


def test_cobs_frames_without_a_checksum() -> None:
    assert judged(BINARY | {"crc": "none", "framing": "cobs"}).crc == "none"


UDP: dict[str, Any] = {"name": "u", "kind": "udp", "listen": "192.0.2.1:5005", "columns": ["x"], "rate_hz": 25_600.0}
MODBUS: dict[str, Any] = {
    "name": "m", "kind": "modbus", "host": "10.0.0.9", "columns": ["x"], "registers": [{"name": "x", "address": 0}],
}  # fmt: skip


def test_a_topics_fields_carry_its_columns() -> None:
    topic = {"name": "t", "kind": "topic", "topic": "plant/#", "columns": ["a.b"]}

    assert judged(topic).retained is False
    with pytest.raises(ValidationError, match=r"cannot find 'a\.b' among the fields x"):
        judged(topic | {"fields": [{"name": "x"}]})


def test_a_udp_address_is_host_and_port() -> None:
    assert judged(UDP).address == ("192.0.2.1", 5005)
    assert judged(UDP | {"listen": "[::]:1"}).address == ("::", 1)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"listen": "5005"}, "expected ADDRESS:PORT"),
        ({"listen": "a:99999"}, "expected ADDRESS:PORT"),
        ({"header": [{"name": "status"}]}, "cannot notice lost datagrams"),
        ({"header": [{"name": "seq"}, {"name": "seq"}]}, "each name once"),
        ({"channels": ["y"]}, "cannot find 'x' among the channels y"),
    ],
)
def test_a_datagram_layout_that_cannot_be_is_refused(more: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        judged(UDP | more)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"port": "/dev/ttyUSB0"}, "both or neither of host and port"),
        ({"host": None}, "both or neither of host and port"),
        ({"columns": ["y"]}, "cannot find 'y' among"),
    ],
)
def test_a_modbus_device_that_cannot_be_is_refused(more: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        judged(MODBUS | more)
