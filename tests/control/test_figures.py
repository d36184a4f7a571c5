from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.control.figures import SCHEMA, figures_of, read_measured, to_document
from edged.domain.figures import Figures, Measured, Subject
from fakes.box import bundle, variant

BUNDLE = bundle(variant("int8", sha256="a" * 64), variant("fp32", sha256="b" * 64, accelerators=["cpu", "cuda"]))
ROW = Figures(2, 100, 4.0, 5.0, 7.5, 20.0, 33.0)
MS = st.floats(0, 1e6, allow_nan=False)


def measured(
    *rows: Figures,
    sha256: str = "a" * 64,
    version: str = "2.3.0",
    accelerator: str = "cpu",
    profile: str = "a-profile",
    origin: str = "here",
    at: str = "2026-11-21T10:00:00Z",
) -> Measured:
    subject = Subject(sha256, "tflite", version, accelerator, profile)
    return Measured(subject, rows or (ROW,), origin, at)


@given(rows=st.lists(st.tuples(st.integers(1, 64), st.integers(1, 10_000), MS, MS, MS, MS, MS), max_size=4))
def test_what_is_written_is_read_again(rows: list[tuple[Any, ...]]) -> None:
    whole = tuple(
        measured(Figures(threads, runs, min(p50, p99), max(p50, p99), cpu, load, memory))
        for threads, runs, p50, p99, cpu, load, memory in rows
    )
    assert read_measured(json.loads(json.dumps(to_document(whole)))) == whole


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ([], "cannot read figures of schema None, expected 'edged.benchmarks/1'"),
        ({"schema": "edged.benchmarks/2"}, "cannot read figures of schema 'edged.benchmarks/2', expected"),
        ({"schema": SCHEMA}, "cannot read figures: measured: "),
        ({"schema": SCHEMA, "measured": [{}]}, "cannot read figures: measured.0.subject: Field required"),
        (
            to_document([measured()]) | {"measured": [{**to_document([measured()])["measured"][0], "figures": [{}]}]},
            "cannot read figures: measured.0.figures.0.threads: Field required",
        ),
    ],
)
def test_a_document_of_another_form_is_refused_with_the_place(document: Any, fault: str) -> None:
    with pytest.raises(ValueError, match="cannot read figures") as caught:
        read_measured(document)
    assert str(caught.value).startswith(fault)


def test_figures_that_cannot_have_been_measured_are_refused() -> None:
    document = to_document([measured()])
    document["measured"][0]["figures"][0]["p50_ms"] = 50.0
    with pytest.raises(ValueError, match=r"measured\.0\.figures\.0: .*p50_ms at most p99_ms"):
        read_measured(document)


@pytest.mark.parametrize(("threads", "runs"), [(0, 100), (1, 0)])
def test_figures_of_nothing_are_refused(threads: int, runs: int) -> None:
    with pytest.raises(ValueError, match=f"cannot keep figures of {threads} threads and {runs} runs"):
        Figures(threads, runs, 1.0, 2.0, 1.0, 5.0, 20.0)


def test_figures_are_found_by_the_files_digest_and_the_accelerator() -> None:
    known = [measured(), measured(sha256="b" * 64, accelerator="cuda"), measured(sha256="c" * 64)]
    assert figures_of(known, BUNDLE, "a-profile") == {("int8", "cpu"): (ROW,), ("fp32", "cuda"): (ROW,)}


def test_figures_of_another_kind_of_box_or_of_another_version_do_not_count() -> None:
    known = [measured(profile="another"), measured(version="2.4.0")]
    assert figures_of(known, BUNDLE, "a-profile", {"tflite": "2.3.0"}) == {}


@pytest.mark.parametrize("versions", [None, {}, {"onnx": "1.0"}, {"tflite": "2.3.0"}])
def test_of_a_runtime_whose_version_is_unknown_any_version_counts(versions: dict[str, str] | None) -> None:
    assert figures_of([measured()], BUNDLE, "a-profile", versions) == {("int8", "cpu"): (ROW,)}


def test_this_boxs_own_figures_stand_over_a_bundles_and_new_ones_over_old_ones() -> None:
    one, two = Figures(1, 9, 1.0, 1.0, 1.0, 1.0, 1.0), Figures(1, 9, 2.0, 2.0, 2.0, 2.0, 2.0)
    travelled = measured(Figures(1, 9, 3.0, 3.0, 3.0, 3.0, 3.0), ROW, origin="bundle", at="2026-12-01T00:00:00Z")
    known = [measured(two, at="2026-11-22T00:00:00Z"), travelled, measured(one)]
    assert figures_of(known, BUNDLE, "a-profile") == {("int8", "cpu"): (two, ROW)}
