"""``edgectl doctor`` on a machine with a real systemd, where edged is a service with an account of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from edged.config.share import shipped
from fakes import boot, brokers
from fakes.boot import Machine
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows

pytestmark = pytest.mark.slow

DOCS = Path(__file__).resolve().parents[2] / "docs" / "systemd.md"
DOCTOR = ("/opt/edged/bin/python", "-c", "from edgectl.cli import main; raise SystemExit(main())", "doctor", "--json")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
Row = Mapping[str, Any]


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    boot.require()
    broker, made = brokers.mosquitto(tmp_path), Machine(tmp_path)
    try:
        sensor_bundle(made.root / "etc/edged/models/level")
        write_windows(made.root / "etc/edged/spindle.csv", range(100))
        mqtt = f'[device]\nid = "press-07"\n[mqtt]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        source = csv_source(Path("/etc/edged/spindle.csv"), more='pace = "recorded"\nloop = true')
        made.write("/etc/edged/edged.toml", mqtt + source + pipeline("a"))
        made.write("/usr/local/bin/sudo", '#!/bin/sh\nexec "$@"\n', 0o755)
        yield made
    finally:
        made.close()
        broker.close()


def found(machine: Machine, *groups: str, who: tuple[str, ...] = ()) -> dict[str, Row]:
    said = machine.do(*who, "sh", "-c", '"$@" 2> /dev/null || [ $? = 1 ]', "sh", *DOCTOR, *groups)
    rows = json.loads(said)["rows"]
    assert not [row for row in rows if "itself broke" in row["evidence"] or "Errno 13" in row["evidence"]]
    return {row["check"]: row for row in rows}


def test_a_service_without_a_watchdog_is_given_one_started_and_seen_by_whoever_asks(machine: Machine) -> None:
    install = DOCS.read_text(encoding="utf-8").split("```sh\n")[1].split("```")[0]
    machine.do(text=f"set -eux\n{install}")
    unit = (shipped("systemd") / "edged.service").read_text("utf-8").replace("WatchdogSec=30\n", "")
    machine.write("/etc/systemd/system/edged.service", unit)
    machine.do(text="systemctl daemon-reload; systemctl disable --now edged")
    rows = found(machine, "service")
    assert (rows["watchdog"]["status"], rows["account"]["status"], rows["state"]["status"]) == ("fail", "ok", "warn")
    assert "ActiveState=inactive" in rows["state"]["evidence"]

    machine.do(text=f"set -eux\n{rows['watchdog']['remedy']}\n{rows['state']['remedy']}")

    for who in ((), NOBODY):
        rows = found(machine, who=who)
        assert (rows["watchdog"]["status"], rows["user"]["evidence"]) == ("ok", "judged as edged")
        # Whoever is not root asks systemd over D-Bus, which this machine lacks, and may not read the configuration.
        assert re.search(
            r"edged \(process \d+\) runs$" if who else "ActiveState=active, SubState=running", rows["state"]["evidence"]
        )
        assert rows["state directory" if who else "fsync"]["status"] == ("skipped" if who else "ok")
