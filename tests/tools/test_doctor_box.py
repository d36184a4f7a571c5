"""The checks of ``edgectl doctor`` about heat, disk, memory and trust."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace

import pytest

from edgectl.checks import disk, heat, memory, trust
from edgectl.checks.rows import Ground
from edgectl.doctor import survey
from edged.domain.device import Evidence, Finding
from fakes.box import inventory
from fakes.devicetree import build, plant
from fakes.doctored import LITERT, ground, live, status_of
from fakes.nvme import Drive


class TestHeat:
    def test_a_pi_that_is_short_of_voltage_and_held_back_says_both(self, tmp_path: Path) -> None:
        there = survey(root=plant("raspberry-pi-4-coral-usb3", tmp_path))
        found = status_of((*heat.temperature(there), *heat.throttling(there), *heat.power(there)))
        assert {name: status for name, (status, _) in found.items()} == {
            "temperature": "ok",
            "throttling": "warn",
            "under-voltage": "fail",
        }

    def test_a_cap_on_the_frequency_is_told_with_the_command_that_lifts_it(self, tmp_path: Path) -> None:
        policy = "sys/devices/system/cpu/cpufreq/policy0"
        root = build(f"{policy}/cpuinfo_max_freq = 2000000\n{policy}/scaling_max_freq = 1000000", tmp_path)
        (row,) = heat.throttling(ground(root))
        assert (row.status, row.evidence.split()[5]) == ("warn", "50%")
        assert "scaling_max_freq" in row.remedy

    def test_heat_fails(self, tmp_path: Path) -> None:
        alarm = Finding("temperature-high", (Evidence("sys/x", "99000"),), "improve the cooling")
        there = ground(tmp_path)
        hot = replace(there, box=replace(there.box, inventory=replace(inventory(), warnings=(alarm,))))
        (row,) = heat.temperature(hot)
        assert (row.status, row.evidence) == ("fail", "sys/x = 99000")


class TestDisk:
    @pytest.mark.parametrize(("life", "status"), [("0x01 0x02", "ok"), ("0x09 0x01", "warn"), ("0x0b 0x01", "fail")])
    def test_wear_of_emmc_is_told_in_tenths(self, tmp_path: Path, life: str, status: str) -> None:
        row = next(iter(disk.wear(ground(build(f"sys/block/mmcblk0/device/life_time = {life}", tmp_path)))))
        assert (row.check, row.status) == ("wear", status)

    @pytest.mark.parametrize(
        ("used", "warning", "status", "evidence"),
        [
            (12, 0b0, "ok", "12 % of its writes used, 97 % of its spare blocks left"),
            (93, 0b10, "warn", "93 % of its writes used, 97 % of its spare blocks left"),
            (104, 0b0, "fail", "104 % of its writes used, 97 % of its spare blocks left"),
            (3, 0b1000, "fail", "3 % of its writes used, 97 % of its spare blocks left; it takes no more writes"),
        ],
    )
    def test_wear_of_nvme_is_what_the_drive_says(
        self, tmp_path: Path, used: int, warning: int, status: str, evidence: str
    ) -> None:
        there = replace(live(tmp_path), root=build("sys/class/nvme/nvme0/model = x\ndev/nvme0", tmp_path))
        (row,) = disk.wear(there, Drive(used=used, warning=warning, spare=97))
        assert (row.check, row.subject, row.status, row.evidence) == ("wear", "nvme0n1", status, evidence)
        assert row.remedy.startswith("sudo dd if=/dev/nvme0n1 ") == (status != "ok")

    @pytest.mark.parametrize(
        ("error", "why"),
        [(errno.EACCES, "it tells root alone: sudo edgectl doctor disk"), (errno.ENOTTY, "it does not tell: ")],
    )
    def test_a_drive_that_does_not_tell_is_no_fault(self, tmp_path: Path, error: int, why: str) -> None:
        there = replace(live(tmp_path), root=build("sys/class/nvme/nvme0/model = x\ndev/nvme0", tmp_path))
        (row,) = disk.wear(there, Drive(error=error))
        assert row.status == "skipped"
        assert row.evidence.startswith(why)

    def test_a_drive_that_refuses_is_not_taken_for_a_new_one(self, tmp_path: Path) -> None:
        there = replace(live(tmp_path), root=build("sys/class/nvme/nvme0/model = x\ndev/nvme0", tmp_path))
        (row,) = disk.wear(there, Drive(status=0x4002))
        assert (row.status, row.evidence) == ("skipped", "it does not tell: it answered with status 0x4002")

    def test_errors_that_a_file_system_met_fail(self, tmp_path: Path) -> None:
        rows = list(disk.wear(ground(build("sys/fs/ext4/mmcblk0p2/errors_count = 3", tmp_path))))
        assert [(row.check, row.status) for row in rows] == [("wear", "skipped"), ("errors", "fail")]

    def test_writes_are_timed_and_leave_nothing_behind(self, tmp_path: Path) -> None:
        there = live(tmp_path)
        there.config.state.directory.mkdir()
        row = next(row for row in disk.rows(there) if row.check == "fsync")
        assert row.details["writes"] == disk.FSYNCS
        assert 0 < row.details["p50_ms"] <= row.details["worst_ms"]
        assert not list(there.config.state.directory.iterdir())

    @pytest.mark.parametrize(("took_ms", "status"), [(20.0, "ok"), (150.0, "warn"), (1200.0, "fail")])
    def test_a_disk_that_syncs_slowly_is_told_with_who_else_writes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took_ms: float, status: str
    ) -> None:
        there = live(tmp_path)
        there.config.state.directory.mkdir()
        monkeypatch.setattr(disk, "_fsyncs", lambda _state: [took_ms] * disk.FSYNCS)
        row = next(row for row in disk.rows(there) if row.check == "fsync")
        assert (row.status, f"p50 {took_ms:.1f} ms" in row.evidence) == (status, True)
        assert row.remedy.startswith("iostat ") == (status != "ok")

    def test_a_state_directory_that_the_daemon_will_make_is_no_fault(self, tmp_path: Path) -> None:
        (row,) = disk.rows(live(tmp_path))
        assert row.status == "skipped"


class TestMemory:
    @pytest.mark.parametrize(("available_kb", "status"), [(400_000, "ok"), (90_000, "warn")])
    def test_a_box_whose_memory_runs_short_is_told_with_who_has_it(
        self, tmp_path: Path, available_kb: int, status: str
    ) -> None:
        meminfo = f"MemTotal: 1000000 kB\\nMemAvailable: {available_kb} kB"
        (row,) = memory.rows(ground(build(f"proc/meminfo = {meminfo}", tmp_path)))
        assert (row.check, row.status) == ("available", status)
        assert row.remedy.startswith("ps ") == (status == "warn")

    def test_a_pipeline_that_does_not_fit_fails_and_one_that_does_is_told_with_the_room(self, tmp_path: Path) -> None:
        source = {"name": "dock", "kind": "camera", "url": "rtsp://10.0.0.7/a"}
        gate = {"name": "gate", "source": "dock", "model": "parts"}
        there = live(tmp_path, source=[source], pipeline=[gate])
        (fits,) = memory.budget(with_memory(there, 4000, tmp_path / "large"))
        (refused,) = memory.budget(with_memory(there, 1, tmp_path / "small"))
        assert (fits.status, fits.subject) == ("ok", "gate")
        assert (refused.status, refused.subject) == ("fail", "gate")
        assert refused.remedy.startswith(f"sudoedit {there.file}  # ")


def with_memory(there: Ground, available_mb: int, root: Path) -> Ground:
    meminfo = f"MemTotal: 8000000 kB\\nMemAvailable: {1024 * available_mb} kB"
    return replace(there, box=replace(there.box, runtimes=(LITERT,), root=build(f"proc/meminfo = {meminfo}", root)))


@pytest.mark.parametrize(
    ("days", "status", "word"),
    [(200, "ok", ""), (40, "warn", "edgectl repo rotate"), (-1, "fail", "edgectl repo rotate")],
)
def test_a_root_of_trust_is_told_in_time_before_it_ends(tmp_path: Path, days: int, status: str, word: str) -> None:
    ends = datetime.now(timezone.utc) + timedelta(days=days)
    root = {"signed": {"_type": "root", "version": 3, "expires": f"{ends:%Y-%m-%dT%H:%M:%SZ}"}}
    (tmp_path / "root.json").write_text(json.dumps(root))
    updates = {"repository": "https://models.plant.local/", "trust": str(tmp_path / "root.json")}
    (row,) = trust.rows(live(tmp_path, updates=updates))
    assert (row.status, row.remedy.startswith(word)) == (status, True)


@pytest.mark.parametrize(("is_own", "owner"), [(True, "-o alice "), (False, "-o alice -g alice ")])
def test_a_folder_that_root_makes_is_the_daemons(
    *, is_own: bool, owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = SimpleNamespace(name="alice", is_own=is_own, may=lambda _place, _wanted: False)
    monkeypatch.setattr(disk, "daemon_account", lambda _ground: alice)
    (row,) = disk.rows(live(tmp_path))
    assert row.remedy == f"sudo install -d {owner}-m 700 {tmp_path / 'state'}"
