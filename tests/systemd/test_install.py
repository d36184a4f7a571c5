"""``pipx install``, ``edgectl install``, ``edgectl config init`` on a machine that a real systemd has booted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes import boot, brokers, pipx
from fakes.boot import Machine
from fakes.brokers import BrokerProcess
from fakes.subscriber import Subscriber
from fakes.waiting import until
from fakes.wheel import build_wheel

pytestmark = pytest.mark.slow

EDGED, SAFE = "edged.service", "edged-safe.service"
DEVICE, PASSWORD, FLEET = "press-07", "not to be seen", ("fleet", "whoever watches")
INSTALL = (pipx.EDGECTL, "install", "--mqtt-password-file", "/root/password")
HURRY = "[Service]\nWatchdogSec=5\nTimeoutAbortSec=1\nRestartSec=100ms\n"
"""So that nobody waits for the real ones; a busy machine keeps a process waiting for seconds."""
PROBE = Path(__file__).parent / "probe.py"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """Give a broker that knows the box by its password."""
    folder = tmp_path_factory.mktemp("broker")
    made = brokers.mosquitto(folder, *brokers.knowing(folder, dict(((DEVICE, PASSWORD), FLEET))))
    yield made
    made.close()


@pytest.fixture(scope="module")
def fleet(broker: BrokerProcess) -> Iterator[Subscriber]:
    """Give a client that hears everything from the start on."""
    made = Subscriber(broker.port, login=FLEET)
    yield made
    made.close()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory, broker: BrokerProcess, fleet: Subscriber) -> Iterator[Machine]:
    """Give a machine on which the three commands were run, and nothing else; the fleet has heard it from the start on."""
    assert fleet.client.is_connected()
    boot.require()
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"))
    made = Machine(tmp_path_factory.mktemp("machine"))
    try:
        made.write("/root/password", f"{PASSWORD}\n", 0o600)
        pipx.install(made, wheel)
        made.do(*INSTALL)
        address = f"127.0.0.1:{broker.port}"
        named = ("--device", DEVICE, "--username", DEVICE, "--broker", address)
        made.do(pipx.EDGECTL, "config", "init", "--yes", *named, "--sample", "parts")
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def first(machine: Machine, fleet: Subscriber) -> dict[str, Any]:
    """Give what is so after the three commands, before any test has touched the machine."""
    until(lambda: fleet.of("event/parts"), "an event")
    shown = {name: machine.show(EDGED, name) for name in ("ActiveState", "NRestarts", "UnitFileState")}
    return {"event": fleet.of("event/parts")[0], **shown}


@pytest.fixture
def box(machine: Machine, first: dict[str, Any]) -> Machine:
    """Give the machine with edged running as it was installed."""
    assert first["event"]
    machine.do(text=f"rm -f /etc/systemd/system/*.d/hurry.conf /etc/systemd/system/*.d/probe.conf; {' '.join(INSTALL)}")
    machine.do("systemctl", "reset-failed", EDGED, SAFE, check=False)
    machine.do("systemctl", "restart", EDGED)
    return machine


def hurry(box: Machine) -> None:
    for unit in (EDGED, SAFE):
        box.write(f"/etc/systemd/system/{unit}.d/hurry.conf", HURRY)
    box.do(text=f"systemctl daemon-reload; systemctl restart {EDGED}")


def outcomes(said: str) -> dict[str, Any]:
    return {step["step"]: step["outcome"] for step in json.loads(said)["steps"]}


def test_after_three_commands_events_arrive_at_a_broker_that_asks_for_a_password(first: dict[str, Any]) -> None:
    event = first["event"]
    assert (event["device"], event["rule"], event["phase"]) == (DEVICE, "seen", "start")
    assert first == {"event": event, "ActiveState": "active", "NRestarts": "0", "UnitFileState": "enabled"}


def test_the_unit_starts_the_program_where_pipx_put_it_and_sees_of_that_home_nothing_else(box: Machine) -> None:
    pid = box.show(EDGED, "MainPID")
    words = (box.root / f"proc/{pid}/cmdline").read_text().split("\0")
    assert words[:3] == [f"{pipx.ENVIRONMENT}/bin/python", f"{pipx.ENVIRONMENT}/bin/edged", "run"]
    assert box.do("ps", "-o", "user=", "-p", pid).strip() == "edged"
    home = box.root / f"proc/{pid}/root/root"
    assert {file.name for file in home.iterdir()} == {".local"}
    assert (box.root / "root/password").exists()


def test_the_password_is_roots_and_reaches_the_daemon_as_a_credential(box: Machine) -> None:
    assert box.do("stat", "-c", "%U:%G %a", "/etc/edged/credentials/mqtt").strip() == "root:root 600"
    text = (box.root / "etc/edged/edged.toml").read_text()
    assert 'password_file = "/run/credentials/edged/mqtt"' in text
    assert PASSWORD not in text
    assert PASSWORD not in box.do(pipx.EDGECTL, "config", "show")


def test_installing_again_changes_nothing_and_restarts_nothing(box: Machine) -> None:
    pid = box.show(EDGED, "MainPID")
    assert {*outcomes(box.do(*INSTALL, "--json")).values()} == {"already"}
    assert box.show(EDGED, "MainPID") == pid


def test_what_is_missing_is_mended_and_what_was_changed_is_told_and_comes_into_force(box: Machine) -> None:
    box.do(text="rm /etc/udev/rules.d/60-edged.rules; chmod 777 /etc/edged; echo >> /etc/systemd/system/edged.service")
    pid = box.show(EDGED, "MainPID")
    told = outcomes(box.do(*INSTALL, "--json"))
    assert told.pop("device rules") == "done"
    assert [told.pop(name) for name in ("folders", "units", "runs")] == ["changed"] * 3
    assert told.pop("known to systemd") == "done"
    assert {*told.values()} == {"already"}
    assert box.show(EDGED, "MainPID") != pid


def test_a_configuration_that_cannot_be_used_fails_the_last_step_alone_and_is_mended_by_the_same_command(
    box: Machine,
) -> None:
    good = (box.root / "etc/edged/edged.toml").read_text()
    box.do("systemctl", "stop", EDGED)
    box.do("rm", "/var/lib/edged/config.json")
    box.write("/etc/edged/edged.toml", "nonsense")
    told = outcomes(box.do(*INSTALL, "--json", check=False))
    assert (told.pop("runs"), {*told.values()}) == ("failed", {"already"})

    box.write("/etc/edged/edged.toml", good)

    assert outcomes(box.do(*INSTALL, "--json"))["runs"] == "done"


def test_a_daemon_that_is_stuck_is_ended_by_the_watchdog_and_started_again(box: Machine) -> None:
    assert box.show(EDGED, "WatchdogUSec") == "30s"
    hurry(box)
    box.do("systemctl", "kill", "--kill-whom=main", "--signal=STOP", EDGED)
    box.until(EDGED, "NRestarts", lambda count: int(count) > 0)
    box.until(EDGED, "ActiveState", "active".__eq__)
    assert "Watchdog timeout" in box.journal()


def test_a_daemon_that_ends_again_and_again_gives_way_to_safe_mode(box: Machine) -> None:
    hurry(box)
    for _ in range(10):
        if box.show(SAFE, "ActiveState") in {"activating", "active"}:
            break
        box.until(EDGED, "ActiveState", lambda state: state in {"active", "failed"})
        box.do("systemctl", "kill", "--kill-whom=main", "--signal=KILL", EDGED, check=False)
        until(lambda: box.show(EDGED, "SubState") != "running", "it died")
    box.until(SAFE, "ActiveState", "active".__eq__)
    assert "Start request repeated too quickly" in box.journal()


def test_the_sandbox_holds_around_a_program_below_a_home(box: Machine) -> None:
    box.write("/etc/edged/probe.py", PROBE.read_text(encoding="utf-8"))
    lines = ["[Service]", f"ExecStartPre={pipx.ENVIRONMENT}/bin/python /etc/edged/probe.py", ""]
    box.write(f"/etc/systemd/system/{EDGED}.d/probe.conf", "\n".join(lines))
    box.do(text=f"systemctl daemon-reload; systemctl restart {EDGED}")

    told = json.loads((box.root / "var/lib/edged/probe.json").read_text())
    if "does not support BPF" in box.journal():
        pytest.skip("needs a kernel with BPF programs for cgroups: devices and addresses are not guarded here")
    done = {name for name, error in told.items() if error is None}
    # The home is an empty folder there, but for the program.
    assert done == {
        "write its state",
        "write a temporary file",
        "read its configuration",
        "use the network",
        "hear of USB devices",
        "read the box's memory figures",
        "look into a home",
    }


def test_taking_it_away_leaves_the_configuration_and_what_it_knows(box: Machine, fleet: Subscriber) -> None:
    box.do(pipx.EDGECTL, "uninstall")

    assert box.show(EDGED, "LoadState") == "not-found"
    assert box.do("find", "/etc", "-name", "*edged*", "-not", "-path", "/etc/edged*").strip() == ""
    assert {*box.do("ls", "/var/lib/edged").split()} >= {"config.json", "outbox.sqlite3"}
    assert (box.root / "etc/edged/edged.toml").exists()
    assert box.do("id", "-un", "edged").strip() == "edged"
    seen = len(fleet.of("event/parts"))
    box.do(*INSTALL)
    until(lambda: len(fleet.of("event/parts")) > seen, "events again")
