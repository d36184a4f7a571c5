"""A camera's recording through the whole daemon: followed, looked at closer, told with pictures; what is masked is seen by nobody."""

from __future__ import annotations

import urllib.request
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from edged.assembly.clip import read_clip
from edged.domain.tensor import Array
from fakes import brokers
from fakes.brokers import BrokerProcess
from fakes.commander import Commander
from fakes.daemon import DaemonProcess, Run, write_config
from fakes.subscriber import Document, Subscriber
from fakes.tape import CONVEYOR
from fakes.waiting import until

pytestmark = pytest.mark.slow

BOLTS, MIDDLE = 4, 0.5
"""So many pass the middle of the recording, one after the other."""
MASKED, CLEAR = 0.4, 0.3
"""The left part is masked up to here, and black throughout up to there: JPEG's blocks, and boxes that are drawn, reach over the rim."""
BLACK = 12
"""The most that JPEG makes of black."""
OBJECTS = """
[[source]]
name = "open"
kind = "file"
path = "{video}"
[[pipeline]]
name = "gate"
source = "open"
model = "parts"
pin = "small-tflite-int8"
track = true
[[pipeline.then]]
model = "camera-health"
on = {{ label = "bolt", min_score = 0.6 }}
margin = 0.1
at_most = 1
[[pipeline.rule]]
name = "middle"
when = {{ label = "bolt", crosses = [[{middle}, 0.0], [{middle}, 1.0]] }}
[[pipeline.rule]]
name = "stays"
when = {{ label = "bolt", dwell_s = 1.0 }}
"""
COVERED = """
[[source]]
name = "covered"
kind = "file"
path = "{video}"
fps = 6
masks = [[[0.0, 0.0], [{masked}, 0.0], [{masked}, 1.0], [0.0, 1.0]]]
{more}
[[pipeline]]
name = "half"
source = "covered"
model = "parts"
pin = "small-tflite-int8"
[[pipeline.rule]]
name = "kept"
when = {{ label = "washer", min_score = 0.5 }}
snapshot = "local"
[[pipeline.rule]]
name = "sent"
when = {{ label = "bolt", min_score = 0.5 }}
snapshot = "mqtt"
"""


def covered(more: str = "") -> str:
    return COVERED.format(video=CONVEYOR, masked=MASKED, more=more)


def is_black_where_masked(picture: Array) -> bool:
    return int(picture[:, : int(picture.shape[1] * CLEAR)].max()) <= BLACK < int(picture.max())


def decoded(jpeg: bytes) -> Array:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


@dataclass(frozen=True)
class Seen:
    """What a daemon told and kept of the recording."""

    fleet: Subscriber
    state: Path

    def results(self, pipeline: str) -> list[Document]:
        return self.fleet.of(f"result/{pipeline}")

    def events(self, pipeline: str, rule: str, schema: str = "edged.event/1") -> list[Document]:
        return [one for one in self.fleet.of(f"event/{pipeline}") if (one["rule"], one["schema"]) == (rule, schema)]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """Run one daemon to the end of the recording."""
    folder = tmp_path_factory.mktemp("belt")
    (folder / "models").mkdir()
    broker = brokers.mosquitto(folder)
    fleet = Subscriber(broker.port)
    body = OBJECTS.format(video=CONVEYOR, middle=MIDDLE) + covered()
    more = '[record]\nbefore_s = 1\nafter_s = 1\nquality = "lossless"\n'
    daemon = DaemonProcess(write_config(folder, broker.port, body, more=more)).start()
    try:
        assert daemon.wait() == 0
        until(lambda: fleet.last("status").get("state") == "offline", "offline")
        yield Seen(fleet, folder / "state")
    finally:
        daemon.close()
        fleet.close()
        broker.close()


def test_each_object_keeps_one_number_as_long_as_it_is_seen(seen: Seen) -> None:
    numbers: dict[int, set[str]] = {}
    for result in seen.results("gate"):
        told = [item["track"] for item in result["detections"] if "track" in item]
        assert len(told) == len(set(told))
        for item in result["detections"]:
            if "track" in item:
                numbers.setdefault(item["track"], set()).add(item["label"])
    assert numbers
    assert all(len(labels) == 1 for labels in numbers.values())


