from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.control.pace import LEAST_SHARE, MOST_SHARE, REMEMBERED_FRAMES, Evidence, pause_s, share

QUIET = (0, 500, 450, 45, 5)
"""A thousand frames; the 99th percentile lies in the fourth bucket, and 0.5 % beyond it."""


def test_where_nothing_runs_nothing_is_disturbed() -> None:
    assert share({}) == MOST_SHARE


@pytest.mark.parametrize("quiet", [(), (100, 99)])
def test_without_a_known_percentile_so_little_is_measured_that_it_cannot_be_felt(quiet: tuple[int, ...]) -> None:
    assert share({"a": Evidence(quiet, (0, 50))}) == LEAST_SHARE


def test_without_evidence_it_begins_with_the_least() -> None:
    assert share({"a": Evidence(QUIET)}) == LEAST_SHARE


def test_frames_that_are_unharmed_let_it_grow() -> None:
    few, many = (share({"a": Evidence(QUIET, (0, count))}) for count in (100, 2000))
    assert LEAST_SHARE < few < many == MOST_SHARE


def test_frames_that_suffer_bring_it_down_again() -> None:
    unharmed = Evidence(QUIET, (0, 200))
    suffering = unharmed.with_frames((0, 0, 0, 0, 0, 50), busy=True)
    assert share({"a": suffering}) < share({"a": unharmed})
    assert share({"a": Evidence(QUIET, (0, 0, 0, 0, 0, 200))}) == LEAST_SHARE


def test_the_most_sensitive_pipeline_decides() -> None:
    calm, sensitive = Evidence(QUIET, (0, 2000)), Evidence(QUIET, (0, 0, 0, 0, 2000))
    assert share({"a": calm, "b": sensitive}) == share({"b": sensitive}) == LEAST_SHARE


def test_old_frames_count_less_and_less() -> None:
    old = Evidence(busy=(0, REMEMBERED_FRAMES - 1))
    assert old.with_frames((0, 0, 2), busy=True) == Evidence(busy=(0, REMEMBERED_FRAMES // 2 - 1, 1))


def test_quiet_and_busy_frames_are_counted_apart() -> None:
    counted = Evidence().with_frames((1, 2), busy=False).with_frames((0, 0, 3), busy=True)
    assert counted == Evidence((1, 2), (0, 0, 3))


def test_the_pause_makes_the_burst_that_share_of_the_time() -> None:
    assert pause_s(0.1, 0.25) == pytest.approx(0.3)
    assert pause_s(0.1, LEAST_SHARE) == pytest.approx(19.9)


@given(slow=st.floats(0, 1), factor=st.floats(1, 20), frames=st.integers(0, 3000), seed=st.integers(0, 2**32 - 1))
def test_the_99th_percentile_stays_within_a_bucket_of_the_quiet_one(
    slow: float, factor: float, frames: int, seed: int
) -> None:
    """A measurement slows a part ``slow`` of the frames by ``factor``; the promise holds for whatever share is then given."""
    noise = np.random.default_rng(seed)
    edges = 1.1 ** np.arange(60)
    calm = np.exp(noise.normal(1.0, 0.2, 20_000))
    hurt = np.where(noise.random(calm.size) < slow, calm * factor, calm)
    evidence = Evidence(_counts(calm, edges), _counts(hurt[:frames], edges))
    spent = share({"a": evidence})
    mixed = np.where(noise.random(calm.size) < spent, hurt, calm)
    assert np.quantile(mixed, 0.99) <= np.quantile(calm, 0.99) * 1.1 * 1.05  # a bucket, and the noise of 200 frames


def _counts(times: np.ndarray, edges: np.ndarray) -> tuple[int, ...]:
    return tuple(int(count) for count in np.bincount(np.searchsorted(edges, times), minlength=len(edges) + 1))
