"""The courier and its child process, where the process itself is the point."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edged.assembly import courier_child
from edged.assembly.courier import Courier, CourierSettings
from edged.domain.errors import RetryableError
from edged.update.desired import ModelOrder
from edged.update.disk import LocalDisk
from edged.update.trust_file import TrustFile
from fakes.clock import FakeClock
from fakes.couriers import DEVICE, Box
from fakes.repository_simulator import desired
from fakes.waiting import until

HEAVY = ("tuf", "securesystemslib", "cryptography", "urllib3", "zstandard")


def courier(tmp_path: Path) -> Courier:
    settings = CourierSettings(str(tmp_path), tmp_path / "root.json", tmp_path / "state", DEVICE.name)
    return Courier(settings, TrustFile(tmp_path / "state", LocalDisk()), FakeClock())


def test_the_daemons_side_loads_nothing_of_what_verifies() -> None:
    program = (
        "import sys, edged.assembly.courier, edged.update.archive, edged.fleet.serving;"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("raise SystemExit('no such library')", "it ended with status 1: no such library"),
        ("import os; os.kill(os.getpid(), 9)", "it ended with status -9"),
        ("print('hello', flush=True); import time; time.sleep(60)", "it said something else than a message"),
        ("import time; time.sleep(60)", "it said nothing for 1 s"),
    ],
    ids=["refuses", "killed", "babbles", "silent"],
)
def test_a_child_that_ends_without_an_answer_is_told_and_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, told: str
) -> None:
    monkeypatch.setattr(courier_child, "PROGRAM", program)
    monkeypatch.setattr(courier_child, "SILENCE_S", 1.0)
    with pytest.raises(RetryableError, match=told) as failed:
        courier(tmp_path).judge(b"{}", DEVICE)
    assert failed.value.code == "crashed"


@pytest.mark.slow
def test_a_word_from_edged_s_end_ends_the_wait_for_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier_child, "PROGRAM", "import time; time.sleep(60)")
    with pytest.raises(RetryableError) as failed:
        courier(tmp_path).judge(b"{}", DEVICE, lambda: True)
    assert failed.value.code == "cancelled"


@pytest.mark.parametrize("part", ["tempfile.TemporaryFile", "os.eventfd", "subprocess.Popen"])
def test_a_box_that_has_no_process_to_give_is_tried_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def none_left(*_: object, **__: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(f"edged.assembly.courier_child.{part}", none_left)
    with pytest.raises(RetryableError, match="Too many open files") as failed:
        courier(tmp_path).judge(b"{}", DEVICE)
    assert failed.value.code == "crashed"


@pytest.mark.slow
def test_what_is_not_installed_is_named_with_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "root.json").write_bytes(b"{}")
    hidden = f"import sys; sys.modules['tuf'] = None; {courier_child.PROGRAM}"
    monkeypatch.setattr(courier_child, "PROGRAM", hidden)
    with pytest.raises(RetryableError, match=r"install edged\[updates\]") as failed:
        courier(tmp_path).judge(b"{}", DEVICE)
    assert failed.value.code == "extra-missing"


@dataclass
class Downloading:
    """A child that downloads until it is cancelled; one that judges ends at once."""

    order: dict[str, Any]
    begun: threading.Event

    def push(self, message: Any) -> None:
        """Nothing is waited for."""

    def converse(self, _hear: Callable[[dict[str, Any]], bool], cancelled: Callable[[], bool]) -> None:
        self.begun.set()
        if self.order["verb"] == "fetch":
            until(cancelled, "it is cancelled")
        raise RetryableError("cannot go on", code="cancelled" if self.order["verb"] == "fetch" else "judged")

    def end(self) -> None:
        """There is nothing to end."""


def test_an_order_that_comes_interrupts_a_download_and_does_not_wait_for_its_end(tmp_path: Path) -> None:
    begun, ended = threading.Event(), []
    settings = CourierSettings(str(tmp_path), tmp_path / "root.json", tmp_path / "state", DEVICE.name)
    trust = TrustFile(tmp_path / "state", LocalDisk())
    made = Courier(settings, trust, FakeClock(), start=lambda order: Downloading(order, begun))

    def fetch() -> None:
        with pytest.raises(RetryableError) as failed:
            made.fetch(ModelOrder("level", "2.0.0", "level-2.0.0.edgemodel", 9, "a" * 64))
        ended.append(failed.value.code)

    downloads = threading.Thread(target=fetch)
    downloads.start()
    assert begun.wait(10.0)

    with pytest.raises(RetryableError) as judged:
        made.judge(b"{}", DEVICE)

    downloads.join(10.0)
    assert (judged.value.code, ended) == ("judged", ["cancelled"])


def test_blocks_that_nobody_waits_for_are_ignored(tmp_path: Path) -> None:
    courier(tmp_path).take(b"block")


def test_it_tells_a_field_engineer_what_it_saw(tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    own = box.courier()
    assert repr(own) == "<Courier from memory: idle, saw nothing yet>"
    own.judge(box.simulator.desire(desired()), DEVICE)
    assert repr(own) == "<Courier from memory: idle, saw root 1, timestamp 1, snapshot 1, targets 1>"


def test_marks_that_cannot_be_written_let_nothing_pass(tmp_path: Path) -> None:
    box = Box(tmp_path / "state")
    own = box.courier()
    (tmp_path / "state" / "trust").write_text("in the way")
    with pytest.raises(RetryableError) as failed:
        own.judge(box.simulator.desire(desired()), DEVICE)
    assert failed.value.code == "disk"
