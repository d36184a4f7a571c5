"""The units under a real systemd: what it hears from edged, and what it does when edged hangs, dies, or will not stay up."""

from __future__ import annotations

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edged.config.share import shipped
from edged.daemon import STUCK_AFTER_S
from edged.telemetry.journal import message_id
from fakes import boot
from fakes.boot import Machine
from fakes.brokers import BrokerProcess, free_port
from fakes.hanging import hanging_bundle
from fakes.sensor import csv_source, picture_bundle, pipeline, sensor_bundle, write_windows
from fakes.subscriber import Subscriber
from fakes.waiting import LONGEST_S, until

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parents[2] / "docs" / "systemd.md"
EDGED, SAFE = "edged.service", "edged-safe.service"
PERIOD_S = 5
"""The watchdog's period where a test is about it and need not wait for the real one; a busy machine keeps a process waiting for seconds."""
PINS = (("tflite", "large-tflite-int8"), ("onnx", "small-onnx-fp32"))
"""A pipeline a runtime, and the variant that needs it."""
ALLOWED = {
    "write its state",
    "write a temporary file",
    "read its configuration",
    "open a serial port",
    "use the network",
    "hear of USB devices",
    "read the box's memory figures",
}
FORBIDDEN = {
    "write its configuration",
    "write a program",
    "write a unit",
    "set the kernel",
    "look into a home",
    "see other processes",
    "open the memory",
    "open a device that is not listed",
    "reach the internet",
    "sniff the network",
    "run as root",
    "make a program that runs as its owner",
    "enter a namespace",
    "write code and run it",
    "set the clock",
}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Give a machine on which edged was installed as the documentation says."""
    boot.require()
    made = Machine(tmp_path_factory.mktemp("machine"))
    try:
        _install(made)
        yield made
    finally:
        made.close()


@pytest.fixture
def box(machine: Machine) -> Machine:
    """Give the machine with edged stopped, without state and as it was installed, but for restarts that are in a hurry."""
    machine.do(
        text=f"""systemctl stop {EDGED} {SAFE}
        rm -rf /etc/systemd/system/*.d /etc/edged/conf.d/* /etc/edged/models/* /var/lib/edged
        """
    )
    for unit in (EDGED, SAFE):
        machine.write(f"/etc/systemd/system/{unit}.d/hurry.conf", "[Service]\nRestartSec=100ms\n")
    machine.do(text=f"systemctl daemon-reload; systemctl reset-failed {EDGED} {SAFE} || true")
    sensor_bundle(machine.root / "etc/edged/models/level")
    write_windows(machine.root / "etc/edged/spindle.csv", range(100))
    return machine


def _install(machine: Machine) -> None:
    """Do what the documentation's second block says, to the letter."""
    install = DOCS.read_text(encoding="utf-8").split("```sh\n")[1].split("```")[0]
    machine.do(text=f"set -eux\n{install}")
    machine.until(EDGED, "ActiveState", "active".__eq__)


def configure(machine: Machine, port: int, *sections: str, more: str = "") -> None:
    mqtt = f'[device]\nid = "press-07"\n[mqtt]\nhost = "127.0.0.1"\nport = {port}\n{more}\n'
    machine.write("/etc/edged/edged.toml", mqtt + "[telemetry]\ninterval_s = 1\n" + "\n".join(sections))


def start(machine: Machine) -> None:
    machine.do("systemctl", "start", EDGED)


def until_well(machine: Machine, fleet: Subscriber) -> None:
    deadline = time.monotonic() + LONGEST_S
    while fleet.last("health").get("state") != "ok":
        assert time.monotonic() < deadline, f"{fleet.last('health')}\n{machine.journal()}"
        time.sleep(0.05)


def spindle() -> str:
    return csv_source(Path("/etc/edged/spindle.csv"), more='pace = "recorded"\nloop = true')


def test_systemd_hears_that_it_is_ready_how_it_is_and_that_it_reloads(
    box: Machine, broker: BrokerProcess, fleet: Subscriber
) -> None:
    configure(box, broker.port, spindle(), pipeline("a"))
    start(box)
    pid = box.show(EDGED, "MainPID")
    until(lambda: fleet.of("result/a"), "a result")
    box.until(EDGED, "StatusText", "ok".__eq__)

    configure(box, broker.port, spindle(), pipeline("a"), pipeline("b", model="nowhere"))
    box.do("systemctl", "reload", EDGED)
    box.until(EDGED, "StatusText", lambda text: text.startswith("degraded; ") and "nowhere" in text)

    assert (box.show(EDGED, "MainPID"), box.show(EDGED, "NRestarts")) == (pid, "0")
    began = time.monotonic()
    box.do("systemctl", "stop", EDGED)
    assert time.monotonic() - began < 5
    assert (box.show(EDGED, "Result"), box.show(SAFE, "ActiveState")) == ("success", "inactive")
    until(lambda: fleet.last("status")["state"] == "offline", "its farewell")


def test_it_keeps_its_state_where_the_unit_says_and_nobody_else_may_look(box: Machine, broker: BrokerProcess) -> None:
    configure(box, broker.port, spindle(), pipeline("a"))
    start(box)
    assert box.do("stat", "-c", "%U:%G %a", "/var/lib/edged").strip() == "edged:edged 700"
    files = box.do("ls", "/var/lib/edged").split()
    assert {"config.json", "lock", "outbox.sqlite3"} <= {*files}


def test_a_dead_camera_and_a_dead_broker_do_not_stop_the_ping(box: Machine) -> None:
    body = '[[source]]\nname = "dock"\nkind = "camera"\nurl = "{}"\n'
    picture_bundle(box.root / "etc/edged/models/still")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        camera = body.format(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/stream")
        configure(box, free_port(), camera, pipeline("a", source="dock", model="still"))
        start(box)
        box.until(
            EDGED, "StatusText", lambda text: text.startswith("failed; ") and "dock: " in text and "mqtt: " in text
        )
        for _ in range(3):
            last = box.show(EDGED, "WatchdogTimestampMonotonic")
            box.until(EDGED, "WatchdogTimestampMonotonic", lambda now, last=last: int(now) > int(last))
        assert (box.show(EDGED, "ActiveState"), box.show(EDGED, "NRestarts")) == ("active", "0")


def test_a_loop_that_hangs_in_native_code_is_killed_by_the_watchdog_and_started_again(
    box: Machine, broker: BrokerProcess, fleet: Subscriber
) -> None:
    box.write(f"/etc/systemd/system/{EDGED}.d/watchdog.conf", f"[Service]\nWatchdogSec={PERIOD_S}\n")
    box.do("systemctl", "daemon-reload")
    hanging_bundle(box.root / "etc/edged/models/hang")
    write_windows(box.root / "etc/edged/hang.csv", [1, 2, 3, -1e15])
    hang = csv_source(Path("/etc/edged/hang.csv"), "hang", more='pace = "recorded"')
    configure(box, broker.port, spindle(), pipeline("a"), hang, pipeline("b", source="hang", model="hang"))
    start(box)
    until(lambda: fleet.of("result/b"), "a result before it hangs")
    began = time.monotonic()

    box.until(EDGED, "NRestarts", lambda count: int(count) > 0, within_s=STUCK_AFTER_S + PERIOD_S + LONGEST_S)

    assert time.monotonic() - began > STUCK_AFTER_S - 2
    box.do("systemctl", "stop", EDGED)
    journal = box.journal()
    assert "Watchdog timeout" in journal
    assert "hang: made no step for" in journal
    assert "onnx.py" in journal.partition("Fatal Python error: Aborted")[2]


def kill_until(box: Machine, fact: Callable[[], bool]) -> int:
    """Let the daemon die of a signal again and again; gives how often."""
    deaths = 0
    while not fact():
        box.until(EDGED, "ActiveState", lambda state: state in {"active", "failed"})
        if box.show(EDGED, "ActiveState") == "active":
            box.do("systemctl", "kill", "--kill-whom=main", "--signal=SEGV", EDGED)
            deaths += 1
            until(lambda: box.show(EDGED, "SubState") != "running", "it died")
        assert deaths < 10
    return deaths


def test_a_box_that_will_not_stay_up_goes_into_safe_mode_says_why_and_comes_back(
    box: Machine, broker: BrokerProcess, fleet: Subscriber
) -> None:
    configure(box, broker.port, spindle(), pipeline("a"))
    start(box)
    deaths = kill_until(box, lambda: box.show(SAFE, "ActiveState") == "active")
    assert deaths == 6
    until(lambda: fleet.codes() == {"safe-mode"}, "it says that it is in safe mode")
    assert fleet.last("health")["state"] == "failed"
    assert fleet.reason("edged") == "runs no pipelines: edged.service ended too often, at last by signal (killed SEGV)"
    results = len(fleet.of("result/a"))

    box.do("systemctl", "start", EDGED)

    box.until(SAFE, "ActiveState", "inactive".__eq__)
    until_well(box, fleet)
    until(lambda: len(fleet.of("result/a")) > results, "results again")


def test_the_command_restart_ends_safe_mode(box: Machine, broker: BrokerProcess, fleet: Subscriber) -> None:
    configure(box, broker.port, spindle(), pipeline("a"))
    box.do("systemctl", "start", SAFE)
    until(lambda: fleet.codes() == {"safe-mode"}, "it says that it is in safe mode")
    assert fleet.reason("edged") == "runs no pipelines: it was started in safe mode"

    order = {"id": "1", "verb": "restart", "args": {}, "expires_at": "2100-01-01T00:00:00Z"}
    fleet.client.publish("edged/v1/d/press-07/in/command", json.dumps(order), 1)

    box.until(EDGED, "ActiveState", "active".__eq__)
    until(lambda: fleet.of("result/a"), "a result")
    assert box.show(SAFE, "ExecMainStatus") == "75"


def test_a_configuration_that_cannot_be_used_is_not_tried_again(box: Machine) -> None:
    box.write("/etc/edged/edged.toml", "nonsense")
    assert box.do("systemctl", "start", EDGED, check=False) == ""
    box.until(EDGED, "ActiveState", "failed".__eq__)
    assert (box.show(EDGED, "ExecMainStatus"), box.show(EDGED, "NRestarts")) == ("2", "0")
    box.until(SAFE, "ActiveState", "failed".__eq__)
    assert (box.show(SAFE, "ExecMainStatus"), box.show(SAFE, "NRestarts")) == ("2", "0")


def test_the_drop_in_for_credentials_gives_the_password_to_both_units(box: Machine, broker: BrokerProcess) -> None:
    box.write("/etc/edged/credentials/mqtt", "secret\n", 0o600)
    text = (shipped("systemd") / "drop-ins" / "credentials.conf").read_text(encoding="utf-8")
    for unit in (EDGED, SAFE):
        box.write(f"/etc/systemd/system/{unit}.d/credentials.conf", text)
    box.do("systemctl", "daemon-reload")
    configure(box, broker.port, spindle(), pipeline("a"), more='password_file = "/run/credentials/edged/mqtt"')

    for unit in (EDGED, SAFE):
        # Ready is who has read the secret.
        box.do("systemctl", "start", unit)
        assert box.show(unit, "ActiveState") == "active"


def test_pictures_runtimes_and_gstreamer_work_inside_the_sandbox(
    box: Machine, broker: BrokerProcess, fleet: Subscriber
) -> None:
    models = box.do(
        "/opt/edged/bin/python", "-c", "from edged.config.share import shipped; print(shipped('models'))"
    ).strip()
    film = f'[[source]]\nname = "film"\nkind = "file"\npath = "{models}/parts/demo/conveyor.mp4"\npace = "recorded"\nloop = true\n'
    pins = [pipeline(runtime, source="film", model="parts", more=f'pin = "{pin}"') for runtime, pin in PINS]
    sections, names = [film, *pins], {runtime for runtime, _ in PINS}
    if shutil.which("gst-launch-1.0"):
        camera = "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=10/1"
        sections += [
            f'[[source]]\nname = "dock"\nkind = "camera"\nurl = "{camera}"\n',
            pipeline("gst", source="dock", model="parts"),
        ]
        names.add("gst")
    configure(box, broker.port, *sections)
    start(box)

    until(
        lambda: names == {name for name in names if fleet.last(f"result/{name}").get("detections")},
        f"answers of {names}",
    )
    until_well(box, fleet)


def test_the_sandbox_holds(box: Machine, broker: BrokerProcess) -> None:
    configure(box, broker.port, spindle(), pipeline("a"))
    box.write("/etc/edged/probe.py", (Path(__file__).parent / "probe.py").read_text(encoding="utf-8"))
    box.do(
        text="cp /usr/bin/id /usr/local/bin/id-of-root; chmod 4755 /usr/local/bin/id-of-root; chgrp dialout /dev/ttyS0"
    )
    probe = "[Service]\nExecStartPre=/opt/edged/bin/python /etc/edged/probe.py\n"
    box.write(f"/etc/systemd/system/{EDGED}.d/probe.conf", probe)
    box.do("systemctl", "daemon-reload")
    start(box)

    told = json.loads((box.root / "var/lib/edged/probe.json").read_text())
    if "does not support BPF" in box.journal():
        pytest.skip("needs a kernel with BPF programs for cgroups: devices and addresses are not guarded here")
    assert {name for name, error in told.items() if error is None} == ALLOWED
    assert told.keys() - ALLOWED == FORBIDDEN


def test_the_journal_has_events_by_their_code_and_fields(box: Machine, broker: BrokerProcess) -> None:
    configure(box, broker.port, spindle(), pipeline("a"))
    start(box)

    def told() -> str:
        # Others were started before it on this machine.
        this = f"_SYSTEMD_INVOCATION_ID={box.show(EDGED, 'InvocationID')}"
        return box.do("journalctl", "--output=json", this, "EDGED_CODE=rung.opened", check=False)

    until(lambda: told() != "", "the model's entry")
    entry = json.loads(told().splitlines()[-1])
    assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"], entry["_TRANSPORT"]) == ("6", "edged", "journal")
    assert (entry["MESSAGE_ID"], entry["EDGED_MODEL"]) == (message_id("rung.opened"), "level")
