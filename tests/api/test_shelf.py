"""What is loaded, and what may be asked for."""

from __future__ import annotations

import threading

import pytest

from edged.api.refusal import RefusedError
from edged.domain.errors import BudgetError, BundleError
from fakes.serving import Box, FakeBrought, box


@pytest.fixture
def made() -> Box:
    return box(FakeBrought("orange"), FakeBrought("apple"))


def states(made: Box) -> dict[str, str]:
    return {entry.name: entry.state for entry in made.handlers.shelf.index()}


def test_a_model_is_unavailable_until_it_is_loaded_and_after_it_was_unloaded(made: Box) -> None:
    assert states(made) == {"apple": "UNAVAILABLE", "orange": "UNAVAILABLE"}
    made.handlers.load("apple")
    assert states(made) == {"apple": "READY", "orange": "UNAVAILABLE"}
    assert made.handlers.index(ready_only=True) == [
        {"name": "apple", "version": "1.0.0", "state": "READY", "reason": ""}
    ]
    made.handlers.unload("apple")
    assert states(made) == {"apple": "UNAVAILABLE", "orange": "UNAVAILABLE"}


def test_a_model_that_there_is_not_is_not_found(made: Box) -> None:
    for asks in (made.handlers.model, made.handlers.load, made.handlers.unload, made.handlers.is_model_ready):
        with pytest.raises(RefusedError, match="there is no bundle of this name") as caught:
            asks("pear")
        assert caught.value.kind == "not-found"


def test_a_version_that_does_not_run_is_not_found(made: Box) -> None:
    made.handlers.load("apple")

    assert made.handlers.model("apple", "1.0.0")["versions"] == ["1.0.0"]
    with pytest.raises(RefusedError, match=r"it runs 1\.0\.0") as caught:
        made.handlers.model("apple", "2.0.0")
    assert caught.value.kind == "not-found"


def test_a_model_that_is_not_loaded_is_unready(made: Box) -> None:
    with pytest.raises(RefusedError, match="it is not loaded") as caught:
        made.handlers.model("apple")

    assert caught.value.kind == "unready"
    assert not made.handlers.is_model_ready("apple")


def test_what_a_pipeline_runs_is_ready_and_brought_in_by_its_first_request(made: Box) -> None:
    made.supplier.piped.add("apple")

    assert not made.handlers.is_at_hand("apple")
    assert made.handlers.is_at_hand("orange")
    assert made.handlers.is_model_ready("apple")
    assert states(made)["apple"] == "READY"
    assert made.supplier.brought == []
    made.handlers.wake("apple")
    assert made.handlers.is_at_hand("apple")
    assert len(made.supplier.brought) == 1
    made.handlers.shelf.close()


def test_several_who_ask_first_bring_it_in_once(made: Box) -> None:
    made.supplier.piped.add("apple")
    threads = [threading.Thread(target=made.handlers.wake, args=("apple",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)

    assert len(made.supplier.brought) == 1
    made.handlers.shelf.close()


def test_a_newer_one_takes_the_place_of_the_one_that_runs() -> None:
    versions = iter(["1.0.0", "2.0.0"])
    made = box(make={"apple": lambda: FakeBrought("apple", next(versions))})

    made.handlers.load("apple")
    made.handlers.load("apple")

    old, new = made.supplier.brought
    assert (old.closed, old.open_now, new.closed) == (True, 0, False)
    assert made.handlers.model("apple")["versions"] == ["2.0.0"]
    made.handlers.shelf.close()


def test_a_newer_one_that_cannot_be_had_leaves_the_one_that_runs() -> None:
    made = box(FakeBrought("apple")).loaded("apple")

    def refuses() -> FakeBrought:
        raise BudgetError("cannot run in the memory that is left")

    made.supplier.make = {"apple": refuses}
    with pytest.raises(RefusedError) as caught:
        made.handlers.load("apple")

    assert caught.value.kind == "budget"
    assert made.handlers.is_model_ready("apple")
    made.handlers.shelf.close()


def test_the_index_says_why_a_model_could_not_be_loaded() -> None:
    def refuses() -> FakeBrought:
        raise BundleError("it does not open")

    made = box(make={"apple": refuses})
    with pytest.raises(RefusedError):
        made.handlers.load("apple")

    assert made.handlers.index() == [
        {"name": "apple", "version": "1.0.0", "state": "UNAVAILABLE", "reason": "it does not open"}
    ]


def test_loading_with_parameters_is_refused(made: Box) -> None:
    with pytest.raises(RefusedError, match="with parameters config") as caught:
        made.handlers.load("apple", {"config": "{}"})

    assert caught.value.kind == "unsupported"


def test_unloading_what_is_not_loaded_is_no_fault(made: Box) -> None:
    made.handlers.unload("apple")

    assert repr(made.handlers.shelf) == "<Shelf empty>"
