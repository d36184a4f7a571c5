from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from edgectl import bench_screen as screen
from edgectl.bench_rows import Row, accuracy_words, compared, verdict, with_choice
from edged.domain.figures import Figures, Measured, Subject
from edged.domain.variant import Ladder, Rung
from edged.update.manifest import read_bundle
from fakes.bundle import make_bundle

SUBJECT = Subject("a" * 64, "tflite", "2.3.0", "cpu", "generic")


def figures(p50_ms: float = 2.0, p99_ms: float | None = None, *, threads: int = 1, runs: int = 100) -> Figures:
    return Figures(threads, runs, p50_ms, p50_ms * 1.1 if p99_ms is None else p99_ms, p50_ms, 40.0, 12.0)


def row(variant: str = "int8", threads: int = 1, told: Figures | None = None, note: str = "") -> Row:
    return Row("parts", variant, "tflite", "cpu", threads, "mAP50 0.870", told or figures(threads=threads), note=note)


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [
        (figures(2.0), figures(2.0), "same"),
        (figures(2.08), figures(2.0), "same"),
        (figures(2.3), figures(2.0), "worse"),
        (figures(1.7), figures(2.0), "better"),
        (figures(2.3, 9.0, runs=30), figures(2.0, 9.0, runs=30), "same"),
        (figures(0.0), figures(0.0), "same"),
    ],
)
def test_a_change_counts_only_beyond_the_noise_of_both_runs(now: Figures, before: Figures, expected: str) -> None:
    assert verdict(now, before) == expected


def test_rows_are_held_against_the_same_file_and_number_of_threads() -> None:
    subjects = {("parts", "int8", "cpu"): SUBJECT}
    kept = [
        Measured(SUBJECT, (figures(1.0),), "here", "2026-01-01T00:00:00.000Z"),
        Measured(replace(SUBJECT, runtime_version="2.2.0"), (figures(4.0),), "here", "2026-02-01T00:00:00.000Z"),
    ]
    one, two, none = compared([row(threads=1), row(threads=2), replace(row(), figures=None)], subjects, kept)
    assert (one.ratio, one.verdict) == (0.5, "better")  # against what was measured last, with an older runtime
    assert (two.ratio, two.verdict) == (None, "new")
    assert none.verdict is None


def test_the_chosen_row_is_marked_with_the_reason(tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path / "parts"))
    (variant,) = bundle.manifest.variant
    ladder = Ladder("parts", "1.0.0", "generic", (Rung(variant, "cpu", 2, "chosen", "the fastest"),))
    one, two = with_choice([row(threads=1), row(threads=2, note="half disturbed")], ladder)
    assert not one.chosen
    assert two.chosen
    assert two.note == "half disturbed; the fastest"


def test_nothing_is_marked_when_nothing_can_run() -> None:
    assert with_choice([row()], Ladder("parts", "1.0.0", "generic", ())) == [row()]


def test_accuracy_is_told_where_the_bundle_gives_one(tmp_path: Path) -> None:
    folder = make_bundle(tmp_path / "parts")
    assert accuracy_words(read_bundle(folder), "int8") == ""
    file = folder / "model.toml"
    file.write_text(
        file.read_text("utf-8").replace(
            'precision = "int8"', 'precision = "int8"\naccuracy = { metric = "mAP50", on = "x", value = 0.8 }'
        ),
        "utf-8",
    )
    assert accuracy_words(read_bundle(folder), "int8") == "mAP50 0.800"


def page(*rows: Row) -> str:
    out = StringIO()
    console = Console(file=out, width=140, highlight=False)
    console.print(screen.table("parts 1.0.0", rows))
    console.print(screen.terminal_plot(rows))
    console.print(screen.notes(rows))
    return out.getvalue()


def test_the_table_shows_figures_and_the_choice_and_what_was_refused() -> None:
    chosen = replace(row(threads=2, told=figures(1.234, 5.678, threads=2)), chosen=True, note="the fastest")
    refused = Row("parts", "edgetpu", "tflite", "edgetpu", 0, "", None, note="refused: no edgetpu found")
    text = page(row(), chosen, refused)
    assert "1.23     5.68" in text
    assert "* chosen" in text
    assert "* int8 x2: the fastest" in text
    assert "edgetpu edgetpu: refused: no edgetpu found" in text
    assert "than before" not in text


def test_the_terminals_bars_are_as_long_as_the_times() -> None:
    text = page(row("short", told=figures(1.0, 1.0)), row("long", told=figures(4.0, 4.0)))
    short, long = (line.count("█") for line in text.splitlines() if "█" in line)
    assert (short, long) == (screen.PLOT_WIDTH // 4, screen.PLOT_WIDTH)


def test_a_comparison_has_a_column_of_its_own() -> None:
    worse = replace(row(), ratio=1.5, verdict="worse")
    text = page(worse, replace(row("new"), verdict="new"))
    assert "1.50 ▲ worse" in text
    assert "than before" in text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "before: temperature unknown, throttling unknown"),
        (
            {"hottest_c": 71.6, "headroom_c": 8.4, "throttled": False, "load_1m": 1.25},
            "before: 72 °C, 8 °C below its limit, not throttled, load 1.2",
        ),
        (
            {"hottest_c": 85.0, "throttled": True, "under_voltage": True},
            "before: 85 °C, throttled, supply voltage too low",
        ),
    ],
)
def test_heat_and_throttling_are_told_on_one_line(changes: dict[str, object], words: str) -> None:
    felt = dict.fromkeys(("hottest_c", "headroom_c", "throttled", "under_voltage", "load_1m")) | changes
    out = StringIO()
    Console(file=out, width=140, highlight=False).print(screen.felt_line("before", felt))
    assert out.getvalue().strip() == words


@pytest.mark.slow
def test_the_picture_shows_a_bar_for_each_row_that_was_measured(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    refused = Row("parts", "edgetpu", "tflite", "edgetpu", 0, "", None)
    screen.picture(tmp_path / "one.png", [row(), refused], "parts on a box")
    screen.picture(tmp_path / "three.png", [row(), row("b"), row("c")], "parts on a box")
    one, three = (cv2.imread(str(tmp_path / name)) for name in ("one.png", "three.png"))
    assert one.shape[1] == three.shape[1] == 1080
    assert three.shape[0] > one.shape[0]
    assert one.std() > 10  # not a white page
