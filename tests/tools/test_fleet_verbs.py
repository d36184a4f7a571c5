"""A fleet manager's verbs, on a real broker and a real repository; the boxes do as they are told to."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.publish as mqtt
import pytest

from edgectl.cli import main
from edgectl.fleet.boxes import look
from edgectl.fleet.plan import read_plan
from edgectl.fleet.rivals import announced
from edgectl.fleet.settings import read_settings
from edgectl.repo.work import Work
from edged.config.share import shipped
from edged.domain.strict import read_json
from edged.update.desired import parse
from fakes import brokers
from fakes.fleetbox import FleetBox
from fakes.ptyscreen import PtyScreen
from fakes.waiting import until

pytestmark = pytest.mark.slow

BUNDLE = shipped("models") / "sensor-forecast"
PLAN = """
name = "autumn"
model = {{ name = "sensor-forecast", version = "{version}" }}
stage = [
  {{ name = "canary", share = 0.2, soak_s = 0 }},
  {{ name = "all", share = 1.0, soak_s = 0 }},
]
abort = {{ at_least = 1, min_finished = 2 }}
"""


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Give a published repository with one release."""
    folder = tmp_path_factory.mktemp("keeper") / "repository"
    assert main(["repo", "init", str(folder)]) == 0
    assert main(["repo", "add", str(folder), str(BUNDLE)]) == 0
    assert main(["repo", "sign", str(folder)]) == 0
    assert main(["repo", "publish", str(folder)]) == 0
    return Work(folder)


class Desk:
    """A fleet manager's desk: the settings, a broker, and boxes."""

    def __init__(self, folder: Path, work: Work) -> None:
        self.broker = brokers.mosquitto(folder)
        self.config = folder / "fleet.toml"
        self.config.write_text(
            f'[mqtt]\nport = {self.broker.port}\n[repository]\nfolder = "{work.public}"\nkeys = "{work.keys}"\nby = "jane"\n'
        )
        version = next(line for line in (BUNDLE / "model.toml").read_text().splitlines() if line.startswith("version"))
        self.version = version.split('"')[1]
        self.plan = folder / "autumn.toml"
        self.plan.write_text(PLAN.format(version=self.version))
        self.boxes: list[FleetBox] = []

    def box(self, name: str, **told: str) -> FleetBox:
        self.boxes.append(FleetBox(self.broker.port, name, model="sensor-forecast", **told))
        return self.boxes[-1]

    def run(self, *words: str) -> int:
        return main(["fleet", *words, "--config", str(self.config)])

    def close(self) -> None:
        for box in self.boxes:
            box.close()
        self.broker.close()


@pytest.fixture
def desk(tmp_path: Path, repository: Work) -> Iterator[Desk]:
    made = Desk(tmp_path, repository)
    yield made
    made.close()


