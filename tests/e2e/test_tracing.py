"""Traces from end to end: a daemon with the documentation's configuration, a broker, its clients, and a collector that decodes OTLP."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tritonclient import grpc as triton

from fakes.brokers import BrokerProcess, free_port
from fakes.collector import Collected, collector
from fakes.commander import Commander
from fakes.daemon import DEVICE, Run, write_config
from fakes.sensor import LENGTH, csv_source, pipeline, sensor_bundle, write_windows
from fakes.waiting import until

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parents[2] / "docs" / "tracing.md"
MINE, OTHERS = "4bf92f3577b34da6a3ce929d0e0e4736", "0af7651916cd43dd8448eb211c80319c"
STAGES = {"capture", "preprocess", "inference", "postprocess", "publish"}
Heard = list[tuple[str, dict[str, Any], dict[str, str]]]


@pytest.fixture
def heard(broker: BrokerProcess) -> Iterator[Heard]:
    """Give (stream, document, user properties) of everything that an MQTT 5 client hears."""
    found: Heard = []
    subscribed = threading.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.on_connect = lambda client, *_: client.subscribe("edged/#", 1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _c, _u, message: found.append(
        (
            message.topic.partition("/out/")[2],
            json.loads(message.payload),
            dict(getattr(message.properties, "UserProperty", ())),
        )
    )
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    until(subscribed.is_set, "subscribed")
    yield found
    client.disconnect()
    client.loop_stop()


@pytest.fixture
def end() -> Iterator[Collected]:
    with collector() as found:
        yield found


def documented(end: Collected) -> str:
    """Give the documentation's section, with this collector and every frame."""
    (example,) = re.findall(r"^```toml\n(.*?)^```$", DOCS.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    assert "sample = 0.01" in example
    return re.sub(r'"http://.*"', f'"{end.url}"', example).replace("0.01", "1.0")


def ask_over_http(port: int, traceparent: str) -> int:
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, LENGTH], "data": [1.0] * LENGTH}]}
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("POST", "/v2/models/level/infer", json.dumps(body), {"traceparent": traceparent})
        answer = connection.getresponse()
        answer.read()
    except ConnectionRefusedError:
        return 0  # it does not listen yet
    finally:
        connection.close()
    return answer.status


def ask_over_grpc(port: int, traceparent: str) -> Any:
    with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        spec = client.get_model_metadata("level").inputs[0]
        given = triton.InferInput(spec.name, [1, LENGTH], "FP32")
        given.set_data_from_numpy(np.ones((1, LENGTH), np.float32))
        return client.infer("level", [given], headers={"traceparent": traceparent}).as_numpy("y")


def test_frames_requests_and_commands_are_traced_to_broker_and_collector(
    broker: BrokerProcess, heard: Heard, end: Collected, run: Run, tmp_path: Path
) -> None:
    http, grpc = free_port(), free_port()
    sensor_bundle(tmp_path / "models" / "level")
    source = csv_source(write_windows(tmp_path / "spindle.csv", range(3)))
    more = f'[http]\nlisten = "127.0.0.1:{http}"\n[grpc]\nlisten = "127.0.0.1:{grpc}"\n[serving]\nmodels = ["level"]\n'
    more += documented(end)
    seen = '[[pipeline.rule]]\nname = "any"\nwhen = { min_value = 0.0 }\n'
    daemon = run(write_config(tmp_path, broker.port, source + pipeline("a") + seen, more=more))
    commander = Commander(broker.port)
    until(lambda: sum(stream == "result/a" for stream, *_ in heard) == 3, "its results")
    until(lambda: any(stream == "event/a" for stream, *_ in heard), "an event")

    until(lambda: ask_over_http(http, f"00-{MINE}-00f067aa0ba902b7-01") == 200, "the model is loaded for requests")
    assert ask_over_grpc(grpc, f"00-{OTHERS}-b7ad6b7169203331-01").shape == (1, LENGTH)
    body = {"id": "c-1", "verb": "ping", "expires_at": "2040-01-01T00:00:00Z"}
    commander.publish(json.dumps(body).encode(), UserProperty=("traceparent", f"00-{OTHERS}-00000000000000aa-00"))
    until(lambda: any(stream == "reply" for stream, *_ in heard), "an answer")
    commander.client.disconnect()
    commander.client.loop_stop()
    assert daemon.stop()[0] == 0

    results = [(body["traceparent"], properties) for stream, body, properties in heard if stream == "result/a"]
    assert [properties for _, properties in results] == [{"traceparent": trace} for trace, _ in results]
    assert len({trace for trace, _ in results}) == 3
    for trace, _ in results:
        spans = end.of(trace.split("-")[1])
        assert spans.keys() == STAGES | {"frame"}
        assert spans["frame"].span_id.hex() == trace.split("-")[2]
        assert {spans[name].parent_span_id for name in STAGES} == {spans["frame"].span_id}
    events = {body["traceparent"] for stream, body, _ in heard if stream == "event/a"}
    assert events
    assert events <= {trace for trace, _ in results}
    assert end.of(MINE).keys() == {"infer level", "queue", "inference"}
    assert end.of(MINE)["infer level"].parent_span_id.hex() == "00f067aa0ba902b7"
    assert end.of(OTHERS)["infer level"].parent_span_id.hex() == "b7ad6b7169203331"
    (reply,) = [(body, properties) for stream, body, properties in heard if stream == "reply"]
    assert reply[0]["traceparent"] == reply[1]["traceparent"] == f"00-{OTHERS}-00000000000000aa-00"
    assert end.resource["service.instance.id"] == DEVICE
