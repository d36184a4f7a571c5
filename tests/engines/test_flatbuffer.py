from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edged.domain.errors import BundleError
from edged.engines.flatbuffer import custom_operators, inspect, read_facts
from fakes.modelfile import Tensor, tflite_model, tflite_relu

if TYPE_CHECKING:
    from pathlib import Path

POST_PROCESS = tflite_model(
    [
        Tensor("raw", (1, 10, 4)),
        Tensor("a", (1, 10, 4)),
        Tensor("b", (1, 10)),
        Tensor("c", (1, 10)),
        Tensor("d", (1,)),
    ],
    inputs=(0,),
    outputs=(3, 1, 4, 2),
    operator_outputs=(1, 2, 3, 4),
    custom="TFLite_Detection_PostProcess",
)


def _written(folder: Path, content: bytes) -> Path:
    path = folder / "model.tflite"
    path.write_bytes(content)
    return path


def test_a_model_of_built_in_operators_needs_nothing(tmp_path: Path) -> None:
    assert custom_operators(_written(tmp_path, tflite_relu())) == ()


@pytest.mark.parametrize("is_variable", [False, True])
def test_a_tensor_that_outlives_a_call_is_told(tmp_path: Path, is_variable: bool) -> None:
    tensors = [Tensor("x", (1, 4)), Tensor("y", (1, 4)), Tensor("state", (1, 4), is_variable=is_variable)]
    content = tflite_model(tensors, inputs=(0,), outputs=(1,))

    assert inspect(_written(tmp_path, content)).remembers is is_variable


@pytest.mark.parametrize("name", ["edgetpu-custom-op", "ethos-u", "my-op"])
def test_a_custom_operator_is_named(tmp_path: Path, name: str) -> None:
    content = tflite_model([Tensor("x", (1, 4)), Tensor("y", (1, 4))], inputs=(0,), outputs=(1,), custom=name)
    assert custom_operators(_written(tmp_path, content)) == (name,)


def test_a_custom_operator_without_a_name_is_told(tmp_path: Path) -> None:
    content = tflite_model([Tensor("x", (1, 4)), Tensor("y", (1, 4))], inputs=(0,), outputs=(1,), custom="")
    assert custom_operators(_written(tmp_path, content)) == ("(unnamed)",)


def test_the_post_processing_operator_is_brought_and_says_what_its_outputs_mean(tmp_path: Path) -> None:
    facts = inspect(_written(tmp_path, POST_PROCESS))
    assert facts.foreign == ()
    assert facts.meanings == {"a": "boxes", "b": "classes", "c": "scores", "d": "count"}


def test_a_git_lfs_pointer_is_told_from_a_damaged_file(tmp_path: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n"
    with pytest.raises(BundleError, match=r"Git LFS pointer.*git lfs pull"):
        custom_operators(_written(tmp_path, pointer))


def test_a_file_without_the_identifier_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="no identifier TFL3"):
        custom_operators(_written(tmp_path, b"PK\x03\x04 not a model"))


def test_an_absent_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot read model file absent\.tflite: No such file"):
        custom_operators(tmp_path / "absent.tflite")


def test_every_truncation_is_read_or_refused() -> None:
    for size in range(8, len(POST_PROCESS)):
        _read_or_refused(POST_PROCESS[:size])


@given(changes=st.lists(st.tuples(st.integers(8, len(POST_PROCESS) - 1), st.integers(0, 255)), max_size=16))
def test_altered_bytes_are_read_or_refused(changes: list[tuple[int, int]]) -> None:
    content = bytearray(POST_PROCESS)
    for place, value in changes:
        content[place] = value
    _read_or_refused(bytes(content))


@given(tail=st.binary(max_size=256))
def test_garbage_behind_the_identifier_is_read_or_refused(tail: bytes) -> None:
    _read_or_refused(b"\x10\x00\x00\x00TFL3" + tail)


def _read_or_refused(content: bytes) -> None:
    """Any other exception than BundleError fails the test: what is damaged may still be readable where it is looked at."""
    with contextlib.suppress(BundleError):
        read_facts(content, "model.tflite")


def test_a_length_beyond_the_file_is_damage(tmp_path: Path) -> None:
    content = bytearray(POST_PROCESS)
    place = content.find(b"TFLite_Detection") - 4
    content[place : place + 4] = b"\xff\xff\xff\x7f"
    with pytest.raises(BundleError, match=f"damaged at byte {place}"):
        custom_operators(_written(tmp_path, bytes(content)))
