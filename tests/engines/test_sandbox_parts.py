"""What the sandbox is made of, without a child."""

from __future__ import annotations

import ast
import json
import mmap
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edged.domain.errors import DeviceError, EngineLostError
from edged.domain.tensor import FREE, TensorSpec
from edged.engines import sandbox_child, sandbox_runtimes
from edged.engines.sandbox_deadline import Patience, deadline_s, slowest_s
from edged.engines.sandbox_tensors import LEAST_FREE_BYTES, MAX_BYTES, Plan, Tensors, plan, reserve

IN, OUT = TensorSpec("x", (1, 4), "float32"), TensorSpec("y", (1, 2), "uint8")
OPEN = TensorSpec("x", (FREE, 4), "float32")


@pytest.fixture
def memory() -> Iterator[int]:
    given = reserve()
    yield given
    os.close(given)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the system refuse larger files, as a full memory does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("p99_s", "expected_s"), [(0.0, 1.0), (0.01, 1.0), (0.2, 2.0), (100.0, 30.0)], ids=["no", "fast", "slow", "wild"]
)
def test_a_deadline_is_ten_times_the_p99_within_a_floor_and_a_limit(p99_s: float, expected_s: float) -> None:
    assert deadline_s(p99_s, Patience()) == expected_s


def test_a_warm_ups_slowest_call_stands_for_its_p99() -> None:
    assert slowest_s((0.1, 0.3, 0.2)) == 0.3
    assert slowest_s(()) == 0.0


def test_tensors_lie_behind_each_other_on_cache_lines() -> None:
    laid_out = plan((IN, IN), (OUT,), [(1, 2)])
    assert [place.at for place in (*laid_out.inputs, *laid_out.outputs)] == [0, 64, 128]
    assert laid_out.size == 192


def test_an_open_dimension_gets_more_room_than_one_takes() -> None:
    (place,) = plan((OPEN,), (), []).inputs
    assert place.room == LEAST_FREE_BYTES
    assert place.shape_at == 0


def test_an_output_that_came_out_otherwise_than_the_file_says_counts_as_open() -> None:
    (place,) = plan((), (OUT,), [(7, 2, 2)]).outputs
    assert place.shape_at is not None
    assert place.rank == 3


def test_memory_that_the_system_does_not_give_is_refused_with_the_size_and_no_bus_error(memory: int) -> None:
    large = TensorSpec("x", (1, 1024, 1024, 3), "uint8")
    with files_of_at_most(65_536), pytest.raises(DeviceError, match=r"3\.0 MiB and the system gives none") as caught:
        Tensors(memory, plan((large,), (), []), "large.tflite")
    assert caught.value.code == "memory-short"


def test_a_file_that_asks_for_all_memory_is_refused_before_any_is_taken(memory: int) -> None:
    with pytest.raises(DeviceError, match="edged shares at most 256 MiB a model"):
        Tensors(memory, Plan((), (), MAX_BYTES + 1), "wild.tflite")
    assert os.fstat(memory).st_size == 0


def test_nobody_can_take_the_memory_away_from_under_the_tensors(memory: int) -> None:
    Tensors(memory, plan((IN,), (OUT,), [(1, 2)]), "m")
    with pytest.raises(PermissionError):
        os.ftruncate(memory, 0)


def test_what_is_put_lies_where_the_plan_says(memory: int) -> None:
    laid_out = plan((IN,), (OUT,), [(1, 2)])
    tensors = Tensors(memory, laid_out, "m")
    tensors.put([np.array([[1, 2, 3, 4]], np.float32)])
    child = mmap.mmap(memory, laid_out.size)
    assert np.ndarray((4,), np.float32, child).tolist() == [1, 2, 3, 4]
    child[laid_out.outputs[0].at : laid_out.outputs[0].at + 2] = b"\x07\x09"
    assert tensors.take()[0].tolist() == [[7, 9]]


@pytest.mark.parametrize("shape", [(1, -5), (1 << 40, 1 << 40)], ids=["negative", "huge"])
def test_a_shape_that_does_not_fit_its_room_is_the_childs_fault(memory: int, shape: tuple[int, int]) -> None:
    laid_out = plan((), (TensorSpec("y", (1, FREE), "uint8"),), [(1, 2)])
    tensors = Tensors(memory, laid_out, "m")
    np.ndarray((2,), np.int64, mmap.mmap(memory, laid_out.size))[:] = shape
    with pytest.raises(EngineLostError, match="its child gave the shape"):
        tensors.take()


@pytest.mark.parametrize(
    ("spec", "came_out", "answer"),
    [
        (OUT, (1, 2), np.zeros((1, 1), np.uint8)),
        (OUT, (1, 2), np.zeros(2, np.uint8)),
        (TensorSpec("y", (FREE, 2), "uint8"), (1, 2), np.zeros((1, 1, 1, 2), np.uint8)),
    ],
    ids=["smaller", "flat", "of more dimensions"],
)
def test_an_answer_of_another_shape_than_the_first_is_a_failure_and_no_answer_of_old(
    memory: int, spec: TensorSpec, came_out: tuple[int, ...], answer: np.ndarray
) -> None:
    laid_out = plan((), (spec,), [came_out])
    Tensors(memory, laid_out, "m")
    views = sandbox_child.Views(memory, json.loads(json.dumps(laid_out.told())), sandbox_runtimes.FailedError)
    views.put([np.full(came_out, 7, np.uint8)])

    with pytest.raises(sandbox_runtimes.FailedError, match="expected"):
        views.put([answer])


@pytest.mark.parametrize("module", [sandbox_child, sandbox_runtimes], ids=["child", "runtimes"])
def test_the_childs_files_are_python_3_8_with_numpy_and_nothing_of_edged(module: ModuleType) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text("utf-8"), feature_version=(3, 8))
    body = [one for one in tree.body if not (isinstance(one, ast.If) and ast.unparse(one.test) == "TYPE_CHECKING")]
    nodes = [node for one in body for node in ast.walk(one)]
    imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    assert imported
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names | {"numpy"}


def test_the_child_imports_nothing_that_reads_installed_packages() -> None:
    ask = f"import sys; sys.path.append({str(Path(sandbox_runtimes.__file__).parent)!r}); import sandbox_runtimes as one; "
    ask += "one.Tflite(); print(sorted(sys.modules.keys() & {'importlib.metadata', 'email'}))"
    # As the parent starts it: isolated, with what that can import at the end.
    said = subprocess.run([sys.executable, "-I", "-c", ask], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"
