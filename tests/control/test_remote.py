from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from edged.config.remote import Remote
from edged.control.fallback import way_of, without_held
from edged.control.remote import with_remote
from edged.domain.bundle import Bundle
from edged.domain.variant import Ladder, Rung
from edged.update.manifest import read_bundle
from fakes.twovariants import FAST, SLOW, two_variants

HELD = "no answer within 500 ms; tried again in 2 s"
SERVER = Remote(url="http://triton.plant.local:8000")


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    return read_bundle(two_variants(tmp_path / "level"))


@pytest.fixture
def whole(bundle: Bundle) -> Ladder:
    fast, slow = bundle.manifest.variant
    rungs = (Rung(slow, "cpu", 2, "chosen", "is the best"), Rung(fast, "cpu", 1, "possible", "comes next"))
    return Ladder("level", "1.0.0", "plain", rungs, unmet="p95 of 90 ms, expected 80")


def test_the_server_stands_above_the_boxs_own_rungs_which_stay_as_they_are(bundle: Bundle, whole: Ladder) -> None:
    found = with_remote(whole, bundle, SERVER)

    first, *others = found.runnable
    assert (first.accelerator, first.verdict, first.remote, first.figures) == ("remote", "chosen", "level", None)
    assert first.reason == "[remote.level]: triton.plant.local:8000"  # a query may carry a token
    assert others == [replace(whole.rungs[0], verdict="possible"), whole.rungs[1]]
    assert found.unmet == ""


@pytest.mark.parametrize(("asked", "variant"), [(None, FAST), (SLOW, SLOW)])
def test_it_stands_for_the_first_float_variant_or_the_one_that_is_named(
    bundle: Bundle, whole: Ladder, asked: str | None, variant: str
) -> None:
    settings = SERVER.model_copy(update={"variant": asked})

    assert with_remote(whole, bundle, settings).rungs[0].variant.id == variant


def test_a_variant_that_there_is_not_is_refused_with_those_that_there_are(bundle: Bundle, whole: Ladder) -> None:
    found = with_remote(whole, bundle, SERVER.model_copy(update={"variant": "huge"}))

    assert found.runnable == whole.runnable
    assert found.rungs[-1].reason == f"[remote.level] names variant 'huge', expected one of {FAST}, {SLOW}"


def test_while_the_server_is_left_alone_the_best_of_the_box_runs(bundle: Bundle, whole: Ladder) -> None:
    found = with_remote(whole, bundle, SERVER)

    left = without_held(found, {way_of(found.rungs[0]): HELD})

    assert [(rung.accelerator, rung.verdict) for rung in left.rungs] == [
        ("cpu", "chosen"),
        ("cpu", "possible"),
        ("remote", "refused"),
    ]
    assert left.held == f"{FAST} on remote: {HELD}"


def test_a_server_that_speaks_no_http_is_a_fault() -> None:
    with pytest.raises(ValidationError, match="expected an http or https URL"):
        Remote(url="grpc://triton:8001")
