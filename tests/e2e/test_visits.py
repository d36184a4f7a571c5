"""People pass one at a time: a detector and one rule make a visit of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.assetbundle import materialise
from fakes.brokers import BrokerProcess
from fakes.daemon import Run, write_config
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until

pytestmark = [pytest.mark.assets, pytest.mark.slow]

VISITS = ((65, 195), (230, 450), (510, 695), (745, 870), (925, 1195), (1235, 1360))
"""First frame with a person, and first without, by the recording's ground truth (every fifth frame was judged)."""
VIDEO_FPS = 10
FPS = 2
"""Judged pictures a second of the video: few, since each costs tens of milliseconds; half a second is within the tolerance."""

WATCH = """
[[source]]
name = "dock"
kind = "file"
path = "{video}"
fps = {fps}

[[pipeline]]
name = "gate"
source = "dock"
model = "yolox-nano"
pin = "fp32-onnx"
report = {{ results = "changes" }}

[[pipeline.rule]]
name = "person"
when = {{ label = "person", min_score = 0.4 }}
gap_s = 1.5
"""


def test_six_people_make_six_visits_with_their_first_and_last_sight(
    assets: Path, broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    materialise("yolox-nano", assets, tmp_path / "models")
    video = Path(assets) / "video" / "one-by-one-person-detection.mp4"

    daemon = run(write_config(tmp_path, broker.port, WATCH.format(video=video, fps=FPS)))

    assert daemon.wait() == 0
    until(lambda: fleet.last("status").get("state") == "offline", "offline")
    events = fleet.of("event/gate")
    starts = [event["frame"] for event in events if event["phase"] == "start"]
    ends = [event["frame"] for event in events if event["phase"] == "end"]
    assert numbers(events) == list(range(1, len(events) + 1))
    assert starts == [pytest.approx(first, abs=VIDEO_FPS) for first, _ in VISITS]
    assert ends == [pytest.approx(last, abs=VIDEO_FPS) for _, last in VISITS]
    telemetry = fleet.last("telemetry")["pipelines"]["gate"]
    assert telemetry["frames"] == 1394
    assert telemetry["drops"].keys() == {"rate"}
