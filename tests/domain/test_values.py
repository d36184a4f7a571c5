from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edged.domain.bundle import Bundle, Golden, ImageInput, Manifest, OutputSpec, State
from edged.domain.errors import BundleError, ConfigError, EdgedError
from edged.domain.health import Grade, Reason, grade
from edged.domain.result import Latency, Result
from edged.domain.tensor import Quantization, TensorSpec
from fakes.box import accelerator, bundle, inventory, variant
from fakes.results import MODEL, anomaly, detections, stamp

NO_TIME = Latency(0, 0, 0, 0)


@given(scale=st.floats(1e-4, 10), zero_point=st.integers(-128, 255), value=st.integers(-128, 255))
def test_integers_become_the_real_numbers_that_scale_and_zero_point_say(
    scale: float, zero_point: int, value: int
) -> None:
    spec = TensorSpec("x", (1,), "int16", Quantization(scale, zero_point))
    real = spec.real(np.array([value], np.int16))
    assert real.dtype == np.float32
    assert real[0] == pytest.approx(scale * (value - zero_point), rel=1e-5, abs=1e-6)


def test_without_quantisation_numbers_stay_what_they_are() -> None:
    values = np.array([1.5], np.float32)
    assert TensorSpec("x", (1,), "float32").real(values) is values


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_that_maps_every_integer_to_one_number_is_refused(scale: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        Quantization(scale, 0)


@pytest.mark.parametrize(
    ("status", "output", "reason"),
    [("unknown", detections(), "x"), ("ok", None, ""), ("unknown", None, "")],
    ids=["unknown with an answer", "ok without one", "unknown without a reason"],
)
def test_a_result_that_hides_a_failure_cannot_exist(status: str, output: object, reason: str) -> None:
    with pytest.raises(ValueError, match="cannot build"):
        Result("gate", stamp(0), MODEL, status, NO_TIME, output, reason)  # type: ignore[arg-type] # that is the point


@pytest.mark.parametrize(("score", "is_anomaly"), [(1.0, False), (1.01, True)])
def test_an_anomaly_begins_above_its_threshold(score: float, is_anomaly: bool) -> None:
    assert anomaly(score).is_anomaly is is_anomaly


def test_an_error_says_the_next_step_behind_its_message() -> None:
    assert str(ConfigError("cannot read it", remedy="name another")) == "cannot read it; name another"
    assert str(EdgedError("cannot read it")) == "cannot read it"


def test_an_error_has_its_kinds_code_or_a_finer_one() -> None:
    assert (BundleError("x").code, BundleError("x", code="altered").code) == ("bundle", "altered")


def test_an_accelerator_is_usable_when_one_of_its_kind_is() -> None:
    box = inventory(accelerator("edgetpu", usable=False), accelerator("edgetpu"), accelerator("hailo", usable=False))
    assert [box.usable(kind) for kind in ("edgetpu", "hailo", "intel-npu")] == [True, False, False]


@pytest.mark.parametrize(("reasons", "working", "expected"), [(0, 0, "ok"), (1, 1, "degraded"), (1, 0, "failed")])
def test_a_box_has_failed_when_something_is_wrong_and_nothing_works(
    reasons: int, working: int, expected: Grade
) -> None:
    assert grade([Reason("x", "y", "z", 0)] * reasons, working) == expected


@pytest.mark.parametrize("path", ["/etc/passwd", "../up.tflite", "a/../../b", "a\\b", ""])
def test_a_bundle_names_only_files_inside_itself(path: str) -> None:
    with pytest.raises(ValidationError, match="inside the bundle"):
        Golden(samples=path)


def test_two_variants_of_one_name_cannot_be_told_apart() -> None:
    with pytest.raises(ValidationError, match="'a' stands twice"):
        bundle(variant("a"), variant("a"))


@pytest.mark.parametrize(
    ("more", "match"),
    [
        ({"mean": (1.0, 2.0)}, "mean of 2 numbers"),
        ({"std": (0.0,)}, "std 0"),
        ({"color": "grey", "std": (1, 1, 1)}, "std of 3"),
    ],
)
def test_a_normalisation_that_cannot_be_computed_is_refused(more: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        ImageInput.model_validate({"kind": "image", "width": 8, "height": 8, **more})


def manifest(version: str) -> Manifest:
    return bundle(variant("a")).manifest.model_copy(update={"version": version})


def test_versions_are_ordered_as_numbers_and_a_pre_release_comes_before_its_release() -> None:
    versions = ["1.10.0", "1.9.0", "1.10.0-rc.1", "2.0.0", "1.2.3"]
    ordered = sorted((manifest(version) for version in versions), key=Manifest.version_key)
    assert [one.version for one in ordered] == ["1.2.3", "1.9.0", "1.10.0-rc.1", "1.10.0", "2.0.0"]


def test_a_variants_own_input_output_and_golden_samples_stand_over_the_bundles() -> None:
    own = variant(
        "own",
        input={"kind": "image", "width": 4, "height": 4},
        output={"decoder": "ssd"},
        golden={"samples": "own-golden"},
    )
    one = bundle(variant("plain"), own)
    plain, special = one.manifest.variant
    assert (one.input_of(plain), one.input_of(special)) == (
        one.manifest.input,
        ImageInput(kind="image", width=4, height=4),
    )
    assert (one.output_of(plain).decoder, one.output_of(special)) == ("yolox", OutputSpec(decoder="ssd"))
    assert (one.golden_of(plain), one.golden_of(special)) == (None, Golden(samples="own-golden"))
    assert Bundle(one.manifest, Path("/b")).path_of(plain) == Path("/b/plain.tflite")


def test_a_variants_own_states_stand_over_the_bundles() -> None:
    shared, own = State(output="h", input="h_in"), State(output="h:0", input="h_in:0")
    variants = [variant("a"), variant("b", state=[own.model_dump()]), variant("c", state=[])]
    manifest = bundle(*variants).manifest.model_copy(update={"state": (shared,)})
    whole = Bundle(manifest, Path())

    assert [whole.state_of(each) for each in manifest.variant] == [(shared,), (own,), ()]
