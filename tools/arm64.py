"""Run the built wheel on 64-bit Arm Debian under user emulation: hardware, explain, and the main job on a photograph to MQTT.

Called by ``make test-arm64`` as root on an amd64 machine with the packages debootstrap, qemu-user-static and binfmt-support. What comes
out is kept in docs/arm64.md. The root file system and the aarch64 wheels stay in build/arm64 for the next time.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

SUITE, PYTHON = "bookworm", "3.11"
BUILD = Path("build/arm64")
ROOT = BUILD / "root"
SITE = "opt/edged"
PLATFORMS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")
NEEDED = ("debootstrap", "qemu-aarch64-static", "update-binfmts")
PACKAGES = ("ai-edge-litert", "onnxruntime", "opencv-python-headless", "av", "numpy", "psutil", "paho-mqtt", "pydantic")
PORT = 18_839
CPU = "cortex-a72"
"""The processor of a Raspberry Pi 4. Emulation takes the host's /proc/cpuinfo, on which the runtimes' choice of kernels runs into
instructions that are not there; so it is given the words of this processor."""
CPUINFO = BUILD / "cpuinfo"
CORE = """processor\t: {number}
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
RUN_S = 240.0
"""Emulation is 20 to 50 times slower than the real thing."""

CONFIG = f"""
[device]
id = "arm64"
[state]
directory = "/var/lib/edged"
[mqtt]
host = "127.0.0.1"
port = {PORT}
[[source]]
name = "photograph"
kind = "images"
path = "/{SITE}/edged/share/models/parts/golden/belt-1.png"
[[pipeline]]
name = "parts"
source = "photograph"
model = "parts"
"""


def main() -> int:
    """Build what is missing, run, print and keep the outcome."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        print(
            f"cannot run on arm64: needs root and {', '.join(missing) or 'its tools'}; run: sudo apt install "
            "debootstrap qemu-user-static binfmt-support",
            file=sys.stderr,
        )
        return 2
    make_root()
    CPUINFO.write_text("".join(CORE.format(number=number) for number in range(os.cpu_count() or 1)), encoding="ascii")
    install_wheels()
    machine = inside("uname -m; python3 --version; . /etc/os-release; echo $PRETTY_NAME")
    hardware = inside(edged("hardware"))
    explain = inside(edged("explain parts"))
    result, log = main_job()
    report = page(machine, hardware, explain, result)
    Path("docs/arm64.md").write_text(report, encoding="utf-8")
    print(report)
    if not result.get("detections"):
        print(log, file=sys.stderr)
        return 1
    return 0


def make_root() -> None:
    """Make the Arm root file system, once."""
    if (ROOT / "usr/bin/python3").exists():
        return
    ROOT.mkdir(parents=True, exist_ok=True)
    if not Path("/proc/sys/fs/binfmt_misc/register").exists():
        run(["mount", "-t", "binfmt_misc", "binfmt_misc", "/proc/sys/fs/binfmt_misc"])
    run(["update-binfmts", "--enable", "qemu-aarch64"])
    run(["debootstrap", "--arch=arm64", "--variant=minbase", "--foreign", "--include=python3", SUITE, str(ROOT)])
    shutil.copy(str(shutil.which("qemu-aarch64-static")), ROOT / "usr/bin")
    run(["chroot", str(ROOT), "/debootstrap/debootstrap", "--second-stage"])


def install_wheels() -> None:
    """Install the aarch64 wheels from outside (pip's --platform), and edged's own."""
    shutil.rmtree(ROOT / SITE, ignore_errors=True)
    platforms = [word for name in PLATFORMS for word in ("--platform", name)]
    into = ["--quiet", "--disable-pip-version-check", "--target", str(ROOT / SITE), "--only-binary=:all:"]
    run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            *into,
            "--python-version",
            PYTHON,
            "--implementation",
            "cp",
            *platforms,
            "-c",
            "constraints.txt",
            *PACKAGES,
        ]
    )
    (wheel,) = Path("dist").glob("edged-*.whl")
    run([sys.executable, "-m", "pip", "install", *into, "--no-deps", str(wheel)])


def edged(arguments: str) -> str:
    """Give the shell command that runs edged inside."""
    return f"cd /; PYTHONPATH=/{SITE} python3 -c 'from edged.cli import main; raise SystemExit(main())' {arguments}"


def chrooted(command: str) -> list[str]:
    """Give the command line that runs a shell command in the Arm root, with /proc, in mounts of its own."""
    mounts = (
        f"mount -t proc proc {ROOT}/proc && mount --rbind /dev {ROOT}/dev && mount --bind {CPUINFO} {ROOT}/proc/cpuinfo"
    )
    into = f'{mounts} && exec env QEMU_CPU={CPU} chroot {ROOT} /bin/sh -c "$0"'
    return ["unshare", "--mount", "/bin/sh", "-c", into, command]


def inside(command: str) -> str:
    """Run a shell command in the Arm root."""
    done = subprocess.run(chrooted(command), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"cannot run on arm64: {command}: status {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout.strip()


def main_job() -> tuple[dict[str, object], str]:
    """Run the daemon on one photograph and read its result from the broker; the broker runs outside."""
    broker = shutil.which("mosquitto", path=f"{os.environ['PATH']}:/usr/sbin")
    if broker is None:
        sys.exit("cannot run the main job: no mosquitto, expected one; run: sudo apt install mosquitto")
    settings = BUILD / "mosquitto.conf"
    settings.write_text(f"listener {PORT} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
    shutil.rmtree(ROOT / "var/lib/edged", ignore_errors=True)
    (ROOT / "etc/edged").mkdir(parents=True, exist_ok=True)
    (ROOT / "etc/edged/edged.toml").write_text(CONFIG, encoding="utf-8")
    with subprocess.Popen([broker, "-c", str(settings)], stderr=subprocess.DEVNULL) as process:
        try:
            time.sleep(1.0)
            return listen_while(chrooted(edged("run")))
        finally:
            process.terminate()


def listen_while(command: list[str]) -> tuple[dict[str, object], str]:
    """Give the result that came while the command ran, and what the command said."""
    results: list[dict[str, object]] = []
    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: results.append(json.loads(message.payload))
    client.connect("127.0.0.1", PORT)
    client.subscribe("edged/v1/d/arm64/out/result/parts", qos=1)
    client.loop_start()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_S, check=False)
        log = done.stderr
        time.sleep(1.0)
    except subprocess.TimeoutExpired as error:
        log = str(error.stderr)
    client.loop_stop()
    return (results[0] if results else {}), log


def page(machine: str, hardware: str, explain: str, result: dict[str, object]) -> str:
    """Write the page that is kept."""
    shown = json.dumps(result)
    return (
        "# On 64-bit Arm\n\nThe built wheel on Arm Debian under user emulation (`make test-arm64`): the wheels that a box\n"
        "installs, and its code paths; times mean nothing under emulation. This is the last output.\n\n"
        f"```text\n{machine}\n```\n\n`edged hardware`\n\n```text\n{hardware}\n```\n\n`edged explain parts`\n\n```text\n{explain}\n```\n\n"
        f"The main job on one photograph, as it came over MQTT:\n\n```json\n{shown}\n```\n"
    )


def run(command: list[str]) -> None:
    """Run a command, or end with its words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"cannot run {' '.join(command[:3])}: status {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")


if __name__ == "__main__":
    raise SystemExit(main())
