from __future__ import annotations

import pytest

from edged.sources.quality import LineQuality, Verdict

NOISE = b"\xfe\x80\xf8" * 5
TEXT = b"temperature=21.5"


def heard(quality: LineQuality, seconds: float, *, good: int = 0, bad: bytes = b"", every_s: float = 0.05) -> Verdict:
    """Let so many frames come, and give the verdict at the end."""
    for step in range(int(seconds / every_s)):
        now_s = step * every_s
        if good:
            quality.good(good, now_s)
        if bad:
            quality.bad(bad, now_s)
    return quality.verdict(seconds)


def line(*, is_text: bool = True, budget_bytes: int = 65_536) -> LineQuality:
    return LineQuality(is_text=is_text, budget_bytes=budget_bytes)


@pytest.mark.parametrize(
    ("bad", "is_text", "verdict"),
    [
        (NOISE, True, "wrong-baud"),
        (NOISE, False, "wrong-baud"),
        (TEXT, True, "wrong-format"),
        (TEXT, False, "wrong-baud"),
    ],
)
def test_errors_that_prevail_for_five_seconds_tell_their_cause(bad: bytes, is_text: bool, verdict: Verdict) -> None:
    assert heard(line(is_text=is_text), 6, bad=bad) == verdict


def test_errors_of_four_seconds_are_noise() -> None:
    assert heard(line(), 4, bad=NOISE) == "fine"


def test_errors_that_are_fewer_than_the_good_bytes_are_noise() -> None:
    assert heard(line(), 20, good=16, bad=NOISE) == "fine"


def test_a_quiet_line_is_fine() -> None:
    assert line().verdict(1000.0) == "fine"
    assert line().error_share == 0.0


def test_a_sensor_that_says_little_may_have_a_bad_line() -> None:
    quality = line()
    for step in range(20):
        quality.good(15, step * 10.0)
    quality.bad(NOISE, 200.0)

    assert quality.verdict(200.0) == "fine"


def test_a_sensor_that_says_little_is_judged_by_its_last_lines() -> None:
    assert heard(line(), 200, bad=NOISE, every_s=10.0) == "wrong-baud"


def test_old_errors_are_forgotten() -> None:
    quality = line()
    heard(quality, 10, bad=NOISE)
    for step in range(200):
        quality.good(15, 10 + step * 0.05)

    assert quality.verdict(20.0) == "fine"
    assert quality.error_share == 0.0


@pytest.mark.parametrize(("garbage", "verdict"), [(5000, "garbage"), (TEXT * 300, "wrong-format")])
def test_garbage_beyond_its_budget_is_not_borne_for_five_seconds(garbage: bytes | int, verdict: Verdict) -> None:
    quality = line(budget_bytes=4096)
    quality.bad(garbage, 0.0)

    assert quality.verdict(0.0) == verdict


def test_a_good_frame_fills_the_budget_again() -> None:
    quality = line(budget_bytes=4096)
    quality.bad(4000, 0.0)
    quality.good(10, 0.0)
    quality.bad(4000, 0.0)

    assert quality.verdict(0.0) == "fine"
    assert repr(quality) == "<LineQuality 100% errors>"
