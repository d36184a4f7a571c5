"""When the next frame is due."""

from __future__ import annotations

import pytest

from edged.pipeline.cadence import Cadence


def after(*times_s: float) -> Cadence:
    cadence = Cadence()
    for time_s in times_s:
        cadence.came(time_s)
    return cadence


@pytest.mark.parametrize(
    ("now_s", "wait_s"),
    [(10.21, 0.0), (10.29, 0.0), (10.296, 0.01025), (10.302, 0.00425), (10.307, 0.0), (10.5, 0.0)],
    ids=["just after", "long before", "soon", "late", "too late", "it stopped"],
)
def test_a_frame_is_waited_for_around_its_time(now_s: float, wait_s: float) -> None:
    assert after(10.0, 10.1, 10.2).wait_s(now_s, 0.005) == pytest.approx(wait_s, abs=1e-6)


def test_a_long_run_waits_no_longer_than_its_share_of_the_interval() -> None:
    cadence = after(10.0, 10.1, 10.2)

    assert cadence.wait_s(10.287, 0.05) == 0.0
    assert cadence.wait_s(10.288, 0.05) > 0.0


@pytest.mark.parametrize("times_s", [(), (10.0,), (10.0, 10.1), (10.0, 10.1, 10.13), (10.0, 10.01, 10.1)])
def test_what_has_no_rhythm_is_not_expected(times_s: tuple[float, ...]) -> None:
    cadence = after(*times_s)

    assert all(cadence.wait_s(10.0 + step / 1000, 0.01) == 0.0 for step in range(400))


def test_a_small_jitter_is_a_rhythm() -> None:
    assert after(10.0, 10.1, 10.203).wait_s(10.303, 0.005) > 0.0
