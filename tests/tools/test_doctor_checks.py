"""The checks of ``edgectl doctor`` that judge values: packages, versions, mode bits, units, formats; and how checks are run."""

from __future__ import annotations

import fcntl
import json
import os
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgectl.checks import account, cameras, coral, daemon, disk, heat, packages, permissions, service, system
from edgectl.checks.rows import Check, Ground, Row
from edgectl.checks.run import run
from edgectl.checks.table import GROUPS, TABLE
from edgectl.doctor import examine, survey
from edged.assembly.box import Box
from edged.assembly.state import Lock
from edged.config.schema import Config
from edged.domain.device import Evidence, Finding
from edged.domain.errors import DeviceError
from edged.hardware.runtimes import InstalledRuntime
from edged.update.trust import EARLIEST_MS
from fakes.box import inventory, profile
from fakes.devicetree import build, plant

LITERT = InstalledRuntime("tflite", "ai-edge-litert", "2.3.0")
OLD = InstalledRuntime("tflite", "tflite-runtime", "2.17.1")
ACCOUNTS = "root:x:0:0::/root:/bin/sh\nedged:x:990:990::/var/lib/edged:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nvideo:x:44:\ndialout:x:20:edged\nedged:x:990:\n"


def ground(root: Path, **sections: Any) -> Ground:
    """Stand on a made-up machine's files."""
    document = {"device": {"id": "press-07"}, "state": {"directory": str(root / "state")}, **sections}
    box = Box(inventory(), profile({"accelerator": "cpu"}), (), is_this_machine=False)
    return Ground(Config.model_validate(document), box, root=root)


def live(tmp_path: Path, **sections: Any) -> Ground:
    """Stand on this machine."""
    made = ground(tmp_path, **sections)
    return replace(made, box=replace(made.box, is_this_machine=True), root=Path("/"))


def files(root: Path, contents: Mapping[str, str]) -> Path:
    for name, content in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def status_of(rows: Iterator[Row] | tuple[Row, ...]) -> dict[str, tuple[str, str]]:
    return {row.check: (row.status, row.remedy) for row in rows}


class TestRunning:
    def checks(self, *functions: Callable[[Ground], Iterator[Row]], deadline_s: float = 5.0) -> list[Check]:
        return [Check("clock", f"{number}", one, deadline_s) for number, one in enumerate(functions)]

    def test_a_check_that_hangs_is_told_at_its_deadline_with_what_it_gave_and_the_next_one_runs(
        self, tmp_path: Path
    ) -> None:
        never = threading.Event()

        def hangs(_ground: Ground) -> Iterator[Row]:
            yield Row("a", "clock", "ok", "")
            never.wait()

        def works(_ground: Ground) -> Iterator[Row]:
            yield Row("b", "clock", "ok", "")

        hung, after = self.checks(hangs, works)
        rows = list(run([replace(hung, deadline_s=0.05), after], live(tmp_path)))
        never.set()
        assert [(row.check, row.status) for row in rows] == [("a", "ok"), ("0", "fail"), ("b", "ok")]
        assert rows[1].evidence == "no answer within 0.05 s"

    @pytest.mark.parametrize(
        ("error", "evidence", "remedy"),
        [
            (DeviceError("cannot x", remedy="do y"), "cannot x", "do y"),
            (OSError(5, "broken"), "[Errno 5] broken", "sudo edgectl doctor clock"),
            (ZeroDivisionError("z"), "the check itself broke: ZeroDivisionError('z')", "edgectl support"),
        ],
    )
    def test_a_check_that_breaks_fails_alone(
        self, tmp_path: Path, error: Exception, evidence: str, remedy: str
    ) -> None:
        def breaks(_ground: Ground) -> Iterator[Row]:
            raise error
            yield

        (row,) = run(self.checks(breaks), live(tmp_path))
        assert (row.status, row.evidence, row.remedy, row.group) == ("fail", evidence, remedy, "clock")

    @pytest.mark.parametrize(("uid", "status"), [(0, "fail"), (1000, "skipped")])
    def test_what_only_root_may_see_is_skipped_for_others(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uid: int, status: str
    ) -> None:
        def closed(_ground: Ground) -> Iterator[Row]:
            raise PermissionError(13, "Permission denied", "/var/lib/edged")
            yield

        monkeypatch.setattr(os, "geteuid", lambda: uid)
        (row,) = run(self.checks(closed), live(tmp_path))
        assert (row.status, row.evidence) == (status, "Permission denied: /var/lib/edged")

    def test_groups_run_side_by_side_and_are_told_in_the_order_of_the_table(self, tmp_path: Path) -> None:
        second = threading.Event()

        def waits(_ground: Ground) -> Iterator[Row]:
            yield Row("a", "x", "ok" if second.wait(5) else "fail", "")

        def comes(_ground: Ground) -> Iterator[Row]:
            second.set()
            yield Row("b", "x", "ok", "")

        rows = list(run([Check("clock", "a", waits), Check("disk", "b", comes)], live(tmp_path)))
        assert [(row.group, row.status) for row in rows] == [("clock", "ok"), ("disk", "ok")]

    def test_what_asks_the_machine_is_skipped_on_another_machines_files_and_without_a_configuration(
        self, tmp_path: Path
    ) -> None:
        def works(_ground: Ground) -> Iterator[Row]:
            yield Row("a", "clock", "ok", "")

        (elsewhere,) = run(self.checks(works), ground(tmp_path))
        unusable = replace(live(tmp_path), is_configured=False)
        (without,) = run([Check("disk", "a", works, configured=True)], unusable)
        assert (elsewhere.status, without.status) == ("skipped", "skipped")
        assert without.evidence == "the configuration cannot be used"

    def test_the_table_names_known_groups_only_and_each_has_a_check(self) -> None:
        assert list(dict.fromkeys(check.group for check in TABLE)) == list(GROUPS)


