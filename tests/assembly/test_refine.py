from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.box import survey
from edged.assembly.models import Opened, open_best
from edged.assembly.refine import Followed, FurtherModel, refinements
from edged.config.schema import Pipeline
from edged.config.share import shipped
from edged.domain.errors import BundleError, EngineLostError
from edged.domain.frame import Frame
from edged.domain.result import Classes, Detections
from edged.update.manifest import read_bundle
from fakes.results import detections, stamp

FRAME = Frame(np.zeros((144, 256, 3), np.uint8), stamp(1.0))


def pipeline(**more: object) -> Pipeline:
    return Pipeline.model_validate({"name": "people", "source": "dock", "model": "parts", **more})


def open_parts() -> Opened:
    return open_best(read_bundle(shipped("models") / "parts"), survey(Path("/"), "auto", []))


@pytest.fixture
def lost() -> list[Opened]:
    return []


@pytest.fixture
def look(lost: list[Opened]) -> Iterator[FurtherModel]:
    settings = pipeline(then=[{"model": "parts"}])
    (made,) = refinements(settings, Followed(), opener([]), lost.append)  # type: ignore[arg-type] # a closure
    assert isinstance(made, FurtherModel)
    yield made
    made.close()


def opener(opened: list[Opened], refuse: str = "") -> object:
    def open_model(name: str) -> Opened:
        if name == refuse:
            raise BundleError("cannot load it")
        one = open_parts()
        opened.append(one)
        return one

    return open_model


def test_a_plain_pipeline_has_none() -> None:
    assert refinements(pipeline(), Followed(), opener([])) == ()  # type: ignore[arg-type] # a closure


def test_objects_are_numbered_before_further_models_look_at_them() -> None:
    opened: list[Opened] = []
    settings = pipeline(track=True, then=[{"model": "parts", "on": {"label": "cat"}, "at_most": 1}])
    follow, look = refinements(settings, Followed(), opener(opened))  # type: ignore[arg-type] # a closure
    assert isinstance(follow, Followed)
    seen = look(detections("cat", "dog"), FRAME)
    assert isinstance(seen, Detections)
    assert [[further.model for further in item.then] for item in seen.items] == [["parts"], []]
    assert not isinstance(seen.items[0].then[0].output, Classes)
    follow.close()
    look.close()


def test_whose_engine_was_lost_is_told(look: FurtherModel, lost: list[Opened]) -> None:
    was = look.opened
    was.model.engine.close()  # as good as lost
    with pytest.raises(EngineLostError):
        look(detections("cat"), FRAME)
    assert lost == [was]


def test_another_rung_looks_from_the_next_frame_on_and_the_old_one_is_freed(
    look: FurtherModel, lost: list[Opened]
) -> None:
    old, new = look.opened, open_parts()
    look.swap(new)
    assert not repr(old.model.engine).endswith("closed>")

    seen = look(detections("cat"), FRAME)

    assert isinstance(seen, Detections)
    assert seen.items[0].then
    assert look.opened is new
    assert repr(old.model.engine).endswith("closed>")
    assert lost == []


def test_what_was_to_follow_is_freed_with_the_pipeline(look: FurtherModel) -> None:
    first, second, late = open_parts(), open_parts(), open_parts()
    look.swap(first)
    look.swap(second)
    look.close()
    look.swap(late)
    assert [repr(one.model.engine)[-7:] for one in (look.opened, first, second, late)] == ["closed>"] * 4


def test_a_further_model_that_does_not_open_frees_those_before_it() -> None:
    opened: list[Opened] = []
    settings = pipeline(then=[{"model": "parts"}, {"model": "helmet"}])
    with pytest.raises(BundleError):
        refinements(settings, Followed(), opener(opened, refuse="helmet"))  # type: ignore[arg-type] # a closure
    assert "closed" in repr(opened[0].model.engine)
