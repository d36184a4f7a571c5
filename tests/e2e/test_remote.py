"""A model that another project's real server runs, with the box's own below it: used, lost, stood in for, and taken back."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.brokers import BrokerProcess
from fakes.daemon import Run, edged, write_config
from fakes.mlserver import MlServer, interpreter
from fakes.network import Network
from fakes.sensor import LENGTH, csv_source, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber, numbers
from fakes.waiting import until

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parents[2] / "docs" / "remote.md"
TAKES_OVER_S = 10.0
"""The box's own rung answers at once; a busy test machine takes longer."""
BACK_S = 60.0
"""It is left alone for 2 s, then for 4, 8 … and may come back while it waits."""


@pytest.fixture
def network(server: MlServer) -> Iterator[Network]:
    made = Network(server.port)
    yield made
    made.close()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlServer]:
    folder = tmp_path_factory.mktemp("mlserver")
    made = MlServer(interpreter(folder / "venv"), folder / "models", "level_large", LENGTH).start()
    yield made
    made.kill()


def test_the_server_answers_until_it_is_gone_and_again_when_it_is_back(
    network: Network, broker: BrokerProcess, fleet: Subscriber, run: Run, tmp_path: Path
) -> None:
    sensor_bundle(tmp_path / "models" / "level")
    recording = write_windows(tmp_path / "spindle.csv", range(5))
    source = csv_source(recording, rate_hz=10 * LENGTH, more='pace = "recorded"\nloop = true')
    config = write_config(tmp_path, broker.port, source + pipeline("a"), more=documented(network.port))
    daemon = run(config)
    until(lambda: runs_on(fleet) == "remote", "the server answers")
    told = fleet.last("result/a")
    assert (told["model"]["runtime"], told["model"]["digest"]) == ("remote", "remote:level")
    assert told["anomaly"]["score"] == pytest.approx(round(told["anomaly"]["score"] ** 0.5) ** 2)

    network.cut()
    gone = time.monotonic()
    until(lambda: runs_on(fleet) == "cpu", "the box's own rung answers", TAKES_OVER_S)
    took_s = time.monotonic() - gone
    until(lambda: "variant-fallback" in fleet.codes(), "the reason")
    assert "on remote: cannot run level_large at 127.0.0.1" in fleet.reason("a")

    network.mend()
    until(lambda: runs_on(fleet) == "remote", "it is taken back", BACK_S)
    until(lambda: "variant-fallback" not in fleet.codes(), "the end of the reason")

    explained = json.loads(edged("explain", "level", "--config", config, "--json").out)["variants"]
    assert [(one["id"], one["accelerator"], one["verdict"]) for one in explained][:2] == [
        ("fp32", "remote", "chosen"),
        ("fp32", "cpu", "possible"),
    ]
    assert daemon.stop()[0] == 0
    results = fleet.of("result/a")
    assert numbers(results) == list(range(1, len(results) + 1))
    assert [one["reason"] for one in results if one["status"] == "unknown"] == ["engine-lost"]
    assert took_s < TAKES_OVER_S


def documented(port: int) -> str:
    """Give the documentation's section, for this bundle and this server."""
    (example,) = re.findall(r"^```toml\n(.*?)^```$", DOCS.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    mine = example.replace("triton.plant.local:8000", f"127.0.0.1:{port}").replace("remote.parts", "remote.level")
    return mine.replace("parts_large", "level_large").replace("250", "2000")


def runs_on(fleet: Subscriber) -> str:
    """Give the accelerator of the last result, if it is an answer."""
    last = fleet.last("result/a")
    return str(last["model"]["accelerator"]) if last.get("status") == "ok" else ""