class TestPackages:
    def judged(self, **found: str) -> dict[str, tuple[str, str]]:
        there = {name.replace("_", "-"): version for name, version in found.items()}
        return {name: (judge("pip", there)[0], judge("pip", there)[2]) for name, judge in packages.RULES}

    def test_two_onnx_runtimes_fail_and_the_one_with_more_in_it_is_put_back(self) -> None:
        status, remedy = self.judged(onnxruntime="1.31.1", onnxruntime_gpu="1.30.0")["one ONNX Runtime"]
        assert status == "fail"
        assert remedy == "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime-gpu==1.30.0"
        assert self.judged(onnxruntime="1.31.1")["one ONNX Runtime"] == ("ok", "")

    def test_tflite_runtime_with_numpy_2_fails_with_numpy_1_it_is_slow_and_beside_litert_nobody_uses_it(self) -> None:
        name = "tflite with numpy"
        assert self.judged(tflite_runtime="2.14.0", numpy="2.1.0")[name] == ("fail", "pip install ai-edge-litert")
        assert self.judged(tflite_runtime="2.14.0", numpy="1.26.4")[name][0] == "warn"
        assert self.judged(tflite_runtime="2.14.0", numpy="2.1.0", ai_edge_litert="2.3.0")[name][0] == "ok"
        assert self.judged(numpy="2.1.0")[name][0] == "skipped"

    def test_what_the_configuration_needs_and_nobody_installed_is_named_by_its_extra(self, tmp_path: Path) -> None:
        serial = {"name": "s", "kind": "serial", "port": "/dev/ttyUSB0", "format": "csv", "columns": ["x"]}
        config = ground(tmp_path, source=[serial], http={}).config
        needed = {one.name for one in packages.EXTRAS if one.is_needed(config)}
        assert needed == {"serial", "http"}

    @pytest.mark.parametrize(
        ("version", "runtime", "status"),
        [
            ("16.0", LITERT, "fail"),
            ("16.0tf2.17.1-1", LITERT, "warn"),
            ("16.0tf2.17.1-1", OLD, "ok"),
            ("16.0tf2.19.1-1", OLD, "warn"),
            ("16.0", OLD, "fail"),
            ("16.0", replace(OLD, version="2.5.0"), "ok"),
            ("", LITERT, "skipped"),
        ],
    )
    def test_libedgetpu_is_held_against_the_runtime(self, version: str, runtime: InstalledRuntime, status: str) -> None:
        assert coral.fit(version, runtime)[0] == status

    def test_its_version_is_read_from_the_systems_packages_and_a_pair_that_crashed_is_told(
        self, tmp_path: Path
    ) -> None:
        status = "Package: libc6\nVersion: 2.36\n\nPackage: libedgetpu1-std\nStatus: install ok\nVersion: 16.0\n"
        root = files(tmp_path, {"var/lib/dpkg/status": status})
        pairs = {
            "pairs": {"ab litert 2.3.0": {"crashes": 2, "at_s": 1.0}, "cd litert 2.2.0": {"crashes": -1, "at_s": 1.0}}
        }
        files(tmp_path, {"state/canary.json": json.dumps(pairs)})
        there = ground(root)
        rows = list(coral.rows(replace(there, box=replace(there.box, runtimes=(LITERT,)))))
        assert [(row.check, row.status) for row in rows] == [("fits the runtime", "fail"), ("crashed before", "fail")]
        assert rows[1].evidence == "ab litert 2.3.0: 2 times in a row"