def test_a_rollout_brings_the_release_to_every_box(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    boxes = [desk.box(f"box-{number}") for number in range(10)]
    assert desk.run("rollout", str(desk.plan), "--every-s", "0.1", "--json") == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [box.version for box in boxes] == [desk.version] * 10
    assert [box.seqs for box in boxes] == [[1]] * 10
    assert told[0] == {
        "schema": "edged.rollout-state/1",
        "rollout": "autumn",
        "state": "running",
        "stage": "canary",
        "reason": "",
        "sent": 2,
        "revoked": 0,
    }
    assert told[-1]["state"] == "finished"


def bars(shown: str) -> list[list[str]]:
    """Give the table's rows: mark and stage, boxes, bar, and the three counts."""
    return [line.split() for line in shown.splitlines() if "█" in line or "▓" in line or "░" in line or "▒" in line]


def test_on_a_terminal_the_bars_move_until_every_box_has_it(desk: Desk, screens: list[PtyScreen]) -> None:
    boxes = [desk.box(f"box-{number}", ends="probation") for number in range(10)]
    screen = PtyScreen(
        "fleet", "rollout", str(desk.plan), "--every-s", "0.1", "--config", str(desk.config), columns=100
    )
    screens.append(screen)

    screen.until(
        lambda shown: (
            bars(shown) == [["▸", "canary", "2", "▓" * 40, "0", "0", "2"], ["all", "8", "░" * 40, "0", "0", "0"]]
        ),
        "the canaries under way, nobody else ordered",
    )
    first = next(box for box in boxes if box.seqs)
    first.ends = "committed"
    first.again()
    screen.until(
        lambda shown: bars(shown)[:1] == [["▸", "canary", "2", "█" * 20 + "▓" * 20, "1", "0", "1"]], "half of its bar"
    )
    for box in boxes:
        box.ends = "committed"
        box.again()
    assert screen.end("") == 0

    last = screen.text()
    assert "finished" in last
    assert bars(last) == [["canary", "2", "█" * 40, "2", "0", "0"], ["all", "8", "█" * 40, "8", "0", "0"]]
    assert last.splitlines()[0] == f"autumn: sensor-forecast {desk.version}"


def test_canaries_that_fail_end_it_and_the_others_receive_nothing(desk: Desk) -> None:
    boxes = [desk.box(f"box-{number}", ends="rolled-back") for number in range(10)]
    assert desk.run("rollout", str(desk.plan), "--every-s", "0.1") == 1
    until(lambda: sorted(len(box.seqs) for box in boxes) == [0] * 8 + [2] * 2, "ordered, and taken back")


def test_a_rollout_that_is_started_anew_goes_on_where_it_was(desk: Desk) -> None:
    boxes = [desk.box(f"box-{number}") for number in range(10)]
    assert desk.run("rollout", str(desk.plan), "--once") == 0
    until(lambda: sum(len(box.seqs) for box in boxes) == 2, "two orders")
    assert desk.run("rollout", str(desk.plan), "--every-s", "0.1") == 0
    assert [box.seqs for box in boxes] == [[1]] * 10


def test_paused_it_orders_nothing_until_it_is_resumed(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    box = desk.box("box-1")
    assert desk.run("pause", "autumn") == 0
    assert desk.run("rollout", str(desk.plan), "--once") == 0
    assert "autumn canary paused: 1 queued (it was paused by hand)" in capsys.readouterr().out
    assert box.seqs == []
    assert desk.run("resume", "autumn") == 0
    assert desk.run("rollout", str(desk.plan), "--every-s", "0.1") == 0
    assert box.seqs == [1]


def test_aborted_it_takes_back_what_is_not_committed(desk: Desk) -> None:
    box = desk.box("box-1", ends="probation")
    assert desk.run("rollout", str(desk.plan), "--once") == 0
    until(lambda: box.seqs == [1], "an order")
    assert desk.run("abort", "autumn") == 0
    assert desk.run("rollout", str(desk.plan), "--once") == 1
    until(lambda: box.seqs == [1, 2], "the order that takes it back")


def test_a_second_rollout_of_the_model_to_the_same_boxes_is_refused_until_the_first_is_over(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    box = desk.box("box-0", ends="probation")
    assert desk.run("rollout", str(desk.plan), "--once") == 0
    until(lambda: box.seqs, "the first has ordered")
    winter = desk.plan.with_name("winter.toml")
    winter.write_text(desk.plan.read_text().replace('"autumn"', '"winter"'))
    capsys.readouterr()

    assert desk.run("rollout", str(winter), "--once") == 2

    said = capsys.readouterr().err
    assert "cannot roll winter out: autumn rolls sensor-forecast out to box-0, expected it to be over" in said
    assert "edgectl fleet abort autumn" in said
    assert len(box.seqs) == 1
    assert desk.run("abort", "autumn") == 0
    assert desk.run("rollout", str(winter), "--once") == 0


def announce(desk: Desk, name: str, begun_s: float) -> None:
    plan = read_plan(desk.plan).model_copy(update={"name": name})
    topic, payload = announced(plan, begun_s, is_over=False)
    mqtt.single(topic, payload, 1, retain=True, hostname="127.0.0.1", port=desk.broker.port)


def test_of_two_rollouts_begun_within_a_moment_one_goes_on_though_their_clocks_differ(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """The other's clock is a day late: it reads that it was first, and goes on; so this one must not, though it has begun."""
    box = desk.box("box-0", ends="probation")
    ended: list[int] = []
    first = threading.Thread(target=lambda: ended.append(desk.run("rollout", str(desk.plan), "--every-s", "0.1")))
    first.start()
    until(lambda: box.seqs, "the first has ordered")

    announce(desk, "winter", time.time() - 86_400)
    first.join(60.0)

    assert ended == [2]
    assert "winter rolls sensor-forecast out to box-0" in capsys.readouterr().err
    assert len(box.seqs) == 1
    fleet = look(read_settings(desk.config))
    assert list(fleet.announced) == ["winter"]


def test_a_rollout_that_is_run_again_after_its_end_counts_as_new(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.box("box-0")
    assert desk.run("rollout", str(desk.plan), "--every-s", "0.1") == 0
    assert look(read_settings(desk.config)).announced["autumn"].is_over
    announce(desk, "winter", time.time())
    capsys.readouterr()

    assert desk.run("rollout", str(desk.plan), "--once") == 2

    assert "winter rolls sensor-forecast out to box-0" in capsys.readouterr().err
    assert look(read_settings(desk.config)).announced["autumn"].is_over


def test_who_looks_on_orders_nothing(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    box = desk.box("box-1")
    assert desk.run("watch", str(desk.plan), "--once") == 0
    assert "1 queued" in capsys.readouterr().out
    assert box.seqs == []


def test_one_box_is_ordered_at_once_and_what_it_has_is_shown(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    box = desk.box("box-1")
    assert desk.run("assign", "sensor-forecast", desk.version, "--device", "box-1") == 0
    until(lambda: box.version == desk.version, "the release")
    capsys.readouterr()
    assert desk.run("show", "box-1", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["online"], told["ordered"]) == (True, {"sensor-forecast": desk.version})


def test_an_order_carries_the_signature_of_the_role(desk: Desk, repository: Work) -> None:
    box = desk.box("box-1")
    words = ("assign", "sensor-forecast", desk.version, "--device", "box-1", "--shadow-one-in", "5")
    assert desk.run(*words) == 0
    until(lambda: bool(box.envelopes), "an order")
    envelope = read_json(box.envelopes[0], 4)
    order = parse(base64.b64decode(envelope["payload"])).models["sensor-forecast"]
    assert order is not None
    assert order.shadow_one_in == 5
    names = {file.stem.partition("-")[2] for file in repository.keys.glob("desired-*.pem")}
    assert {one["keyid"][:12] for one in envelope["signatures"]} == names


def test_the_list_names_those_in_trouble_first(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.box("box-1")
    desk.box("box-2").tell("health", state="failed", reasons=[])
    assert desk.run("list") == 0
    said = capsys.readouterr().out
    assert said.index("box-2") < said.index("box-1")
    assert "2 boxes, 2 online" in said
    assert "sensor-forecast: 2 run 1.0.0" in said


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("show", "nobody"), 2, "the broker retains nothing of it"),
        (("assign", "parts", "9.9.9", "--device", "box-1"), 2, "does not offer it"),
        (("assign", "parts", "9.9.9"), 2, "expected --device or --group"),
        (("rollout", "nowhere.toml"), 2, "nowhere.toml"),
    ],
)
def test_what_cannot_be_done_is_told(
    desk: Desk, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], status: int, says: str
) -> None:
    assert desk.run(*words) == status
    assert says in capsys.readouterr().err


def test_an_empty_fleet_is_told(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert desk.run("rollout", str(desk.plan), "--once") == 2
    assert "the broker retains no box that it is for" in capsys.readouterr().err
