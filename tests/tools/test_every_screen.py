"""What the verbs without screens of their own page show at a terminal of 80 columns: each is the file of its name in ``screens/``."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edged.assembly.box import survey
from edged.assembly.models import open_best
from edged.update.manifest import read_bundle
from fakes.ptyscreen import PtyScreen
from fakes.sensor import sensor_bundle
from fakes.tape import record, stamped

pytestmark = pytest.mark.slow

SCREENS = Path(__file__).with_name("screens")
SHOWN_AS = "/tmp/box-press-07"  # noqa: S108 - a name, not a file
"""As long as a folder's own name, so that lines are folded at the same place."""
SENSOR = {"name": "gate", "source": "s", "model": "level", "rule": [{"name": "high", "when": {"anomaly": True}}]}
CONFIG = """\
[device]
id = "press-07"
[mqtt]
host = "broker.plant.local"
password_file = "/run/credentials/edged/mqtt"
[[source]]
name = "spindle"
kind = "csv"
path = "{folder}/spindle.csv"
columns = ["x"]
rate_hz = 640.0
[[pipeline]]
name = "gate"
source = "spindle"
model = "level"
[models]
directories = ["{folder}/models"]
[state]
directory = "{folder}/state"
"""


@pytest.fixture
def box() -> Iterator[Path]:
    """Give a folder with a configuration, a model and a recording."""
    folder = Path(tempfile.mkdtemp(prefix="box-", dir="/tmp"))
    assert len(str(folder)) == len(SHOWN_AS)
    bundle = sensor_bundle(folder / "models" / "level", threshold=3.0)
    frames = [stamped(np.full((64, 1), -level, np.float32), at, 10.0) for at, level in enumerate([1.0, 2.0, 4.0] * 4)]
    record(folder / "taken", frames, open_best(read_bundle(bundle), survey(Path("/"), "auto", ())), SENSOR)
    (folder / "edged.toml").write_text(CONFIG.format(folder=folder), "utf-8")
    (folder / "image").mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("name", "words", "status", "last"),
    [
        ("config-show", "config show --config {box}/edged.toml --only-set", 0, "model "),
        ("replay", "replay {box}/taken/{clip} --model {box}/models/level", 0, "to the digit"),
        ("record-show", "record show {box}/taken/{clip}", 0, "to "),
        ("audit", "audit --config {box}/edged.toml --at 2026-11-21T08:30:00Z", 0, "follow each other"),
        ("install", "install --dry-run --root {box}/image --program /opt/edged/bin/edged", 0, "systemctl enable"),
        ("uninstall", "uninstall --dry-run --root {box}/image", 0, "kept"),
        ("wrong-verb", "recrod", 2, "what it takes"),
        ("wrong-file", "config show --config /etc/edged/nobody-has-this/edged.toml", 2, "another place"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.replace("-", "").isalpha() else "",
)
def test_at_80_columns_it_is_the_file_of_its_name(
    box: Path, screens: list[PtyScreen], name: str, words: str, status: int, last: str
) -> None:
    (clip,) = (file.name for file in (box / "taken").iterdir())
    screen = PtyScreen(*words.format(box=box, clip=clip).split(), columns=80, lines=60)
    screens.append(screen)
    screen.until(lambda text: last in text, "its end", 60)
    assert screen.end("") == status
    shown, golden = screen.text().replace(str(box), SHOWN_AS), (SCREENS / f"{name}.txt").read_text("utf-8")
    assert timeless(shown) == timeless(golden)


def timeless(shown: str) -> list[str]:
    """Give the lines; of those that tell how long something took, the words. A made model has its own bytes."""
    shown = re.sub("sha256:[0-9a-f]{64}", "sha256:" + "0" * 64, shown)
    if " ms" not in shown:
        return shown.splitlines()
    return re.sub(r"\d+(\.\d+)? ms", "0 ms", " ".join(shown.split())).split()
