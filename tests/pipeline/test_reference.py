from __future__ import annotations

import dataclasses
import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import BundleError
from edged.pipeline.bootstrap import Limits
from edged.pipeline.reference import MAX_BYTES, Feature, Reference, from_bytes, to_bytes, with_about

LIMITS = Limits(0.5, 0.2, 0.99)
LUMA = Feature(
    "input.luma", np.array([0.0, 0.5, 0.5, 0.0]), 100.0, 10.0, 60.0, 50, LIMITS,
    np.array([80.0, 100.0, 120.0]), quantiles=np.array([85.0, 93, 100, 107, 115]), profile=np.arange(24.0),
)  # fmt: skip
MIX = Feature("output.class", np.array([0.75, 0.25, 0.0]), 0.0, 1.0, 10.0, 60, LIMITS, labels=("car", "person"))
BOTH = Reference((LUMA, MIX), {"model": "gate 1.0.0"})


def test_a_reference_is_read_as_it_was_written() -> None:
    read = from_bytes(to_bytes(BOTH))
    assert to_bytes(read) == to_bytes(BOTH)
    assert (read.about, [one.name for one in read.features]) == (
        {"model": "gate 1.0.0"},
        ["input.luma", "output.class"],
    )
    assert read.features[1].labels == ("car", "person")


def test_bins_are_of_numbers_between_cuts_and_of_labels_with_one_for_all_others() -> None:
    assert [LUMA.bin_of(value) for value in (10.0, 90.0, 110.0, 500.0)] == [0, 1, 2, 3]
    assert [MIX.bin_of(label) for label in ("car", "person", "horse")] == [0, 1, 2]


def test_what_is_usual_lies_between_the_middles_of_hours_and_goes_round_midnight() -> None:
    usual = [LUMA.usual(hour * 3600.0) for hour in (0.5, 1.0, 12.5, 24.0)]
    assert usual == pytest.approx([0.0, 0.5, 12.0, 11.5])
    assert MIX.usual(0.0) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"shares": np.array([0.5, 0.5])},
        {"shares": np.array([-0.5, 0.5, 0.5, 0.5])},
        {"shares": np.array([0.5, 0.5, 0.5, 0.5])},
        {"cuts": np.array([100.0, 80.0, 120.0])},
        {"cuts": np.array([80.0, np.nan, 120.0])},
        {"scale": 0.0},
        {"interval_s": -1.0},
        {"mean": float("nan")},
        {"window": 0},
        {"quantiles": np.zeros(3)},
        {"profile": np.zeros(23)},
        {"limits": Limits(float("inf"), 0.1, 1.0)},
    ],
)
def test_a_feature_that_cannot_judge_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="do not fit together"):
        dataclasses.replace(LUMA, **change)  # type: ignore[arg-type] # that is the point


@pytest.mark.parametrize("features", [(), (LUMA, LUMA)])
def test_a_reference_of_nothing_or_of_the_same_twice_is_refused(features: tuple[Feature, ...]) -> None:
    with pytest.raises(ValueError, match="cannot use"):
        Reference(features)


@given(st.integers(0, 4000), st.binary(min_size=1, max_size=40))
def test_a_damaged_file_is_refused_or_still_a_whole_reference(at: int, garbage: bytes) -> None:
    whole = to_bytes(BOTH)
    damaged = whole[:at] + garbage + whole[at + len(garbage) :]
    with suppress(BundleError):
        assert 1 <= len(from_bytes(damaged).features) <= 2


@pytest.mark.parametrize(
    ("place", "value"), [(8, 1), (10, 8), (10, 12), (10, 99)], ids=["secret", "zip", "bzip", "odd"]
)
def test_a_file_whose_parts_are_said_to_be_other_than_they_are_is_refused(place: int, value: int) -> None:
    damaged = bytearray(to_bytes(BOTH))
    damaged[damaged.index(b"PK\x01\x02") + place] = value  # flags and method in the archive's list of its parts
    with pytest.raises(BundleError, match="cannot read the drift reference"):
        from_bytes(bytes(damaged))


@given(st.integers(0, 10_000))
def test_a_file_cut_short_is_refused(length: int) -> None:
    whole = to_bytes(BOTH)
    with pytest.raises(BundleError, match="cannot read the drift reference"):
        from_bytes(whole[: min(length, len(whole) - 1)])


def test_a_file_that_unpacks_to_too_much_or_is_of_another_form_is_refused() -> None:
    with pytest.raises(BundleError, match="bytes"):
        from_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(BundleError, match=r"edged\.drift/9"):
        from_bytes(_of_form("edged.drift/9"))


def _of_form(form: str) -> bytes:
    content = io.BytesIO()
    np.savez(content, about=np.array('{"form": "' + form + '"}'))
    return content.getvalue()


def test_more_can_be_told_about_it() -> None:
    assert with_about(BOTH, rows=7).about == {"model": "gate 1.0.0", "rows": 7}
