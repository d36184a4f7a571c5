"""What the governor is told: the box's files, and how each pipeline served lately."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.assembly.feeling import Feeling
from edged.control.pressure import Service
from edged.control.profile import Bounds, Temperatures
from fakes.levers import FakeLevers, pipeline_of

NONE = Bounds()
S = 1_000_000_000
FILES = {
    "proc/meminfo": "MemTotal: 2097152 kB\nMemAvailable: 524288 kB\n",
    "proc/vmstat": "pswpout 7\npswpin 25600\n",
    "proc/pressure/cpu": "some avg10=12.50 avg60=0.00 avg300=0.00 total=0\n",
    "proc/pressure/memory": "some avg10=2.00 avg60=0 avg300=0 total=0\nfull avg10=1.50 avg60=0.00 avg300=0.00 total=0\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/thermal_zone0/temp": "66000\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_type": "passive\n",
    "sys/class/thermal/thermal_zone0/trip_point_0_temp": "80000\n",
    "sys/class/thermal/thermal_zone0/trip_point_1_type": "critical\n",
    "sys/class/thermal/thermal_zone0/trip_point_1_temp": "110000\n",
    "sys/class/apex/apex_0/temp": "70000\n",
    "sys/class/apex/apex_0/trip_point0_temp": "84800\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Give a box's files."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_boxs_files_become_signals(root: Path) -> None:
    felt = Feeling(root, NONE)((), S)

    assert (felt.headroom_c, felt.critical_c, felt.accelerator_headroom_c) == (14.0, 44.0, pytest.approx(14.8))
    assert (felt.cpu_some_percent, felt.memory_full_percent, felt.memory_free_percent) == (12.5, 1.5, 25.0)
    assert felt.swapped_mb_s is felt.under_voltage is None


def test_the_profiles_limits_say_where_it_begins(root: Path) -> None:
    felt = Feeling(root, Bounds(temperature_c=Temperatures(soft=66.0, hard=82.0)))((), S)

    assert (felt.headroom_c, felt.critical_c) == (5.0, 21.0)


def test_an_empty_root_is_no_reason_to_do_anything(tmp_path: Path) -> None:
    felt = Feeling(tmp_path, NONE)((), S)

    assert felt.headroom_c is felt.memory_free_percent is felt.throttled is None


def test_what_comes_back_from_swap_is_a_rate(root: Path) -> None:
    feel = Feeling(root, NONE)
    feel((), S)
    (root / "proc/vmstat").write_text("pswpin 51200\n")

    assert feel((), 3 * S).swapped_mb_s == 50.0
    assert feel((), 4 * S).swapped_mb_s == 0.0


def test_the_nearest_limit_of_box_and_control_group_counts(root: Path) -> None:
    group = root / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (root / "proc/self").mkdir()
    (root / "proc/self/cgroup").write_text("0::/\n")
    (group / "memory.max").write_text(f"{512 * 2**20}\n")
    (group / "memory.current").write_text(f"{496 * 2**20}\n")
    (group / "memory.stat").write_text(f"anon 1\ninactive_file {48 * 2**20}\n")

    assert Feeling(root, NONE)((), S).memory_free_percent == 12.5  # 64 of 512 MiB: the pages of files go first


def test_a_pipelines_latency_is_that_of_the_last_seconds(root: Path) -> None:
    levers = FakeLevers(priority=3, objective_ms=80.0)
    one = pipeline_of("gate", levers)
    feel = Feeling(root, NONE)
    assert feel([one], S).services == (Service("gate", 3, None, 80.0, None),)

    for _ in range(20):
        one.metrics.stages["total"].add(40.0)
        one.metrics.stages["age"].add(500.0)

    (service,) = feel([one], 2 * S).services
    assert service.p95_ms == pytest.approx(40.0, rel=0.13)
    assert service.age_s == pytest.approx(0.5, rel=0.13)


def test_a_pipeline_that_was_set_up_anew_begins_anew(root: Path) -> None:
    feel, before = Feeling(root, NONE), pipeline_of("gate", FakeLevers())
    feel([before], S)
    for _ in range(20):
        before.metrics.stages["total"].add(40.0)

    (service,) = feel([pipeline_of("gate", FakeLevers())], 2 * S).services

    assert service.p95_ms is None


def test_a_recording_is_never_late(root: Path) -> None:
    feel, one = Feeling(root, NONE), pipeline_of("gate", FakeLevers(objective_ms=1.0), lossless=True)
    feel([one], S)
    for _ in range(20):
        one.metrics.stages["total"].add(40.0)

    assert feel([one], 2 * S).services == (Service("gate", 0),)
