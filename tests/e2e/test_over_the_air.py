"""Models over the air, whole: a signed repository in a folder, a signed order at a broker, the daemon as users run it."""

from __future__ import annotations

import hashlib
import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from edgectl.cli import main
from edgectl.repo.delta import make
from edged.fleet.places import delta_name
from edged.update.archive import packed_name
from edged.update.manifest import read_bundle
from fakes.brokers import BrokerProcess
from fakes.daemon import DEVICE, DaemonProcess, Run, write_config
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.shop import Shop
from fakes.subscriber import Subscriber
from fakes.syncedclock import ENVIRONMENT, PROGRAM
from fakes.waiting import until

pytestmark = pytest.mark.slow

WITHIN_S = 90.0
STATES = (
    "accepted",
    "checking",
    "downloading",
    "verifying",
    "staged",
    "validating",
    "ready",
    "activating",
    "probation",
)
TOPIC = f"edged/v1/d/{DEVICE}/in/desired"


class Versions(Shop):
    """Whoever signs the versions of one model."""

    def make(self, version: str, *, since: str = "", **more: Any) -> dict[str, Any]:
        """Offer a version; gives an order's part for it. ``since`` an earlier one it is offered as a difference alone."""
        offered = self.offer(sensor_bundle(self.folder / version, version=version, **more))
        if since:
            self._difference(since, version)
        return offered

    def _difference(self, since: str, version: str) -> None:
        names = [packed_name(read_bundle(self.folder / one).manifest) for one in (since, version)]
        before, after = (next((self.repository / "targets").glob(f"*.{name}")) for name in names)
        content = make(before, after)
        assert content is not None
        digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in (before, after)]
        signed = {"base_sha256": digests[0], "result_sha256": digests[1]}
        self.signers.add(delta_name(names[1], digests[0]), content, **signed)
        self.publish()
        after.unlink()


@pytest.fixture
def shop(tmp_path: Path, broker: BrokerProcess) -> Versions:
    return Versions(tmp_path / "shop", broker.port)


@pytest.fixture
def daemon(run: Run, shop: Versions, broker: BrokerProcess, tmp_path: Path) -> DaemonProcess:
    """Give a daemon that takes orders, on 1.0.0 from its folder, with about 16 windows a second."""
    sensor_bundle(tmp_path / "models" / "level-1")
    recording = write_windows(tmp_path / "spindle.csv", range(100))
    source = csv_source(recording, more='pace = "recorded"\nloop = true')
    updates = f'[updates]\nrepository = "{shop.repository}"\ntrust = "{shop.trust}"\n'
    # However slow a busy machine makes it in its probation.
    body = source + pipeline("a", more="objective = { latency_ms = 60000 }")
    config = write_config(tmp_path, broker.port, body, more=updates)
    return run(config, program=PROGRAM, env=ENVIRONMENT)


def told(fleet: Subscriber) -> list[str]:
    return [body["state"] for body in fleet.of("update")]


def versions(fleet: Subscriber) -> list[str]:
    return [result["model"]["version"] for result in fleet.of("result/a")]


def slot(fleet: Subscriber) -> dict[str, Any]:
    return next((one for one in fleet.last("models").get("models", ()) if one["name"] == "level"), {})


def slot_on_disk(file: Path) -> tuple[str, int]:
    pointer = json.loads(file.read_text())
    return pointer["state"], pointer["attempt"]


def audited(daemon: DaemonProcess, at: str) -> list[dict[str, Any]]:
    """Ask the audit which digests gave the results of a moment."""
    told = StringIO()
    with redirect_stdout(told):
        assert main(["audit", "--config", str(daemon.config), "--at", at, "--json"]) == 0
    document = json.loads(told.getvalue())
    assert document["journal"]["whole"]
    models: list[dict[str, Any]] = document["models"]
    return models


def test_an_order_by_strangers_is_refused(
    fleet: Subscriber, daemon: DaemonProcess, shop: Versions, tmp_path: Path
) -> None:
    until(lambda: versions(fleet), "a result")
    stranger = Versions(tmp_path / "strangers", shop.port)

    stranger.order({"level": stranger.make("2.0.0")})

    until(
        lambda: ("rejected", "signature") in [(one["state"], one["code"]) for one in fleet.of("update")], "no", WITHIN_S
    )
    assert set(versions(fleet)) == {"1.0.0"}
    assert daemon.stop()[0] == 0


def test_an_order_goes_live_between_two_frames_and_is_committed(
    fleet: Subscriber, daemon: DaemonProcess, shop: Versions
) -> None:
    until(lambda: versions(fleet), "a result")

    shop.order({"level": shop.make("2.0.0")})

    until(lambda: told(fleet)[-1:] == ["committed"] and "probation" in told(fleet), "it is committed", WITHIN_S)
    until(lambda: "2.0.0" in versions(fleet), "it gives results")
    states = list(dict.fromkeys(told(fleet)))
    assert [state for state in states if state != "committed"] == list(STATES)
    until(lambda: (slot(fleet).get("desired") or {}).get("met"), "out/models tells that it is as ordered")
    until(lambda: slot(fleet)["state"] == "committed", "and that it is committed")
    conduct = slot(fleet)["conduct"]
    assert (conduct["version"], conduct["now"]["results"] >= 5) == ("2.0.0", True)
    shop.order({"level": shop.make("3.0.0", since="2.0.0")})
    until(lambda: "3.0.0" in versions(fleet), "a later one goes live, of a difference to it", WITHIN_S)
    frames = [result["frame"] for result in fleet.of("result/a")]
    assert frames == list(range(frames[0], frames[0] + len(frames)))
    assert versions(fleet) == sorted(versions(fleet))
    results = fleet.of("result/a")
    assert daemon.stop()[0] == 0
    for result, seq in ((results[0], None), (next(one for one in results if one["model"]["version"] == "2.0.0"), 1)):
        (served,) = audited(daemon, result["captured_at"])
        assert result["model"]["digest"] in served["variants"].values()
        assert (served["order"] or {}).get("seq") == seq


