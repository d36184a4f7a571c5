"""The daemon as a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

RUN = "from edged.cli import main; raise SystemExit(main())"
STATE = "state"
STOP_S = 8.0

CONFIG = """
[device]
id = "bench"
[state]
directory = "{state}"
[models]
directories = ["{models}"]
[mqtt]
port = {port}
[[source]]
name = "camera"
{source}
[[pipeline]]
name = "bench"
source = "camera"
model = "{model}"
"""


def write_config(folder: Path, bundle: Path, port: int, source: str) -> Path:
    """Write a configuration of one source and one pipeline on the bundle in a folder of its name; ``source`` is the source's own keys."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "edged.toml"
    text = CONFIG.format(state=folder / STATE, models=bundle.parent, port=port, source=source, model=bundle.name)
    file.write_text(text, encoding="utf-8")
    return file


def environment(folder: Path) -> dict[str, str]:
    """Give this environment with bytecode kept below ``folder``, as an installed program finds it, whatever is set here."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def start(config: Path) -> subprocess.Popen[bytes]:
    """Start ``edged run``; its log goes beside the configuration."""
    command = [sys.executable, "-c", RUN, "run", "--config", str(config)]
    # In its own folder: from the project's root, Python would take the sources there and not what is installed.
    folder = config.parent
    with config.with_suffix(".log").open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, env=environment(folder), cwd=folder)


def stop(daemon: subprocess.Popen[bytes]) -> None:
    """Ask it to end, and see to it that it does."""
    if daemon.poll() is None:
        daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(STOP_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
