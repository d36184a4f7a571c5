"""A daemon in a control group whose memory runs out: what the governor does before, and what the kernel takes first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import LONGEST_S, PROGRAM, DaemonProcess, Run, edged, write_config
from fakes.delays import Delays
from fakes.memorygroup import MemoryGroup
from fakes.sensor import picture_bundle, pipeline
from fakes.still import still_source
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")]

LIMIT_MB = 360
"""Two engines in children, with room to spare."""
CRASH_S, BUSY = 1.0, 3.0
"""From a crash to the first good result, and how much more a busy test machine gets."""
FPS = 5
FULL = 0.97
PROFILE = 'name = "in-children"\nprefer = [{ accelerator = "cpu", threads = 1 }]\nisolate = true\n'


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    try:
        made = MemoryGroup(LIMIT_MB)
    except OSError as error:
        pytest.skip(f"needs a control group of its own with a memory limit: {error.strerror}")
    yield made
    made.close()


@pytest.fixture
def daemon(
    group: MemoryGroup, broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> Iterator[DaemonProcess]:
    """Give one with the pipelines ``gate`` and ``yard``, each of which has its engine in a child."""
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "in-children.toml").write_text(PROFILE, "utf-8")
    picture_bundle(tmp_path / "models" / "still")
    body = "".join(
        still_source(tmp_path / "pictures", fps=FPS, name=f"camera-{name}")
        + pipeline(name, source=f"camera-{name}", model="still", more=more)
        for name, more in (("gate", "priority = 5"), ("yard", "min_fps = 1"))
    )
    file = write_config(tmp_path, broker.port, body, more=f'[profiles]\ndirectories = ["{tmp_path / "profiles"}"]')
    text = file.read_text("utf-8").replace("[models]\n", '[models]\nmeasure = "off"\n')
    file.write_text(text.replace('id = "press-07"', 'id = "press-07"\nprofile = "in-children"'), "utf-8")
    made = run(file, program=group.inside(PROGRAM))
    until(lambda: all(len(fleet.of(f"result/{name}")) > FPS for name in ("gate", "yard")), "both pipelines")
    yield made
    # Before the group goes, all that runs in it.
    made.close()


def _of(fleet: Subscriber, name: str, status: str) -> list[dict[str, Any]]:
    return [one for one in fleet.of(f"result/{name}") if one["status"] == status]


def test_the_groups_limit_is_told(group: MemoryGroup) -> None:
    said = edged("hardware", program=group.inside(PROGRAM))
    assert f"{LIMIT_MB}" in said.out


def test_before_the_memory_ends_the_governor_does_less_says_why_and_loses_no_frame(
    group: MemoryGroup, daemon: DaemonProcess, fleet: Subscriber
) -> None:
    delays = Delays(daemon.pid)
    group.fill(FULL)

    def steps() -> list[dict[str, Any]]:
        return [one for one in fleet.of("alert") if one["code"] == "governor-step"]

    until(steps, "a step")
    assert steps()[0]["cause"] == "memory"
    assert 0.0 < steps()[0]["figures"]["memory_free_percent"] < 12.0
    assert (steps()[0]["component"], steps()[0]["step"]["kind"]) == ("yard", "pause")
    assert group.kills == 0
    assert delays.lost(fleet.of("result/gate"), FPS) == []
    assert daemon.stop()[0] == 0


def test_when_the_memory_ends_an_engines_child_goes_and_is_back_within_a_second(
    group: MemoryGroup, daemon: DaemonProcess, fleet: Subscriber
) -> None:
    delays = Delays(daemon.pid)
    neighbours = group.fill(2.0)

    assert [one.wait(LONGEST_S) for one in neighbours] == [0, 0, 0], "the kernel took a neighbour, not a child"
    # The memory may still be short when the child comes back, and the kernel may take both at once.
    hit: Callable[[], list[str]] = lambda: [name for name in ("gate", "yard") if _of(fleet, name, "unknown")]  # noqa: E731
    until(hit, "a frame that is unknown")
    until(lambda: all(_took_ms(fleet, name) for name in hit()), "a good result")
    for name in hit():
        assert {one["reason"] for one in _of(fleet, name, "unknown")} == {"engine-lost"}
        assert max(_took_ms(fleet, name)) <= 1000 * CRASH_S * BUSY
    assert group.kills >= len(hit())
    assert not any(delays.lost(fleet.of(f"result/{name}"), FPS) for name in {"gate", "yard"} - {*hit()})
    until(lambda: "SIGKILL" in fleet.reason(hit()[0]) or "SIGKILL" in daemon.said(), "who was ended, and how")
    assert not daemon.ended
    assert daemon.stop()[0] == 0


def _took_ms(fleet: Subscriber, name: str) -> list[float]:
    """Give the time from each frame that met a fault to the first good one after it; nothing while one of them has none."""
    lost = [one["mono_ms"] for one in _of(fleet, name, "unknown")]
    good = [one["mono_ms"] for one in _of(fleet, name, "ok")]
    return [next(at for at in good if at > fault) - fault for fault in lost] if max(good) > max(lost) else []
