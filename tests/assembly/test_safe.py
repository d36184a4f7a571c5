from __future__ import annotations

from pathlib import Path

import pytest

from edged.assembly.safe import SafePlanner, safe_mode
from edged.config.load import load
from edged.daemon import Plan
from fakes.daemon import write_config
from fakes.sensor import csv_source, pipeline

MANAGER = {"MONITOR_UNIT": "edged.service", "MONITOR_SERVICE_RESULT": "watchdog"}


@pytest.mark.parametrize(
    ("environment", "cause"),
    [
        ({}, "it was started in safe mode"),
        ({**MANAGER, "MONITOR_SERVICE_RESULT": "success"}, "it was started in safe mode"),
        (MANAGER, "edged.service ended too often, at last by watchdog"),
        (
            {**MANAGER, "MONITOR_EXIT_CODE": "killed", "MONITOR_EXIT_STATUS": "ABRT"},
            "edged.service ended too often, at last by watchdog (killed ABRT)",
        ),
    ],
    ids=["by hand", "by hand under systemd", "an old systemd", "systemd"],
)
def test_safe_mode_tells_what_brought_it_about(environment: dict[str, str], cause: str) -> None:
    reason = safe_mode(environment, 7)
    assert (reason.code, reason.component, reason.since_mono_ns, reason.fatal) == ("safe-mode", "edged", 7, True)
    assert reason.message == f"runs no pipelines: {cause}"
    assert "systemctl start edged" in reason.remedy


def test_in_safe_mode_nothing_is_planned_whatever_the_configuration_asks_for(tmp_path: Path) -> None:
    config = load(write_config(tmp_path, 1883, csv_source(tmp_path / "x.csv") + pipeline("a"))).config
    reason = safe_mode({}, 0)
    planner = SafePlanner(config, [reason])
    assert planner() == planner() == Plan((), (reason,))
    assert (planner.config, planner.plans) == (config, 2)