def test_a_crossed_line_is_an_event_each_time_and_a_stay_one_that_lasts(seen: Seen) -> None:
    crossed = [one["frame"] for one in seen.events("gate", "middle") if one["phase"] == "start"]
    assert len(crossed) == BOLTS
    for frame in crossed:
        (result,) = [one for one in seen.results("gate") if one["frame"] == frame]
        centres = [
            (box[0] + box[2]) / 2 for box in (one["box"] for one in result["detections"] if one["label"] == "bolt")
        ]
        assert min(abs(centre - MIDDLE) for centre in centres) < 0.05
    first, *_ = seen.events("gate", "stays")
    assert first["phase"] == "start"


def test_a_second_model_looks_at_one_of_what_was_found_and_at_nothing_else(seen: Seen) -> None:
    looked = [[item for item in one["detections"] if "then" in item] for one in seen.results("gate")]
    assert any(looked)
    for items in looked:
        assert len(items) <= 1
        for item in items:
            assert (item["label"], item["score"] >= 0.6) == ("bolt", True)
            (further,) = item["then"]
            assert further["model"] == "camera-health"
            assert further["classes"]


def test_what_is_masked_is_in_no_result(seen: Seen) -> None:
    def left_of_the_rim(pipeline: str) -> list[Document]:
        items = [item for one in seen.results(pipeline) for item in one["detections"]]
        return [item for item in items if item["box"][2] < CLEAR]

    assert len(left_of_the_rim("gate")) > 100
    assert left_of_the_rim("half") == []
    assert any(one["detections"] for one in seen.results("half"))


def test_what_is_masked_is_in_no_picture_of_an_event_and_what_was_found_is_drawn(seen: Seen) -> None:
    kept = sorted((seen.state / "snapshots" / "half").glob("*.jpg"))
    sent = seen.events("half", "sent", "edged.snapshot/1")
    starts = {rule: [one for one in seen.events("half", rule) if one["phase"] == "start"] for rule in ("kept", "sent")}
    assert [len(kept), len(sent)] == [len(starts["kept"]), len(starts["sent"])]
    assert kept
    assert sent
    for picture in [*(decoded(file.read_bytes()) for file in kept), *(decoded(b64decode(one["jpeg"])) for one in sent)]:
        assert is_black_where_masked(picture)
        # The belt is grey: colours as strong are drawn.
        assert (np.ptp(picture.astype(int), axis=2) > 150).sum() > 100


def test_what_is_masked_is_in_no_recording(seen: Seen) -> None:
    clips = [read_clip(file) for file in sorted((seen.state / "recordings").glob("*.zip"))]
    masked = [clip for clip in clips if clip.results and clip.results[0]["pipeline"] == "half"]
    assert masked
    for clip in masked:
        for row in clip.inputs:
            if row.get("file"):
                picture = clip.frame(row).data
                assert not picture[:, : int(picture.shape[1] * (MASKED - 0.01))].any()


def test_what_is_masked_is_seen_by_nobody_who_asks(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    port = brokers.free_port()
    body = covered('pace = "recorded"\nloop = true')
    run(write_config(tmp_path, broker.port, body, more=f'[http]\nlisten = "127.0.0.1:{port}"\n'))
    until(lambda: fleet.last("health").get("state") == "ok" and fleet.of("result/half"), "a result")

    shown: list[bytes] = []

    def is_shown() -> bool:
        address = f"http://127.0.0.1:{port}/api/pipelines/half/picture"
        with suppress(OSError), urllib.request.urlopen(address) as answer:
            shown.append(answer.read())
        return bool(shown)

    until(is_shown, "it answers")
    assert is_black_where_masked(decoded(shown[0]))
    hand = Commander(broker.port)
    assert hand.ask("snapshot")["ok"]
    asked = lambda: [one for one in fleet.of("event/half") if one.get("rule") == ""]  # noqa: E731 - read at once
    until(asked, "the picture")
    hand.close()
    assert is_black_where_masked(decoded(b64decode(asked()[0]["jpeg"])))
