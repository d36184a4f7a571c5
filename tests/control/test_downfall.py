from __future__ import annotations

import signal

import pytest

from edged.control.benchmark import Later, Unfit
from edged.control.downfall import death, failure


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (-signal.SIGSEGV, "loading crashed with SIGSEGV"),
        (-signal.SIGABRT, "loading crashed with SIGABRT"),
        (3, "loading ended the process with status 3"),
    ],
)
def test_a_crash_is_the_files_fault(status: int, words: str) -> None:
    assert death(status, "loading", "") == Unfit(words)
    assert death(status, "loading", "first\nno licence\n") == Unfit(f"{words}: no licence")


@pytest.mark.parametrize("number", [signal.SIGBUS, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU, signal.SIGRTMIN + 1])
def test_a_signal_from_outside_is_the_boxs_trouble(number: int) -> None:
    assert isinstance(death(-number, "a call", ""), Later)


def test_the_oom_killer_is_told_as_such() -> None:
    assert death(-signal.SIGKILL, "a call", "") == Later("the system ended it while a call: memory may be short")


@pytest.mark.parametrize(
    "said",
    [
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n",
        "Traceback (most recent call last):\n  File ...\nMemoryError\n",
        "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8.00 GiB for an array with shape (1,)\n",
        "OSError: [Errno 28] No space left on device",
        "OSError: [Errno 5] Input/output error: '/x'\nlibc++abi: terminating\n",
        "ImportError: libgomp.so.1: cannot allocate memory in static TLS block",
    ],
)
def test_whatever_way_it_ended_memory_and_disk_are_the_boxs_trouble(said: str) -> None:
    assert isinstance(death(-signal.SIGABRT, "loading", said), Later)
    assert isinstance(death(1, "loading", said), Later)


@pytest.mark.parametrize(
    ("kind", "message", "is_the_file"),
    [
        ("BundleError", "cannot load x.tflite: its content is damaged", True),
        ("EngineLostError", "cannot run x.tflite: the shapes do not fit", True),
        ("BundleError", "cannot load x.onnx: Failed to allocate memory for requested buffer of size 9", False),
        ("EngineLostError", "cannot run x.tflite: std::bad_alloc", False),
        ("DeviceError", "cannot run TFLite models: neither is installed", False),
        ("OSError", "cannot measure fp32: OSError: [Errno 24] Too many open files", False),
        ("DeadlineError", "cannot run: no answer in time", False),
    ],
)
def test_what_the_runtime_says_of_the_file_is_the_files_fault_and_the_rest_the_boxs(
    kind: str, message: str, *, is_the_file: bool
) -> None:
    assert failure(kind, message) == (Unfit(message) if is_the_file else Later(message))