class TestService:
    UNIT = "etc/systemd/system/edged.service"
    WHOLE = "[Service]\nType=notify\nWatchdogSec=30\nExecStart=/opt/edged/bin/edged run\nUser=edged\nSupplementaryGroups=video\n"

    def box(self, root: Path, text: str) -> Ground:
        there = {"opt/edged/bin/edged": "", "etc/passwd": ACCOUNTS, "etc/group": GROUP, self.UNIT: text}
        return ground(files(root, there))

    def test_a_whole_unit_is_fine(self, tmp_path: Path) -> None:
        rows = list(service.unit(self.box(tmp_path, self.WHOLE)))
        assert {row.check: row.status for row in rows} == dict.fromkeys(
            ("installed", "watchdog", "program", "account"), "ok"
        )

    @pytest.mark.parametrize(
        ("old", "new", "check"),
        [
            ("WatchdogSec=30", "WatchdogSec=0", "watchdog"),
            ("Type=notify", "Type=simple", "watchdog"),
            ("/opt/edged/bin/edged", "/opt/other/bin/edged", "program"),
            ("User=edged", "User=nobody-there", "account"),
            ("SupplementaryGroups=video", "SupplementaryGroups=video apex", "account"),
            ("User=edged", "User=edged\nOnFailure=edged-safe.service", "safe mode"),
        ],
    )
    def test_what_a_unit_lacks_fails_with_a_command(self, tmp_path: Path, old: str, new: str, check: str) -> None:
        found = status_of(service.unit(self.box(tmp_path, self.WHOLE.replace(old, new))))
        assert found[check][0] == "fail"
        assert found[check][1].startswith(("sudo ", "python3 "))

    def test_a_drop_in_has_the_last_word_and_an_empty_value_takes_a_list_back(self, tmp_path: Path) -> None:
        there = self.box(tmp_path, self.WHOLE)
        files(tmp_path / f"{self.UNIT}.d", {"10.conf": "WatchdogSec=5min\nSupplementaryGroups=apex\n"})
        files(tmp_path / f"{self.UNIT}.d", {"20.conf": "SupplementaryGroups=\nSupplementaryGroups=audio\n"})
        found = service.settings(there, "edged.service")
        assert (found["WatchdogSec"], found["SupplementaryGroups"]) == ("5min", "audio")

    @pytest.mark.parametrize(
        ("text", "seconds"), [("30", 30), ("30s", 30), ("1min 30s", 90), ("500ms", 0.5), ("infinity", 0), ("", 0)]
    )
    def test_time_spans_are_systemds(self, text: str, seconds: float) -> None:
        assert service.seconds(text) == seconds

    def test_a_watchdog_of_the_board_that_nobody_feeds_is_a_warning(self, tmp_path: Path) -> None:
        found = status_of(
            service.hardware_watchdog(ground(build("sys/class/watchdog/watchdog0/state = inactive", tmp_path)))
        )
        assert found["hardware watchdog"][0] == "warn"
        assert "RuntimeWatchdogSec=30" in found["hardware watchdog"][1]


class TestPermissions:
    @pytest.mark.parametrize(
        ("mode", "uid", "gids", "may"),
        [
            (0o660, 990, {44}, True),
            (0o660, 990, {20}, False),
            (0o640, 990, {44}, False),
            (0o666, 990, set(), True),
            (0o066, 7, {44}, False),
            (0o600, 7, set(), True),
            (0o000, 0, set(), True),
        ],
    )
    def test_owner_group_and_others_decide_in_that_order(
        self, mode: int, uid: int, gids: set[int], *, may: bool
    ) -> None:
        about: Any = SimpleNamespace(st_mode=0o020000 | mode, st_uid=7, st_gid=44)
        wanted = os.R_OK | os.W_OK
        assert (account.allowed(about, uid, frozenset(gids)) & wanted == wanted) is may

    def test_the_daemons_groups_are_its_own_and_the_units(self, tmp_path: Path) -> None:
        files(tmp_path, {"etc/passwd": ACCOUNTS, "etc/group": GROUP})
        files(tmp_path, {TestService.UNIT: "[Service]\nUser=edged\nSupplementaryGroups=video\n"})
        found = account.daemon_account(ground(tmp_path))
        assert (found.name, found.uid, found.gids, found.is_own) == ("edged", 990, {990, 20, 44}, False)

    def test_a_box_without_the_user_is_judged_as_whoever_runs_this_and_another_machines_is_not(
        self, tmp_path: Path
    ) -> None:
        assert account.daemon_account(ground(tmp_path)).is_own
        (row,) = permissions.rows(ground(tmp_path))
        assert row.status == "skipped"

    def test_a_node_that_is_not_there_fails(self, tmp_path: Path) -> None:
        files(tmp_path, {"etc/passwd": ACCOUNTS, "etc/group": GROUP})
        there = ground(tmp_path, source=[{"name": "dock", "kind": "camera", "url": "/dev/video0"}])
        row = next(row for row in permissions.rows(there) if row.subject == "dock")
        assert (row.status, row.evidence) == ("fail", f"{tmp_path}/dev/video0 is not there")


