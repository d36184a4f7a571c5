"""The main job on one machine: a broker, a daemon with a camera and a sensor, and a client that watches.

Broker, daemon and client are three programs that meet over MQTT only, as they would in a plant; the recordings and the models are the
shipped ones.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.live import Live

from edged.config.share import shipped
from edged.demo import screen
from edged.demo.broker import Broker
from edged.demo.watch import Watcher
from edged.domain.errors import DeviceError

DEVICE = "demo"
SECONDS = 30.0
"""Long enough for each recording to show something, short enough to wait for."""
FRAME_S = 0.25
LINES_EVERY_S = 2.0
STOP_S = 8.0

CONFIG = """
[device]
id = "{device}"
[state]
directory = "{state}"
[models]
directories = []
[profiles]
directories = []
[mqtt]
port = {port}
[telemetry]
interval_s = 1

[[source]]
name = "conveyor"
kind = "file"
path = "{models}/parts/demo/conveyor.mp4"
pace = "recorded"
loop = true

[[source]]
name = "fan"
kind = "csv"
path = "{models}/vibration/demo/fan.csv"
time = "t"
columns = ["x", "y", "z"]
pace = "recorded"
loop = true

[[pipeline]]
name = "parts"
source = "conveyor"
model = "parts"
[[pipeline.rule]]
name = "bolt-in-the-middle"
when = {{ label = "bolt", min_score = 0.5, zone = [[0.3, 0.0], [0.7, 0.0], [0.7, 1.0], [0.3, 1.0]] }}
for_s = 0.2
gap_s = 0.5
[[pipeline.rule]]
name = "bent-part"
when = {{ label = "bent", min_score = 0.5, zone = [[0.3, 0.0], [0.7, 0.0], [0.7, 1.0], [0.3, 1.0]] }}
for_s = 0.2
gap_s = 0.5
[[pipeline.rule]]
name = "scratched-part"
when = {{ label = "scratched", min_score = 0.5, zone = [[0.3, 0.0], [0.7, 0.0], [0.7, 1.0], [0.3, 1.0]] }}
for_s = 0.2
gap_s = 0.5

[[pipeline]]
name = "bearing"
source = "fan"
model = "vibration"
calibrate_s = 11
[[pipeline.rule]]
name = "shakes"
when = {{ anomaly = true }}
for_s = 1.0
"""


def show(seconds: float | None, wanted_broker: str | None = None) -> int:
    """Run for ``seconds`` (0: until Ctrl-C) and print the summary. Raises DeviceError when no result came or the daemon fell."""
    console = Console()
    limit_s = SECONDS if seconds is None else seconds
    for number in (signal.SIGTERM, signal.SIGHUP):
        # As Ctrl-C: broker and daemon must not outlive the demo.
        signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="edged-demo-") as name:
        folder = Path(name)
        broker = Broker(folder, wanted_broker)
        try:
            watcher = Watcher(broker.port, DEVICE, time.monotonic)
            page = _free_port() if _has_server() else None
            daemon = _start_daemon(folder, broker.port, page)
            where = f"edged demo: two pipelines over {broker.name} on 127.0.0.1:{broker.port}"
            where += f"\ndashboard: http://127.0.0.1:{page}/" if page else ""
            try:
                _watch(console, watcher, daemon, where, limit_s)
            finally:
                _stop(daemon)
                _wait_for_the_last_word(watcher)
                watcher.close()
        finally:
            broker.close()
        console.print(screen.summary(watcher))
        if daemon.returncode:
            message = f"cannot go on: the daemon ended with {daemon.returncode}, {_last_words(folder)}"
            raise DeviceError(message)
        if not watcher.pipelines:
            message = f"cannot show anything: no result came, {_last_words(folder)}"
            raise DeviceError(message, remedy="run edged hardware to see what is missing")
    return 0


def _has_server() -> bool:
    """Whether edged[http] is installed: the demo needs no dashboard, but shows it where it can."""
    return all(find_spec(name) is not None for name in ("starlette", "uvicorn", "uvloop", "httptools"))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _start_daemon(folder: Path, port: int, page: int | None) -> subprocess.Popen[bytes]:
    config = folder / "edged.toml"
    text = CONFIG.format(device=DEVICE, state=folder / "state", port=port, models=shipped("models"))
    config.write_text(text + (f'\n[http]\nlisten = "127.0.0.1:{page}"\n' if page else ""), encoding="utf-8")
    command = [
        sys.executable,
        "-c",
        "from edged.cli import main; raise SystemExit(main())",
        "run",
        "--config",
        str(config),
    ]
    with (folder / "daemon.log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603 - our own program


def _watch(console: Console, watcher: Watcher, daemon: subprocess.Popen[bytes], where: str, limit_s: float) -> None:
    end_s = time.monotonic() + limit_s if limit_s else float("inf")
    show = _draw if console.is_terminal else _print
    try:
        show(console, watcher, daemon, where, end_s)
    except KeyboardInterrupt:
        console.print("stopping")


def _draw(console: Console, watcher: Watcher, daemon: subprocess.Popen[bytes], where: str, end_s: float) -> None:
    with Live(screen.live(watcher, where), console=console, auto_refresh=False) as display:
        while time.monotonic() < end_s and daemon.poll() is None:
            time.sleep(FRAME_S)
            display.update(screen.live(watcher, where), refresh=True)


def _print(console: Console, watcher: Watcher, daemon: subprocess.Popen[bytes], where: str, end_s: float) -> None:
    console.print(where)
    lines_due_s = 0.0
    while time.monotonic() < end_s and daemon.poll() is None:
        time.sleep(FRAME_S)
        while watcher.news:
            print(screen.event_line(watcher.news.popleft()), flush=True)  # noqa: T201 - a command's output
        if time.monotonic() >= lines_due_s:
            lines_due_s = time.monotonic() + LINES_EVERY_S
            for line in screen.status_lines(watcher):
                print(line, flush=True)  # noqa: T201 - a command's output


def _stop(daemon: subprocess.Popen[bytes]) -> None:
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(STOP_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _wait_for_the_last_word(watcher: Watcher) -> None:
    """Give the last telemetry, which was sent while the daemon stopped, the time to arrive."""
    count = None
    for _ in range(20):
        time.sleep(0.05)
        before, count = count, watcher.telemetry.get("seq")
        if count is not None and before == count:
            return


def _last_words(folder: Path) -> str:
    lines = (folder / "daemon.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"the daemon's last words: {lines[-1]}" if lines else "the daemon said nothing"
