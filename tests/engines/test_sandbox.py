"""Engines in child processes: what they do, and what becomes of the parent when they hang, crash or are not what they should be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from edged.domain.errors import BundleError, DeadlineError, DeviceError, EngineLostError
from edged.engines import onnx, sandbox
from edged.engines.providers import Setting, providers
from edged.engines.sandbox import Home, Order, SandboxEngine
from edged.engines.sandbox_deadline import Patience
from fakes.hanging import hanging_onnx
from fakes.modelfile import Tensor, onnx_model, tflite_model, tflite_relu
from fakes.waiting import until

pytestmark = pytest.mark.slow

QUICK = Patience(factor=1.0, floor_s=0.3, limit_s=0.3)
X = np.array([[-1.0, 2.0, -3.0, 4.0]], np.float32)


@contextmanager
def opened(content: bytes, folder: Path, kind: str = "tflite", home: Home | None = None) -> Iterator[SandboxEngine]:
    file = folder / f"model.{kind}"
    file.write_bytes(content)
    engine = sandbox.open_engine(Order(file, "onnx" if kind == "onnx" else "tflite"), home)
    try:
        yield engine
    finally:
        engine.close()


def test_a_child_is_what_it_says_it_is(tmp_path: Path) -> None:
    with opened(tflite_relu(), tmp_path) as engine:
        assert engine.hello.protocol == 2
        assert engine.hello.python == sys.version.split()[0]
        assert engine.hello.numpy == np.__version__
        assert engine.runtime in {"litert", "tflite-runtime"}
        assert engine.pid != os.getpid()


def test_an_open_batch_goes_through_with_the_shape_of_each_call(tmp_path: Path) -> None:
    with opened(onnx_model(shape=("batch", 4)), tmp_path, "onnx") as engine:
        direct = onnx.open_engine(tmp_path / "model.onnx", threads=1)
        assert engine.inputs == direct.inputs
        for rows in (1, 3, 2):
            given = np.repeat(X, rows, axis=0)
            assert engine.infer([given])[0].tolist() == direct.infer([given])[0].tolist()


def test_more_than_an_open_dimension_has_room_for_is_refused_and_the_child_serves_on(tmp_path: Path) -> None:
    with opened(onnx_model(shape=("batch", 4)), tmp_path, "onnx") as engine:
        with pytest.raises(EngineLostError, match=r"expected \(-1, 4\) float32 of at most 65536 bytes"):
            engine.infer([np.zeros((100_000, 4), np.float32)])
        assert engine.infer([X])[0].tolist() == [[0, 2, 0, 4]]


def test_a_call_that_hangs_in_native_code_is_ended_at_its_deadline(tmp_path: Path) -> None:
    with opened(hanging_onnx((1, 4)), tmp_path, "onnx", Home(patience=QUICK)) as engine:
        child = engine.pid
        began_s = time.monotonic()
        with pytest.raises(
            DeadlineError, match=r"cannot run model.onnx: it gave no answer within 0.30 s, and was ended"
        ) as caught:
            engine.infer([np.full((1, 4), 1e12, np.float32)])
        assert caught.value.code == "deadline"
        assert 0.3 <= time.monotonic() - began_s < 5
        assert engine.is_lost
        until(lambda: not Path(f"/proc/{child}").exists(), "the end of the child")


def test_a_deadline_comes_from_the_figures_where_there_are_some(tmp_path: Path) -> None:
    with opened(tflite_relu(), tmp_path, home=Home(p99_s=0.5)) as engine:
        assert engine.deadline_s == 5.0


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL])
def test_a_crash_is_known_at_once_and_named(tmp_path: Path, number: signal.Signals) -> None:
    with opened(tflite_relu(), tmp_path) as engine:
        os.kill(engine.pid, number)
        with pytest.raises(EngineLostError, match=f"its process was ended by {number.name}") as caught:
            engine.infer([X])
        assert caught.value.code == "engine-lost"
        with pytest.raises(EngineLostError):
            engine.infer([X])


def test_what_a_child_prints_stands_behind_its_end_and_never_fills_a_pipe(tmp_path: Path) -> None:
    noisy = tmp_path / "noisy.py"
    noisy.write_text(
        "import sys\nfor n in range(100_000): print('x' * 50, file=sys.stderr)\nprint('last words')\nsys.exit(3)\n"
    )
    (tmp_path / "python").write_text(f"#!/bin/sh\nexec {sys.executable} {noisy}\n")
    (tmp_path / "python").chmod(0o755)
    with (
        pytest.raises(DeviceError, match="ended with status 3, after it said: last words"),
        opened(tflite_relu(), tmp_path, home=Home(python=tmp_path / "python")),
    ):
        pass


def test_an_interpreter_that_is_not_there_is_the_devices_fault_with_its_path(tmp_path: Path) -> None:
    with (
        pytest.raises(DeviceError, match="expected a Python interpreter at /nowhere/python"),
        opened(tflite_relu(), tmp_path, home=Home(python=Path("/nowhere/python"))),
    ):
        pass


def test_a_child_that_never_answers_is_ended(tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\nexec sleep 60\n")
    (tmp_path / "python").chmod(0o755)
    home = Home(python=tmp_path / "python", patience=Patience(opening_s=0.3))
    with (
        pytest.raises(DeviceError, match=r"it gave no answer within 0.30 s") as caught,
        opened(tflite_relu(), tmp_path, home=home),
    ):
        pass
    assert caught.value.code == "deadline"


@pytest.mark.parametrize(
    "hello",
    [
        '{"protocol": 1, "python": "4", "numpy": "3", "runtime": "r", "runtime_version": "1"}',
        '{"protocol": 3, "hi": 0}',
    ],
    ids=["older", "newer, with other words"],
)
def test_a_child_of_another_protocol_is_refused(tmp_path: Path, hello: str) -> None:
    other = tmp_path / "other.py"
    other.write_text(
        f"import os, sys\nos.write(int(sys.argv[1]), b'''{{\"hello\": {hello}}}\\n''')\nos.read(int(sys.argv[1]), 1000)\n"
    )
    (tmp_path / "python").write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {other} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    with (
        pytest.raises(DeviceError, match=r"speaks protocol [13], expected 2"),
        opened(tflite_relu(), tmp_path, home=Home(python=tmp_path / "python")),
    ):
        pass


def test_a_file_that_is_no_model_is_the_bundles_fault(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"cannot load model.onnx"), opened(b"no model" * 99, tmp_path, "onnx"):
        pass


def test_a_file_for_hardware_without_its_delegate_is_the_bundles_fault(tmp_path: Path) -> None:
    custom = tflite_model(
        [Tensor("x", (1, 4)), Tensor("y", (1, 4))], inputs=(0,), outputs=(1,), custom="edgetpu-custom-op"
    )
    with pytest.raises(BundleError, match="edgetpu-custom-op"), opened(custom, tmp_path):
        pass


def test_a_delegate_that_is_not_there_is_the_devices_fault(tmp_path: Path) -> None:
    file = tmp_path / "model.tflite"
    file.write_bytes(tflite_relu())
    with pytest.raises(DeviceError, match=r"cannot load /nowhere/lib.so: .*expected a delegate's library") as caught:
        sandbox.open_engine(Order(file, "tflite", delegate="/nowhere/lib.so"))
    assert caught.value.code == "library-missing"


def test_a_provider_that_is_not_there_is_the_devices_fault(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(onnx_model())
    with pytest.raises(DeviceError, match="CUDAExecutionProvider is not among") as caught:
        sandbox.open_engine(Order(file, "onnx", providers=providers("cuda", Setting())))
    assert caught.value.code == "provider-missing"


def test_a_child_goes_first_when_memory_ends_and_leads_a_group_of_its_own(tmp_path: Path) -> None:
    with opened(tflite_relu(), tmp_path, home=Home(nice=3)) as engine:
        assert int(Path(f"/proc/{engine.pid}/oom_score_adj").read_text()) == 500
        assert os.getpgid(engine.pid) == engine.pid
        assert os.getpriority(os.PRIO_PROCESS, engine.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 3


def test_a_child_that_waits_for_work_is_not_woken_up(tmp_path: Path) -> None:
    with opened(tflite_relu(), tmp_path) as engine:
        engine.infer([X])
        # Once it has come to wait; a machine that is busy may take a moment.
        until(lambda: _woken(engine.pid) == _after_a_while(engine.pid), "it sleeps on")
        before = _woken(engine.pid)
        engine.infer([X])
        until(lambda: _woken(engine.pid) > before, "it was woken by a call")


def _after_a_while(pid: int) -> int:
    time.sleep(0.5)
    return _woken(pid)


def _woken(pid: int) -> int:
    """Give how often a process's first thread went to sleep so far, which is how often it was woken."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def test_no_child_outlives_its_parent_even_while_it_hangs(tmp_path: Path) -> None:
    file = tmp_path / "model.tflite"
    file.write_bytes(tflite_relu())
    program = (
        "import sys, threading, pathlib\n"
        "from edged.engines import sandbox\n"
        "made = []\n"
        "def make(): made.append(sandbox.open_engine(sandbox.Order(pathlib.Path(sys.argv[1]), 'tflite')))\n"
        "thread = threading.Thread(target=make); thread.start(); thread.join()\n"
        "import numpy as np; made[0].infer([np.zeros((1, 4), np.float32)])\n"
        "print(made[0].pid, flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/"
    ) as parent:
        assert parent.stdout is not None
        # It outlived the thread that asked for it: that one has ended by now.
        child = int(parent.stdout.readline())
        os.kill(child, signal.SIGSTOP)
        parent.kill()
    until(lambda: not Path(f"/proc/{child}").exists(), "the end of the child")