def test_an_order_with_shadow_goes_live_only_where_it_answers_as_what_is_live(
    fleet: Subscriber, daemon: DaemonProcess, shop: Versions
) -> None:
    until(lambda: versions(fleet), "a result")
    beside = {"shadow_one_in": 2, "shadow_frames": 10}

    shop.order({"level": {**shop.make("2.0.0", threshold=1.0), **beside}})

    until(lambda: told(fleet)[-1:] == ["failed"], "it is refused", WITHIN_S)
    refused = fleet.of("update")[-1]
    assert refused["code"] == "shadow"
    assert refused["figures"]["shadow"]["agreed"] < 9
    assert set(versions(fleet)) == {"1.0.0"}
    stick = shop.repository / "orders"
    stick.mkdir()
    (stick / f"device-{DEVICE}.json").write_bytes(shop.signed({"level": {**shop.make("3.0.0"), **beside}}))
    daemon.reload()  # or half a minute later
    until(
        lambda: told(fleet)[-1:] == ["committed"], "one that answers alike, ordered by a stick, is committed", WITHIN_S
    )
    agreed = next(one for one in fleet.of("update") if one.get("event") == "agreed")
    compared = agreed["figures"]["shadow"]["compared"]
    assert compared >= 10
    assert agreed["reason"] == f"{compared} of {compared} frames agree in shadow"
    frames = [result["frame"] for result in fleet.of("result/a")]
    assert frames == list(range(frames[0], frames[0] + len(frames)))
    assert daemon.stop()[0] == 0


def test_crashes_during_the_probation_bring_the_old_one_back(
    fleet: Subscriber, daemon: DaemonProcess, shop: Versions
) -> None:
    """Case 44 with the real daemon, kill -9 for a crash."""
    until(lambda: versions(fleet), "a result")
    shop.order({"level": {**shop.make("2.0.0"), "probation_s": 3600}})
    until(lambda: "2.0.0" in versions(fleet), "it gives results", WITHIN_S)
    file = daemon.config.parent / "state" / "slots" / "level" / "pointer.json"

    for crashes in (1, 2):
        daemon.kill()
        daemon.start()
        until(lambda: json.loads(file.read_text())["attempt"] == crashes, "it counts the start")  # noqa: B023 - used up at once
    daemon.kill()
    daemon.start()

    until(lambda: json.loads(file.read_text())["state"] == "rolled-back", "the old one is back")
    until(lambda: versions(fleet)[-1] == "1.0.0", "it gives results")
    assert daemon.stop()[0] == 0


def test_a_shadow_that_brings_the_daemon_down_is_counted_against_the_release(
    fleet: Subscriber, daemon: DaemonProcess, shop: Versions
) -> None:
    """What a candidate does to the box beside what is live (its memory, its driver) ends no child of its own, but everything: kill -9."""
    until(lambda: versions(fleet), "a result")
    file = daemon.config.parent / "state" / "slots" / "level" / "pointer.json"
    shop.order({"level": {**shop.make("2.0.0"), "shadow_one_in": 1, "shadow_frames": 100_000}})

    for crashes in range(3):
        until(lambda: slot_on_disk(file) == ("shadowing", crashes), "it runs beside what is live", WITHIN_S)  # noqa: B023 - used up at once
        daemon.kill()
        daemon.start()

    until(lambda: slot_on_disk(file)[0] == "failed", "the release is refused", WITHIN_S)
    assert "its run in shadow, was interrupted 3 times" in json.loads(file.read_text())["reason"]
    held = json.loads((file.parents[2] / "quarantine.json").read_text())["releases"]
    assert [one["release"]["version"] for one in held] == ["2.0.0"]
    until(lambda: told(fleet)[-1:] == ["failed"], "and that is told")
    fleet.heard.clear()
    until(lambda: versions(fleet), "it gives results")
    assert set(versions(fleet)) == {"1.0.0"}
    assert daemon.stop()[0] == 0


def test_an_ordered_configuration_is_taken_up_by_a_restart_and_put_on_probation(
    fleet: Subscriber, daemon: DaemonProcess, shop: Versions
) -> None:
    until(lambda: versions(fleet), "a result")

    shop.order({"level": None}, configuration={"toml": "[telemetry]\ninterval_s = 3600\n"})

    until(
        lambda: ("configuration", "probation") in [(one["model"], one["state"]) for one in fleet.of("update")],
        "it is",
        WITHIN_S,
    )
    until(lambda: "restart.in-place" in daemon.said(), "it starts again", WITHIN_S)
    fleet.heard.clear()
    until(lambda: versions(fleet), "it goes on", WITHIN_S)
    pointer = daemon.config.parent / "state" / "slots" / ".configuration" / "pointer.json"
    until(lambda: json.loads(pointer.read_text())["state"] == "probation", "still on probation")
    assert json.loads(pointer.read_text())["attempt"] == 0  # the restart was its own
    assert daemon.stop()[0] == 0
    assert "Traceback" not in daemon.said()
