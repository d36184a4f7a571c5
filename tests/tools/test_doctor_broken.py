"""Broken set-ups, each a real one: the doctor finds what was planted and names what mends it, and once that is done it is mended."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
import venv
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from edgectl.cli import main
from edgectl.repo import change
from edgectl.repo.change import Keepers
from edgectl.repo.keys import read_keys
from edged.update.disk import LocalDisk
from edged.update.manifest import read_bundle
from edged.update.store import Store, listing_of
from fakes import brokers
from fakes.brokers import BrokerProcess
from fakes.daemon import PROGRAM
from fakes.mjpeg import JpegCamera
from fakes.patient import Patient, Row, make_patient
from fakes.sensor import csv_source, pipeline, sensor_bundle, write_windows
from fakes.talker import Talker

pytestmark = pytest.mark.slow

FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--groups=44")


class TestDisk:
    @pytest.fixture
    def mounted(self, tmp_path: Path) -> Iterator[Patient]:
        """Give a box whose state directory is a small file system, in a place that only its own processes see."""
        if os.geteuid() != 0 or shutil.which("nsenter") is None:
            pytest.skip("needs root, to mount a file system")
        box = make_patient(tmp_path, more="[outbox]\nmax_bytes = 1_048_576")
        place = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", "echo apart; exec sleep 600"], stdout=subprocess.PIPE
        )
        box.before = ("nsenter", "-m", "-t", str(place.pid))
        try:
            # A mount before it is on its own would be this machine's.
            assert place.stdout is not None
            assert place.stdout.readline() == b"apart\n"
            assert Path(f"/proc/{place.pid}/ns/mnt").readlink() != Path("/proc/self/ns/mnt").readlink()
            box.carries_out(f"mount -t tmpfs -o size=8m none {box.folder / 'state'}")
            yield box
        finally:
            place.kill()
            place.communicate()

    def test_a_state_directory_that_is_read_only(self, mounted: Patient) -> None:
        state = mounted.folder / "state"
        mounted.carries_out(f"mount -o remount,ro {state}")
        row = mounted.finds("disk", "writable")
        assert "mounted read-only" in row["evidence"]

        mounted.carries_out(row["remedy"])

        assert mounted.finds("disk", "fsync", "ok")

    def test_a_disk_that_is_full(self, mounted: Patient) -> None:
        state = mounted.folder / "state"
        mounted.carries_out(f"head -c 8388608 /dev/zero > {state / 'forgotten.log'} || true")
        row = {row["check"]: row for row in mounted.looked_at("disk")}["space"]
        assert (row["status"], row["evidence"]) == ("fail", f"0 of 8 MB free on {state}: full")

        look, _, then = row["remedy"].partition("  # then ")
        assert then == "remove what is not needed"
        mounted.carries_out(f"{look} | grep -q {state / 'forgotten.log'} && rm {state / 'forgotten.log'}")

        assert mounted.finds("disk", "space", "ok")


def test_a_stored_model_that_was_damaged(tmp_path: Path, broker: BrokerProcess) -> None:
    bundle = read_bundle(sensor_bundle(tmp_path / "models" / "level"))
    recording = write_windows(tmp_path / "spindle.csv", range(3))
    box = make_patient(tmp_path, broker.port, csv_source(recording) + pipeline("a"))
    Store(tmp_path / "state", LocalDisk()).stage(bundle, listing_of(bundle))
    assert box.finds("models", "store", "ok")
    blob = max((tmp_path / "state" / "store" / "sha256").glob("*/*"), key=lambda file: file.stat().st_size)
    blob.write_bytes(blob.read_bytes()[:-1] + b"\0\0")
    row = box.finds("models", "store")
    assert str(blob) in row["evidence"]

    # The recording ends, and the daemon with it.
    box.program("systemctl", f"exec {PROGRAM[0]} -c '{PROGRAM[2]}' run --config {box.config}")
    box.carries_out(row["remedy"])

    assert hashlib.sha256(blob.read_bytes()).hexdigest() == blob.name
    assert box.finds("models", "store", "ok")


def test_a_root_of_trust_that_has_expired(tmp_path: Path) -> None:
    long_ago = datetime.now(timezone.utc) - timedelta(days=5000)
    work = change.init(tmp_path / "keeper", Keepers(1, 1), long_ago)
    work.sign(read_keys([work.keys, work.root_keys]))
    change.publish(work)
    trust = tmp_path / "trust.json"
    shutil.copy(work.public / "metadata" / "1.root.json", trust)
    box = make_patient(tmp_path, more=f'[updates]\nrepository = "{work.public}"\ntrust = "{trust}"')
    box.program("systemctl", "true")
    row = box.finds("trust", "root")
    assert "expired, nothing new is taken" in row["evidence"]

    there, _, here = row["remedy"].partition("; then give the new root.json to this box: ")
    # Its targets have ended with it; a box that has never connected does not know of them.
    assert main(["repo", "rotate", str(work.folder), "targets"]) == 0
    box.carries_out(there.replace("FOLDER", str(work.folder)))
    shutil.copy(max((work.public / "metadata").glob("*.root.json")), box.folder / "root.json")
    box.carries_out(here)

    assert box.finds("trust", "root", "ok")


class TestSources:
    SERIAL = '[[source]]\nname = "spindle"\nkind = "serial"\nport = "{port}"\nformat = "csv"\ncolumns = ["x"]\nrate_hz = 50\n'

    def test_a_camera_that_is_off(self, tmp_path: Path, jpegs: JpegCamera) -> None:
        nobody = f"http://127.0.0.1:{brokers.free_port()}"
        box = make_patient(tmp_path, body=f'[[source]]\nname = "dock"\nkind = "camera"\nurl = "{nobody}/stream"\n')
        assert box.finds("cameras", "rate")["remedy"]

        box.edits(nobody, jpegs.url)

        row = box.finds("cameras", "rate", "ok")
        assert row["details"]["width"] == 320
        assert 10 < row["details"]["fps"] < 60

    def test_a_camera_that_gives_less_than_is_asked(self, tmp_path: Path, jpegs: JpegCamera) -> None:
        source = f'[[source]]\nname = "dock"\nkind = "camera"\nurl = "{jpegs.url}/slow"\nfps = 200\n'
        box = make_patient(tmp_path, body=source)
        row = box.finds("cameras", "rate", "warn")
        (wanted,) = re.findall(r"^sudoedit \S+  # (fps = \d+) below source 'dock'", row["remedy"])

        box.edits("fps = 200", wanted)

        assert box.finds("cameras", "rate", "ok")

    def test_a_serial_port_that_is_not_there_and_then_one_that_is_silent(
        self, tmp_path: Path, request: pytest.FixtureRequest
    ) -> None:
        port, speaks = tmp_path / "ttyUSB0", threading.Event()
        box = make_patient(tmp_path, body=self.SERIAL.format(port=port))
        row = box.finds("serial", "heard")
        assert row["evidence"] == f"{port} is not there"
        assert row["remedy"].endswith("or plug it in")

        sensor = Talker(port, lambda _at: b"1.5\n" if speaks.is_set() else b"", rate_hz=50)
        request.addfinalizer(sensor.close)
        silent = box.finds("serial", "heard")
        assert "no sample in 2.5 s" in silent["evidence"]
        assert silent["remedy"].endswith("or look at the sensor's power and cable")

        speaks.set()
        assert 40 <= box.finds("serial", "heard", "ok")["details"]["rate_hz"] <= 60

    def test_a_camera_that_the_daemon_may_not_open(self, tmp_path: Path) -> None:
        root = tmp_path / "machine"
        (root / "dev").mkdir(parents=True)
        (root / "etc" / "edged").mkdir(parents=True)
        (root / "etc" / "passwd").write_text("edged:x:990:990::/var/lib/edged:/usr/sbin/nologin\n")
        (root / "etc" / "group").write_text("video:x:44:\nedged:x:990:\n")
        (root / "etc" / "edged" / "edged.toml").write_text(
            '[[source]]\nname = "dock"\nkind = "camera"\nurl = "/dev/video0"\n'
        )
        node = root / "dev" / "video0"
        node.touch()
        try:
            os.chown(node, 0, 44)
        except PermissionError:
            pytest.skip("needs root, to give a node to a group")
        node.chmod(0o660)
        box = make_patient(tmp_path)
        row = box.finds("devices", "node", sysroot=root)
        assert row["remedy"] == f"sudo usermod --prefix {root} -aG video edged"

        box.carries_out(row["remedy"])

        assert box.finds("devices", "node", "ok", sysroot=root)

    def test_a_node_that_is_closed_to_whoever_runs_it(self) -> None:
        if os.geteuid() != 0:
            pytest.skip("needs root, to be somebody else")
        # Not below pytest's own folder, into which nobody else may look.
        with tempfile.TemporaryDirectory() as made:
            folder = Path(made)
            folder.chmod(0o755)
            node = folder / "video7"
            os.mknod(node, 0o020600, os.makedev(1, 3))
            os.chown(node, 0, 44)
            box = make_patient(folder, body=f'[[source]]\nname = "dock"\nkind = "camera"\nurl = "{node}"\n')
            os.chown(folder / "state", 65534, 65534)
            box.before = NOBODY
            row = box.finds("devices", "node")
            assert "closed to its group" in row["evidence"]

            box.before = ()
            box.carries_out(row["remedy"])

            box.before = NOBODY
            assert box.finds("devices", "node", "ok")


class TestPackages:
    """Another interpreter with packages of its own; those it is mended with lie in a folder, where pip looks alone."""

    @pytest.fixture
    def box(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Patient:
        place = tmp_path / "venv"
        venv.create(place, with_pip=False)
        packages = next(place.glob("lib/python*/site-packages"))
        (tmp_path / "pip").mkdir()
        (tmp_path / "pip" / "pip").symlink_to(Path(pytest.importorskip("pip").__file__).parent)
        (packages / "pip.pth").write_text(f"{tmp_path / 'pip'}\n")
        made = make_patient(tmp_path, more=f'[engine.cuda]\npython = "{place / "bin" / "python"}"')
        for name, value in {"NO_INDEX": "1", "FIND_LINKS": f"{tmp_path / 'wheels'}", "NO_COMPILE": "1"}.items():
            monkeypatch.setenv(f"PIP_{name}", value)
        (tmp_path / "wheels").mkdir()
        return made

    def wheel(self, box: Patient, name: str, version: str) -> Path:
        under = name.replace("-", "_")
        file = box.folder / "wheels" / f"{under}-{version}-py3-none-any.whl"
        about = f"{under}-{version}.dist-info"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr(f"{under.partition('_gpu')[0]}/__init__.py", f"version = {version!r}\n")
            archive.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{about}/RECORD", f"{about}/RECORD,,\n{under.partition('_gpu')[0]}/__init__.py,,\n")
        return file

    def installed(self, box: Patient, *wheels: Path) -> None:
        python = box.folder / "venv" / "bin" / "python"
        box.carries_out(f"{python} -m pip install -q --no-deps {' '.join(map(str, wheels))}")

    def test_two_onnx_runtimes_at_once(self, box: Patient) -> None:
        self.installed(box, self.wheel(box, "onnxruntime", "1.31.1"))
        self.installed(box, self.wheel(box, "onnxruntime-gpu", "1.30.0"))
        row = self.of_the_venv(box, "one ONNX Runtime")
        assert row["status"] == "fail"

        box.carries_out(row["remedy"])

        again = self.of_the_venv(box, "one ONNX Runtime")
        assert (again["status"], again["evidence"]) == ("ok", "onnxruntime-gpu 1.30.0")

    def test_tflite_runtime_with_numpy_2(self, box: Patient) -> None:
        self.installed(box, self.wheel(box, "tflite-runtime", "2.14.0"), self.wheel(box, "numpy", "2.1.0"))
        row = self.of_the_venv(box, "tflite with numpy")
        assert row["status"] == "fail"
        assert "does not work with NumPy 2.1.0" in row["evidence"]

        self.wheel(box, "ai-edge-litert", "2.3.0")
        box.carries_out(row["remedy"])

        assert self.of_the_venv(box, "tflite with numpy")["status"] == "ok"

    def of_the_venv(self, box: Patient, check: str) -> Row:
        (row,) = [
            row for row in box.looked_at("packages") if (row["subject"], row["check"]) == ("[engine.cuda]", check)
        ]
        return row


def test_a_clock_that_stands_where_it_booted(tmp_path: Path) -> None:
    if not Path(FAKETIME).is_file():
        pytest.skip("needs libfaketime: it is not installed")
    box = make_patient(tmp_path)
    box.env = {
        "LD_PRELOAD": FAKETIME,
        "FAKETIME_TIMESTAMP_FILE": str(tmp_path / "date"),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    (tmp_path / "date").write_text("@1970-01-01 00:01:00\n")
    box.program("timedatectl", f'test "$*" = "set-ntp true" && rm {tmp_path / "date"}')
    row = box.finds("clock", "date")
    assert "1970-01-01" in row["evidence"]

    box.carries_out(row["remedy"])

    assert box.finds("clock", "date", "ok")


class TestService:
    @pytest.fixture
    def machine(self, tmp_path: Path) -> Path:
        root = tmp_path / "machine"
        (root / "etc/systemd/system").mkdir(parents=True)
        (root / "opt/edged/bin").mkdir(parents=True)
        (root / "opt/edged/bin/edged").touch()
        (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
        (root / "etc/group").write_text("root:x:0:\n")
        return root

    def test_a_unit_without_a_watchdog(self, tmp_path: Path, machine: Path) -> None:
        unit = machine / "etc/systemd/system/edged.service"
        unit.write_text("[Service]\nExecStart=/opt/edged/bin/edged run\n")
        box = make_patient(tmp_path)
        box.program("systemctl", "true")
        row = box.finds("service", "watchdog", sysroot=machine)
        assert "nothing ends a daemon that hangs" in row["evidence"]

        box.carries_out(row["remedy"])

        assert {row["check"]: row for row in box.looked_at("service", sysroot=machine)}["watchdog"]["status"] != "fail"
        assert "WatchdogSec=30" in unit.read_text()

    def test_a_machine_without_the_unit_and_its_account(self, tmp_path: Path, machine: Path) -> None:
        if shutil.which("systemd-sysusers") is None or os.geteuid() != 0:
            pytest.skip("needs root and systemd-sysusers")
        box = make_patient(tmp_path)
        box.program("systemctl", "true")
        box.carries_out(box.finds("service", "installed", "warn", sysroot=machine)["remedy"])
        row = box.finds("service", "account", sysroot=machine)
        assert "no user edged" in row["evidence"]

        box.carries_out(row["remedy"])

        assert box.finds("service", "account", "ok", sysroot=machine)


def test_a_misspelt_key(tmp_path: Path) -> None:
    box = make_patient(tmp_path)
    box.edits("host =", "hots =")
    row = box.finds("configuration", "mqtt.hots")
    assert "'host'" in row["evidence"]
    assert row["remedy"].startswith(f"sudoedit {box.config}")

    box.edits("hots =", "host =")

    assert box.finds("configuration", "text", "ok")
