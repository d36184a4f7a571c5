"""Recorded sensor files."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edged.domain.errors import ConfigError, SourceLostError
from edged.domain.frame import Frame
from edged.pipeline.window import Windower
from edged.sources.csv import BLOCK_SAMPLES, MALFORMED_LIMIT, MAX_LINE_CHARS, CsvSource, open_source
from fakes.clock import FakeClock
from fakes.recording import write_rows
from fakes.stranger import closed_to


def opened(path: Path | str, **options: Any) -> CsvSource:
    if "time" not in options:
        options.setdefault("rate_hz", 10)
    return open_source(path=path, clock=FakeClock(), **options)


def drained(source: CsvSource) -> tuple[list[list[float]], list[float]]:
    values: list[list[float]] = []
    times: list[float] = []
    while (block := source.read()) is not None:
        values += block.values.tolist()
        times += block.times_s.tolist()
    return values, times


def windows(source: CsvSource, length: int, stride: int, channels: int) -> list[Frame]:
    windower = Windower(length, stride, channels)
    frames = []
    while (block := source.read()) is not None:
        frames += windower.push(block)
    return frames


def test_columns_are_picked_by_name_in_the_models_order(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["x,y,z", "1,2,3", "4,5,6"])

    values, times = drained(opened(path, columns=["z", "x"]))

    assert values == [[3, 1], [6, 4]]
    assert times == [0.0, 0.1]


def test_without_a_head_names_are_given_by_position(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["1, 2, 3", "4, 5, 6"])

    assert drained(opened(path, columns=["x", "y"]))[0] == [[1, 2], [4, 5]]


def test_columns_can_be_picked_by_number(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["1,2,3", "4,5,6"])

    assert drained(opened(path, columns=[2, 0]))[0] == [[3, 1], [6, 4]]


def test_without_columns_every_one_but_the_time_is_a_channel(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["t,x,y", "0.5,1,2", "1.0,3,4"])

    assert drained(opened(path, time="t")) == ([[1, 2], [3, 4]], [0.5, 1.0])


def test_without_a_head_the_time_has_its_place_among_the_names(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["1,0.5", "2,1.0"])

    assert drained(opened(path, columns=["x", "t"], time="t")) == ([[1], [2]], [0.5, 1.0])


def test_a_line_without_end_is_never_held_whole(tmp_path: Path) -> None:
    long = "9," * MAX_LINE_CHARS * 4
    path = write_rows(tmp_path / "s.csv", ["x,y", "1,2", long + "5", "6,7"])
    source = opened(path, columns=["x", "y"])

    tracemalloc.start()
    values, times = drained(source)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert values == [[1, 2], [6, 7]]
    assert times == pytest.approx([0.0, 0.2])
    assert source.drops == {"malformed": 1}
    assert peak < len(long)


def test_a_line_that_goes_on_and_on_ends_the_source(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    with path.open("w") as lines:
        lines.write("1\n" * BLOCK_SAMPLES)
        for _ in range(2 * MALFORMED_LIMIT + 3):
            lines.write("9" * MAX_LINE_CHARS)
    source = opened(path)
    with pytest.raises(SourceLostError, match="and the 101th like it"):
        drained(source)


def test_a_file_that_begins_with_a_line_without_end_is_none(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(b"\0" * (3 * MAX_LINE_CHARS))
    with pytest.raises(ConfigError, match="it begins with a line of more than"):
        opened(path)


def test_what_float32_cannot_hold_costs_its_windows_and_not_the_source(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["1", "1e39", "2", "3"])
    sound = [bool(np.isfinite(window.data).all()) for window in windows(opened(path), 2, 2, 1)]
    assert sound == [False, True]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2026-01-01 00:00:00", "2026-01-01 00:05:00"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"),
        ("2026-01-01T01:00:00+01:00", "2026-01-01T00:05:00+00:00"),
    ],
)
def test_moments_become_unix_time(tmp_path: Path, first: str, second: str) -> None:
    path = write_rows(tmp_path / "s.csv", ["timestamp,value", f"{first},1", f"{second},2"])

    assert drained(opened(path, time="timestamp"))[1] == [1767225600, 1767225900]


def test_a_byte_order_mark_comments_and_empty_lines_are_no_data(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(b"\xef\xbb\xbf# made by a logger\nx,y\n\n1,2\n,\n3,4\n")

    values, times = drained(opened(path, columns=["x", "y"]))

    assert values == [[1, 2], [3, 4]]
    assert times == [0.0, 0.1]


def test_another_delimiter_can_be_named(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["x;y", "1;2"])

    assert drained(opened(path, columns=["y"], delimiter=";"))[0] == [[2]]


def test_blocks_are_bounded_and_nothing_is_lost(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", [f"{i}" for i in range(150)])
    source = opened(path)

    sizes = []
    while (block := source.read()) is not None:
        sizes.append(len(block.values))
        assert block.stamp.index == sum(sizes) - 1

    assert sizes == [BLOCK_SAMPLES, BLOCK_SAMPLES, 150 - 2 * BLOCK_SAMPLES]


def test_a_malformed_line_is_passed_over_counted_and_keeps_its_place_in_time(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["x,y", "1,2", "3", "four,5", "nan,1", "inf,1", "6,7"])
    source = opened(path, columns=["x", "y"])

    values, times = drained(source)

    assert values == [[1, 2], [6, 7]]
    assert times == pytest.approx([0.0, 0.5])
    assert source.drops == {"malformed": 4}


def test_a_line_that_is_longer_than_any_is_passed_over_like_a_malformed_one(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["x,y", "1,2", "9" * 200_000 + ",5", "6,7"])
    source = opened(path, columns=["x", "y"])

    values, times = drained(source)

    assert values == [[1, 2], [6, 7]]
    assert times == pytest.approx([0.0, 0.2])
    assert source.drops == {"malformed": 1}


def test_too_many_malformed_lines_are_an_error_with_the_line(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["x", "1", *["?"] * 200])

    with pytest.raises(ConfigError, match=r"s\.csv: line 103 is '\?' and the 101th like it, expected numbers"):
        opened(path, columns=["x"])


def test_a_file_that_goes_bad_later_is_a_loss_after_what_was_good(tmp_path: Path) -> None:
    source = opened(write_rows(tmp_path / "s.csv", ["x", *["1"] * 64, *["?"] * 200]), columns=["x"])
    assert source.read() is not None

    with pytest.raises(SourceLostError, match="line 166"):
        source.read()


def test_times_that_do_not_grow_are_dropped_and_counted(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["t,x", "0,1", "1,2", "1,3", "0.5,4", "2,5"])
    source = opened(path, time="t")

    assert drained(source)[0] == [[1], [2], [5]]
    assert source.drops == {"unordered": 2}


def test_a_sensor_that_was_silent_for_long_is_missing_and_no_fault_of_the_file(tmp_path: Path) -> None:
    silent = [f"{second}," for second in range(1, 2 * MALFORMED_LIMIT)]
    source = opened(write_rows(tmp_path / "s.csv", ["t,x", "0,1", *silent, "500,2"]), time="t")

    assert drained(source) == ([[1], [2]], [0.0, 500.0])
    assert source.drops == {"missing": 2 * MALFORMED_LIMIT - 1}


def test_samples_out_of_order_can_be_had_as_they_stand(tmp_path: Path) -> None:
    source = opened(write_rows(tmp_path / "s.csv", ["t,x", "0,1", "2,2", "1,3", "2,4"]), time="t", in_order=False)

    assert drained(source) == ([[1], [2], [3], [4]], [0.0, 2.0, 1.0, 2.0])
    assert not source.drops


def test_a_time_that_is_no_number_is_a_malformed_line(tmp_path: Path) -> None:
    source = opened(write_rows(tmp_path / "s.csv", ["t,x", "0,1", "inf,2", "nan,3", "soon,4", "1,5"]), time="t")

    assert drained(source)[0] == [[1], [5]]
    assert source.drops == {"malformed": 3}


def test_no_window_spans_two_files(tmp_path: Path) -> None:
    for number in range(3):
        write_rows(tmp_path / f"{number}.csv", [f"{number}" for _ in range(10)])

    frames = windows(opened(tmp_path), 4, 4, 1)

    assert [frame.data[:, 0].tolist() for frame in frames] == [[n] * 4 for n in (0, 0, 1, 1, 2, 2)]


@pytest.mark.parametrize("second_starts_s", [0.0, 0.5, 1.0, 500.0])
def test_no_window_spans_two_files_with_times_of_their_own(tmp_path: Path, second_starts_s: float) -> None:
    for number, start_s in enumerate((0.0, second_starts_s)):
        rows = [f"{start_s + i / 10},{number}" for i in range(6)]
        write_rows(tmp_path / f"{number}.csv", ["t,x", *rows])

    frames = windows(opened(tmp_path / "*.csv", time="t"), 4, 1, 1)

    assert {tuple(frame.data[:, 0].tolist()) for frame in frames} == {(0,) * 4, (1,) * 4}


def test_in_a_loop_time_goes_on_and_no_window_spans_the_turn(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["0", "1", "2"])
    source = opened(path, loop=True)

    blocks = [source.read() for _ in range(3)]

    assert [block.stamp.index for block in blocks if block] == [2, 5, 8]
    assert [round(float(block.times_s[0]), 3) for block in blocks if block] == [0.0, 1.2, 2.4]
    source.close()
    assert source.read() is None


@pytest.mark.parametrize("rows", [[], ["x,y"], ["# only words"]])
def test_a_file_without_numbers_is_a_fault(tmp_path: Path, rows: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"no line of numbers"):
        opened(write_rows(tmp_path / "s.csv", rows), columns=["x"])


def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["timestamp,value", "1,2"])

    with pytest.raises(ConfigError, match=r"column 'valeu' in .*timestamp, value.*nearest is 'value'"):
        opened(path, columns=["valeu"], time="timestamp")


def test_a_column_like_no_other_gets_no_hint(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["timestamp,value", "1,2"])

    with pytest.raises(ConfigError, match=r"expected one of them$"):
        opened(path, columns=["qqq"])


def test_samples_without_any_time_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no time column and no rate"):
        open_source(path=tmp_path / "s.csv", clock=FakeClock(), columns=["x"])


@pytest.mark.parametrize("name", ["absent.csv", "*.csv", "."])
def test_a_path_without_a_file_is_a_fault(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        opened(tmp_path / name)


@pytest.mark.parametrize("name", ["", "s.csv", "*.csv"])
def test_what_edged_may_not_look_at_says_so_with_what_to_do(tmp_path: Path, name: str) -> None:
    home = tmp_path / "home"
    home.mkdir()
    write_rows(home / "s.csv", ["1"])

    with closed_to(home), pytest.raises(ConfigError, match="Permission denied, expected files that") as caught:
        opened(home / name)

    assert "every folder above it" in caught.value.remedy


def test_a_file_that_vanishes_between_two_is_a_loss(tmp_path: Path) -> None:
    for number in range(2):
        write_rows(tmp_path / f"{number}.csv", ["1", "2"])
    source = opened(tmp_path)
    (tmp_path / "1.csv").unlink()

    with pytest.raises(SourceLostError, match=r"cannot read .*1\.csv"):
        drained(source)


def test_its_repr_says_what_it_read(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "s.csv", ["1", "2"])

    assert repr(opened(path)) == f"<CsvSource {path}: 2 samples of 1 files, drops {{}}>"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.lists(st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=2), min_size=1, max_size=150))
def test_at_full_speed_nothing_is_lost(tmp_path: Path, rows: list[list[float]]) -> None:
    path = write_rows(tmp_path / "s.csv", ["x,y", *(f"{x!r},{y!r}" for x, y in rows)])

    values, times = drained(opened(path, columns=["x", "y"]))

    assert np.array_equal(np.asarray(values, np.float32), np.asarray(rows, np.float32))
    assert times == pytest.approx([i / 10 for i in range(len(rows))])


@pytest.mark.assets
def test_real_vibration_recordings_give_one_window_a_file(assets: Path) -> None:
    source = opened(assets / "sensors/ceiling-fan/fan_0_low_0_weight", columns=["x", "y", "z"], rate_hz=200)

    assert len(windows(source, 200, 200, 3)) == 30


@pytest.mark.assets
@pytest.mark.parametrize(
    ("name", "rows", "unordered"),
    [
        ("speed_7578.csv", 1127, 0),
        ("ambient_temperature_system_failure.csv", 7267, 0),
        ("machine_temperature_system_failure.csv", 22683, 12),
    ],
)
def test_real_sensors_with_gaps_are_read_to_the_last_row(assets: Path, name: str, rows: int, unordered: int) -> None:
    source = opened(assets / "sensors" / name, columns=["value"], time="timestamp")

    values, times = drained(source)

    assert len(values) == rows
    assert source.drops["unordered"] == unordered
    assert all(a < b for a, b in pairwise(times))