class TestCameras:
    def test_formats_are_asked_for_one_by_one_until_the_driver_has_no_more(self) -> None:
        def ioctl(_descriptor: int, number: int, answer: bytearray) -> int:
            assert (number, len(answer)) == (cameras.ENUM_FMT, 64)
            index, kind = struct.unpack_from("=II", answer)
            assert kind == cameras.CAPTURE
            if index == 2:
                raise OSError(22, "Invalid argument")
            answer[44:48] = (b"YUYV", b"MJPG")[index]
            return 0

        assert cameras.formats(3, ioctl) == ["YUYV", "MJPG"]

    def test_what_is_no_camera_says_so(self, tmp_path: Path) -> None:
        with (tmp_path / "file").open("wb") as file, pytest.raises(OSError, match="Inappropriate ioctl"):
            cameras.formats(file.fileno(), fcntl.ioctl)


class TestDaemon:
    def test_a_daemon_is_known_by_its_lock_and_gone_with_it(self, tmp_path: Path) -> None:
        there = ground(tmp_path).config
        file = tmp_path / "edged.toml"
        assert not daemon.look(there, file).runs
        lock = Lock(there.state.directory)
        assert daemon.look(there, file) == daemon.Daemon(runs=True, pid=os.getpid())
        lock.release()
        assert not daemon.look(there, file).runs


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

    def test_a_state_directory_that_the_daemon_will_make_is_no_fault(self, tmp_path: Path) -> None:
        (row,) = disk.rows(live(tmp_path))
        assert row.status == "skipped"


def test_a_system_without_glibc_and_a_processor_without_wheels_fail(tmp_path: Path) -> None:
    root = build("lib/ld-musl-aarch64.so.1 = x", plant("zero-2-w-32bit-userland", tmp_path))
    found = status_of(system.rows(survey(root=root)))
    assert (found["C library"][0], found["32-bit-userland"][0]) == ("fail", "fail")


def test_a_clock_before_what_was_seen_fails_and_the_date_of_this_version_is_the_least(tmp_path: Path) -> None:
    config = tmp_path / "edged.toml"
    config.write_text(f'[state]\ndirectory = "{tmp_path}"\n')
    assert next(row.status for row in examine(config, ["clock"]).rows if row.check == "date") == "ok"
    seen = {"floor_ms": EARLIEST_MS * 2, "roles": {}, "orders": {}, "serial": 1}
    (tmp_path / "trust.json").write_text(json.dumps(seen))
    row = next(row for row in examine(config, ["clock"]).rows if row.check == "date")
    assert row.status == "fail"
    assert "before the time that was seen last (2083-" in row.evidence
    assert row.remedy.startswith("sudo timedatectl set-ntp true")


def test_a_configuration_that_cannot_be_used_is_told_and_what_needs_none_is_checked_all_the_same(
    tmp_path: Path,
) -> None:
    config = tmp_path / "edged.toml"
    config.write_text("[mqtt]\nhots = 'broker'\n")
    rows = examine(config, ["configuration", "heat", "broker"]).rows
    faults = [row for row in rows if row.group == "configuration"]
    assert [(row.check, row.status) for row in faults] == [("mqtt.hots", "fail")]
    assert "'host'" in faults[0].evidence
    assert faults[0].remedy == f"sudoedit {config} && edged check --config {config}"
    assert [row.status for row in rows if row.group == "broker"] == ["skipped"]
    assert [row.check for row in rows if row.group == "heat"] == ["temperature", "throttling", "under-voltage"]


@pytest.mark.parametrize(("is_own", "owner"), [(True, "-o alice "), (False, "-o alice -g alice ")])
def test_a_folder_that_root_makes_is_the_daemons(
    *, is_own: bool, owner: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = SimpleNamespace(name="alice", is_own=is_own, may=lambda _place, _wanted: False)
    monkeypatch.setattr(disk, "daemon_account", lambda _ground: alice)
    (row,) = disk.rows(live(tmp_path))
    assert row.remedy == f"sudo install -d {owner}-m 700 {tmp_path / 'state'}"
