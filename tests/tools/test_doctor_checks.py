"""The checks of ``edgectl doctor`` that judge values: packages, versions, mode bits, units, formats; and how checks are run."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgectl.checks import (
    account,
    cameras,
    coral,
    daemon,
    packages,
    permissions,
    serials,
    service,
    system,
)
from edgectl.checks.rows import Check, Ground, Row
from edgectl.checks.run import run
from edgectl.checks.table import GROUPS, TABLE
from edgectl.doctor import examine, survey
from edged.assembly.state import Lock
from edged.domain.errors import DeviceError
from edged.hardware.runtimes import InstalledRuntime
from edged.update.trust import EARLIEST_MS
from fakes.devicetree import build, plant
from fakes.doctored import LITERT, files, ground, live, status_of
from fakes.webcam import Webcam

OLD = InstalledRuntime("tflite", "tflite-runtime", "2.17.1")
ACCOUNTS = "root:x:0:0::/root:/bin/sh\nedged:x:990:990::/var/lib/edged:/usr/sbin/nologin\n"
GROUP = "root:x:0:\nvideo:x:44:\ndialout:x:20:edged\nedged:x:990:\n"


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
        rows = list(run([replace(hung, deadline_s=0.5), after], live(tmp_path)))
        never.set()
        assert [(row.check, row.status) for row in rows] == [("a", "ok"), ("0", "fail"), ("b", "ok")]
        assert rows[1].evidence == "no answer within 0.5 s"

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
            yield Row("a", "x", "ok" if second.wait(30) else "fail", "")

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
    @pytest.fixture
    def node(self, tmp_path: Path) -> Path:
        (tmp_path / "video0").touch()
        return tmp_path / "video0"

    def test_the_formats_of_a_camera_are_told(self, node: Path) -> None:
        assert cameras.formats(node, Webcam().ioctl) == ("ok", "MJPG, YUYV", "")

    def test_what_is_no_camera_says_so(self, node: Path) -> None:
        status, evidence, remedy = cameras.formats(node)
        assert (status, evidence) == ("fail", f"{node} is no camera: Inappropriate ioctl for device")
        assert remedy.startswith("edgectl camera list")

    def test_a_cameras_second_node_fails(self, node: Path) -> None:
        assert cameras.formats(node, Webcam(device_caps=0x04A0_0000).ioctl)[0] == "fail"

    def test_a_node_that_does_not_open_is_judged_elsewhere(self, node: Path) -> None:
        node.unlink()
        assert cameras.formats(node)[0] == "skipped"


def test_a_serial_port_that_is_named_in_the_order_of_plugging_in_gets_the_name_that_lasts(tmp_path: Path) -> None:
    root = build("dev/ttyUSB0\ndev/serial/by-id/usb-FTDI-if00-port0 -> ../../ttyUSB0", tmp_path)
    source = {"name": "s", "kind": "serial", "port": f"{root}/dev/ttyUSB0", "format": "csv", "columns": ["x"]}
    there = replace(live(tmp_path, source=[source]), root=root, daemon=daemon.Daemon(runs=True))
    row = next(row for row in serials.rows(there) if row.check == "name")
    assert row.status == "warn"
    wanted = f'|"{root}/dev/ttyUSB0"|"{root}/dev/serial/by-id/usb-FTDI-if00-port0"|'
    assert row.remedy == f"sudo sed -i 's{wanted}' {there.file}"


class TestDaemon:
    def test_a_daemon_is_known_by_its_lock_and_gone_with_it(self, tmp_path: Path) -> None:
        there = ground(tmp_path).config
        file = tmp_path / "edged.toml"
        assert not daemon.look(there, file).runs
        lock = Lock(there.state.directory)
        assert daemon.look(there, file) == daemon.Daemon(runs=True, pid=os.getpid())
        lock.release()
        assert not daemon.look(there, file).runs


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
