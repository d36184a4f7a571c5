"""Requests beside a pipeline: its model answers both, and the box is ready when the pipeline is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.assetbundle import materialise
from fakes.brokers import free_port
from fakes.daemon import DaemonProcess, write_config
from fakes.raw_http import RawClient
from fakes.serving_daemon import ONNX, wait_until_ready
from fakes.waiting import LONGEST_S, until

pytestmark = [pytest.mark.slow, pytest.mark.assets]

BODY = """
[http]
listen = "127.0.0.1:{port}"
[[source]]
name = "bowl"
kind = "images"
path = "{picture}"
loop = true
fps = 5
[[source]]
name = "gone"
kind = "serial"
port = "/dev/absent"
baud = 9600
format = "csv"
columns = ["x", "y", "z"]
[[pipeline]]
name = "fruit"
source = "bowl"
model = "{model}"
{more}
"""
UNREADY = '[[pipeline]]\nname = "bearing"\nsource = "gone"\nmodel = "vibration"\n'


def test_a_pipelines_model_answers_requests_without_being_loaded(assets: Path, tmp_path: Path) -> None:
    port = free_port()
    daemon = daemon_with(assets, tmp_path, port, "")
    try:
        wait_until_ready(port, daemon)
        picture = (assets / "images" / "orange.png").read_bytes()
        with RawClient(port) as client:
            index = {one["name"]: one["state"] for one in client.ask("POST", "/v2/repository/index").json}
            shell = {"Content_Type": "image/png", "Accept": "text/plain"}
            said = client.ask("POST", f"/v2/models/{ONNX}/infer", picture, **shell)
            until(lambda: codes(client) == {"broker-down"}, "all is well but the broker, which there is none of")
            unloaded = client.ask("POST", f"/v2/repository/models/{ONNX}/unload").status
            again = client.ask("POST", f"/v2/models/{ONNX}/infer", picture, **shell)
        status, took_s = daemon.stop()
    finally:
        daemon.close()

    assert index[ONNX] == "READY"
    assert said.body.split()[0] in {b"orange", b"lemon"}
    assert (unloaded, again.status) == (200, 200)
    assert status == 0
    assert took_s < 6


def test_a_pipeline_without_its_source_keeps_the_box_from_being_ready(assets: Path, tmp_path: Path) -> None:
    port = free_port()
    daemon = daemon_with(assets, tmp_path, port, UNREADY)
    try:
        until(lambda: not_ready(port) == {"gone"}, "all but the source that is gone is ready", LONGEST_S)
        with RawClient(port) as client:
            statuses = [client.ask("GET", path).status for path in ("/healthz", "/readyz")]
    finally:
        daemon.close()

    assert statuses == [200, 503]


def codes(client: RawClient) -> set[str]:
    """Give the codes of what the box's health names."""
    return {reason["code"] for reason in client.ask("GET", "/api/health").json["reasons"]}


def not_ready(port: int) -> set[str]:
    """Name what keeps the box from being ready; empty too while nobody answers."""
    try:
        with RawClient(port) as client:
            return {reason["component"] for reason in client.ask("GET", "/api/ready").json["reasons"]}
    except OSError:
        return set()


def daemon_with(assets: Path, folder: Path, port: int, more: str) -> DaemonProcess:
    materialise(ONNX, assets, folder / "models")
    picture = assets / "images" / "orange.png"
    body = BODY.format(port=port, picture=picture, model=ONNX, more=more)
    return DaemonProcess(write_config(folder, free_port(), body)).start()
