from __future__ import annotations

from pathlib import Path

import pytest

from edgectl.entry import entry
from edgectl.serial.heard import Heard, Setting
from edgectl.serial.judge import Finding
from edgectl.serial.suggest import rate_hz, source_of, with_rate
from edgectl.serial.text import Lines, Part
from edgectl.timing import Timing
from edged.config.read import read_toml
from edged.config.schema import SerialSource

PORT = Path("/dev/serial/by-id/usb-sensor")


def finding(*parts: Part, setting: Setting | None = None, delimiter: str = ",") -> Finding:
    heard = Heard(setting or Setting(115_200), b"1\n", 1.0, 1.0)
    return Finding(heard, "lines", 1.0, Lines("csv", delimiter, parts, 1.0, 10))


def timed(rate: float, jitter_ms: float = 1.0, gaps: int = 0, count: int = 100) -> Timing:
    return Timing(count, count / rate, rate, jitter_ms, gaps, None)


def test_plain_columns_need_no_fields() -> None:
    source = source_of(PORT, finding(Part("t", "time"), Part("x", "channel"), Part("y", "channel")), "spindle")
    assert entry(source) == (
        f'[[source]]\nname = "spindle"\nkind = "serial"\nport = "{PORT}"\ncolumns = ["x", "y"]\ntime = "t"'
    )


def test_what_is_no_channel_stands_among_the_fields_alone() -> None:
    parts = Part("n", "counter"), Part("t", "time", 0.001), Part("who", "label"), Part("x", "channel")
    source = source_of(PORT, finding(*parts, setting=Setting(9600, 7, "even"), delimiter=";"), "spindle")
    assert source.columns == ("x",)
    assert [(field.name, field.scale) for field in source.fields] == [("n", 1), ("t", 0.001), ("who", 1), ("x", 1)]
    assert (source.baud, source.data_bits, source.parity, source.delimiter) == (9600, 7, "even", ";")


def test_the_text_of_an_entry_is_the_entry(tmp_path: Path) -> None:
    source = source_of(PORT, finding(Part("n", "counter"), Part("x", "channel"), delimiter="\t"), "spindle")
    file = tmp_path / "one.toml"
    file.write_text(entry(with_rate(source, timed(199.4))), encoding="utf-8")
    (table,) = read_toml(file)["source"]
    assert SerialSource.model_validate(table) == source.model_copy(update={"rate_hz": 200.0})


@pytest.mark.parametrize(
    ("rate", "rounded"),
    [(199.4, 200), (1006.0, 1000), (104.2, 104), (6.66, 6.7), (1.66, 1.66), (0.501, 0.5), (97.3, 97)],
)
def test_a_rate_is_rounded_to_what_sensors_are_made_for(rate: float, rounded: float) -> None:
    assert rate_hz(timed(rate)) == pytest.approx(rounded)


@pytest.mark.parametrize("told", [timed(100, gaps=1), timed(100, jitter_ms=90), timed(100, count=3)])
def test_samples_that_come_now_and_then_get_no_rate(told: Timing) -> None:
    assert rate_hz(told) is None
