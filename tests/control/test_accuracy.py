from __future__ import annotations

import pytest

from edged.control.accuracy import grades
from fakes.box import IMAGE, bundle, variant


def scored(name: str, value: float, *, metric: str = "mAP50", on: str = "holdout", **more: object) -> dict[str, object]:
    return variant(name, accuracy={"metric": metric, "value": value, "on": on}, **more)


def levels(*variants: dict[str, object]) -> dict[str, int]:
    return {name: grade.level for name, grade in grades(bundle(*variants)).items()}


def test_half_a_point_below_the_best_of_a_level_is_a_tie() -> None:
    found = levels(scored("a", 0.900), scored("b", 0.895), scored("c", 0.894), scored("d", 0.890), scored("e", 0.8))
    assert found == {"a": 0, "b": 0, "c": 1, "d": 1, "e": 2}


def test_per_cents_are_compared_as_fractions_are() -> None:
    assert levels(scored("a", 90.0), scored("b", 89.6), scored("c", 89.0)) == {"a": 0, "b": 0, "c": 1}


def test_of_an_error_the_smallest_is_the_best() -> None:
    assert levels(scored("a", 0.30, metric="MAE"), scored("b", 0.10, metric="MAE")) == {"a": 1, "b": 0}


def test_small_errors_are_compared_by_their_parts_and_not_by_half_a_point() -> None:
    found = levels(
        *(scored(name, value, metric="RMSE") for name, value in (("a", 0.0020), ("b", 0.0021), ("c", 0.004)))
    )
    assert found == {"a": 0, "b": 0, "c": 1}


@pytest.mark.parametrize("other", [{"metric": "accuracy"}, {"on": "the training set"}])
def test_only_the_figure_that_most_have_is_compared_and_others_stand_behind(other: dict[str, str]) -> None:
    found = levels(scored("a", 0.99, **other), scored("b", 0.5), scored("c", 0.6))  # type: ignore[arg-type] # texts
    assert found == {"a": 2, "b": 1, "c": 0}


def test_without_figures_precision_decides() -> None:
    names = {"int8": 3, "dynamic": 2, "fp16": 1, "fp32": 0}
    assert levels(*(variant(name, precision=name) for name in names)) == names


def test_without_figures_the_larger_network_is_the_better_one_whatever_its_precision() -> None:
    large = {**IMAGE, "width": 16}
    found = levels(variant("small", precision="fp32"), variant("large", precision="int8", input=large))
    assert found == {"small": 1, "large": 0}


def test_of_a_tie_the_place_tells_which_figure_is_better() -> None:
    found = grades(bundle(scored("a", 0.898), scored("b", 0.900)))
    assert (found["a"].level, found["b"].level) == (0, 0)
    assert found["b"].place < found["a"].place
