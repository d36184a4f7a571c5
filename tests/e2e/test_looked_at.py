"""A box that is looked at only after a while: [http] comes with a reload, and pictures with it."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from fakes.brokers import BrokerProcess, free_port
from fakes.daemon import Run, write_config
from fakes.recording import write_video
from fakes.sensor import picture_bundle, pipeline
from fakes.subscriber import Subscriber
from fakes.waiting import until

pytestmark = pytest.mark.slow


def test_pictures_and_what_was_told_are_there_after_a_reload_that_brings_http(
    broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    picture_bundle(tmp_path / "models" / "still")
    video = write_video(tmp_path / "v.avi", frames=60, codec="mjpeg", container="avi")
    body = f'[[source]]\nname = "dock"\nkind = "file"\npath = "{video}"\npace = "recorded"\nloop = true\n'
    body += pipeline("a", source="dock", model="still")
    daemon = run(write_config(tmp_path, broker.port, body))
    until(lambda: len(fleet.of("result/a")) > 2, "it runs, and nobody looks")
    begun = fleet.last("result/a")["frame"]

    port = free_port()
    write_config(tmp_path, broker.port, body, more=f'[http]\nlisten = "127.0.0.1:{port}"\n')
    daemon.reload()

    until(lambda: got(port, "/api/pipelines/a/picture").startswith(b"\xff\xd8"), "a picture")
    until(lambda: scores(port), "what it told since")
    frames = [result["frame"] for result in fleet.of("result/a")]
    assert frames == sorted(set(frames)), "the pipeline ran on"
    assert frames[-1] > begun


def got(port: int, path: str) -> bytes:
    with suppress(OSError), urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
        body: bytes = answer.read()
        return body
    return b""


def scores(port: int) -> list[object]:
    told: list[object] = json.loads(got(port, "/api/overview") or b'{"pipelines": [{"scores": []}]}')["pipelines"][0][
        "scores"
    ]
    return told
