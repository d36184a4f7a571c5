"""Finding a line's setting, on a UART's wire that is simulated bit by bit."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable

import pytest

from edgectl.serial.heard import Heard, Parity, Setting
from edgectl.serial.judge import Finding, judge
from edgectl.serial.search import BAUDS, Found, search
from edged.domain.tensor import Array
from fakes.serialline import cobs, record
from fakes.uart import OVERSAMPLED, Wire, received, sent

PATIENCE_S = 5.0


def csv(at: int) -> bytes:
    return f"{math.sin(at / 9):.3f},{math.cos(at / 7):.3f},{9.8 + math.sin(at * at):.3f}\r\n".encode()


def jsonl(at: int) -> bytes:
    return b'{"acc":{"x":%.3f,"y":%.3f}}\n' % (math.sin(at / 9), math.cos(at / 5))


def one_number(at: int) -> bytes:
    return b"%d\n" % (500 + 37 * at % 91)


def records(at: int) -> bytes:
    numbers = round(8000 * math.sin(at / 9)), round(3000 * math.cos(at / 5)), at % 7
    return record(struct.pack("<hhh", *numbers), sync=b"\xaa\x55")


def stuffed(at: int) -> bytes:
    return cobs(struct.pack("<fff", math.sin(at / 9), math.cos(at / 5), 9.8 + at % 3))


FEW = (115_200, 9600, 57_600, 38_400, 19_200)

SENSORS = (csv, jsonl, one_number, records, stuffed)


def said(sensor: Callable[[int], bytes], count: int = 40) -> bytes:
    return b"".join(sensor(at) for at in range(count))


def found(wire: Wire, bauds: tuple[int, ...] = BAUDS) -> Found:
    return search(wire, bauds, PATIENCE_S)


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize("baud", [1200, 9600, 921_600])
def test_the_baud_is_found_whatever_a_sensor_sends(sensor: Callable[[int], bytes], baud: int) -> None:
    choice = found(Wire(said(sensor), Setting(baud))).choice
    assert choice.best.heard.setting == Setting(baud)
    assert choice.is_clear


@pytest.mark.parametrize("sensor", [csv, records])
@pytest.mark.parametrize("baud", [1200, 9600, 57_600, 115_200, 500_000])
def test_at_a_wrong_baud_nothing_is_ever_sure(sensor: Callable[[int], bytes], baud: int) -> None:
    levels = sent(said(sensor, 16), Setting(baud))
    sure = [other for other in BAUDS if judged(levels, baud, Setting(other)).is_sure]
    assert sure == [baud]


@pytest.mark.parametrize("error", [0.98, 1.02])
def test_a_crystal_that_is_off_by_a_fiftieth_does_not_matter(error: float) -> None:
    levels = sent(said(csv), Setting(115_200))
    assert judged(levels, round(115_200 * error), Setting(115_200)).is_sure


@pytest.mark.parametrize("parity", ["even", "odd"])
def test_a_parity_behind_seven_bits_is_read_from_the_bytes_themselves(parity: Parity) -> None:
    setting = Setting(9600, 7, parity)
    choice = found(Wire(said(csv), setting, counts=False), FEW).choice
    assert choice.best.heard.setting == setting
    assert choice.best.is_sure


@pytest.mark.parametrize("parity", ["even", "odd"])
@pytest.mark.parametrize("sensor", [csv, records])
def test_a_parity_behind_eight_bits_is_told_by_faulty_characters(
    sensor: Callable[[int], bytes], parity: Parity
) -> None:
    setting = Setting(19_200, 8, parity)
    choice = found(Wire(said(sensor, 60), setting), FEW).choice
    assert choice.best.heard.setting == setting
    assert choice.best.is_sure


def test_a_sensor_that_speaks_every_two_seconds_is_listened_to_for_longer() -> None:
    wire = Wire(said(csv, 8), Setting(9600), rest_bits=2 * 9600)
    told = found(wire, (115_200, 9600))
    assert told.choice.best.heard.setting == Setting(9600)
    assert told.choice.best.form is not None
    assert [setting.baud for setting in wire.asked] == [115_200, 115_200, 9600, 9600, 9600, 115_200]


def test_a_line_that_makes_sense_is_not_asked_any_further() -> None:
    wire = Wire(said(csv), Setting(115_200))
    found(wire)
    assert wire.asked == [Setting(115_200)]


def test_a_silent_line_is_not_asked_at_every_baud() -> None:
    wire = Wire(b"", Setting(9600))
    assert found(wire).choice.best.kind == "silence"
    assert wire.asked == [Setting(115_200)]


def test_text_without_samples_tells_its_baud_all_the_same() -> None:
    text = b"".join(b"boot %d ok, all is well here\n" % at for at in range(25))
    choice = found(Wire(text, Setting(57_600)), FEW).choice
    assert (choice.best.kind, choice.best.heard.setting, choice.best.form) == ("text", Setting(57_600), None)


def test_noise_is_nothing_that_can_be_read() -> None:
    choice = found(Wire(random.Random(7).randbytes(900), Setting(38_400)), FEW).choice  # noqa: S311 - no secret
    assert (choice.best.form, choice.best.is_sure) == (None, False)


def judged(levels: Array, baud: int, setting: Setting) -> Finding:
    heard = received(levels, baud, setting)
    seconds = len(levels) / OVERSAMPLED / baud
    return judge(Heard(setting, heard.data, seconds, seconds, heard.faults))
