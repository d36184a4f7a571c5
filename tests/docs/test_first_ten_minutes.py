"""docs/first-ten-minutes.md, from an empty folder to events on MQTT: every line of it, in one shell, as it stands.

Two things differ from a reader's machine: the port is a free one, and nothing is fetched (the wheel is the one of this checkout, and what
it depends on is seen in the environment of these tests).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.brokers import free_port
from fakes.wheel import build_wheel

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "first-ten-minutes.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
LONGEST_S = 300
SEES = 'for site in box/lib/python3*/site-packages; do echo "$DEPENDENCIES" > "$site/dependencies.pth"; done\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "empty"
    made.mkdir()
    return made


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Give a shell's environment in which pip finds the wheel, and fetches nothing."""
    pytest.importorskip("ensurepip", reason="needs ensurepip, with which venv puts pip into an environment")
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"], "/usr/sbin"])
    missing = [name for name in ("mosquitto", "mosquitto_sub") if shutil.which(name, path=path) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: not on PATH")
    wheel = build_wheel(tmp_path / "dist")
    pip = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_IGNORE_INSTALLED": "1", "PIP_FIND_LINKS": str(wheel.parent)}
    # One environment must not know of the other.
    others = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return {**others, **pip, "PATH": path, "DEPENDENCIES": sysconfig.get_path("purelib")}


@pytest.fixture
def said(folder: Path, environment: dict[str, str], tmp_path: Path) -> Iterator[list[str]]:
    """Give what each block wrote; what it started in the background ends afterwards."""
    port = str(free_port())
    blocks = [block.replace("1883", port) for block in BLOCKS]
    script = tmp_path / "page.sh"
    first, *others = (f"{block}echo '=== end of block'\n" for block in blocks)
    script.write_text("\n".join(["set -eu", first, SEES, *others]), encoding="utf-8")
    shell = subprocess.Popen(
        ["sh", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = shell.communicate(timeout=LONGEST_S)
        log = folder / "edged.log"
        assert shell.returncode == 0, out + err + (log.read_text() if log.exists() else "")
        yield out.split("=== end of block\n")[:-1]
    finally:
        os.killpg(shell.pid, signal.SIGKILL)


def test_the_page_leads_from_an_empty_folder_to_events_on_mqtt(said: list[str], folder: Path) -> None:
    assert len(said) == len(BLOCKS)
    by_line = {block.splitlines()[0]: out for block, out in zip(BLOCKS, said, strict=True)}

    def of(words: str) -> str:
        return next(out for line, out in by_line.items() if words in line)

    event = json.loads(of("out/event/parts"))
    assert (event["device"], event["pipeline"], event["rule"], event["phase"]) == (
        "first-box",
        "parts",
        "seen",
        "start",
    )
    assert event["detections"]
    assert json.loads(of("out/health"))["device"] == "first-box"
    assert of("edged check") == "ok: edged.toml\n"
    assert "conf.d/well.toml:4" in of("mkdir conf.d")
    second = json.loads(of("out/result/well"))
    assert (second["status"], second["model"]["name"]) == ("ok", "camera-health")
    assert "Traceback" not in (folder / "edged.log").read_text()
