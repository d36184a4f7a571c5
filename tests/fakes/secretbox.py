"""A box with a secret in every place where somebody may have put one, and each secret is another."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from edged.assembly.coverage_store import CoverageStore
from edged.telemetry.coverage import Minute
from fakes.clock import SECOND_NS
from fakes.recordedday import record

CANARY = "s1ngs"
"""Part of every secret here, and of nothing else."""
PRIVATE = "-----BEGIN PRIVATE KEY-----\nMIG{0}\n{0}\n-----END PRIVATE KEY-----\n"
CONFIG = """\
# the old one was {0}
[device]
id = "press-07"
[state]
directory = "{state}"
[mqtt]
host = "127.0.0.1"
port = 1
username = "press-07"
password_file = "{folder}/mqtt.secret"
tls = {{ ca = "{folder}/ca.pem", cert = "{folder}/box.pem", key = "{folder}/box.key" }}
[http]
listen = "127.0.0.1:8099"
token_file = "{folder}/http.token"
[updates]
repository = "https://models.plant.local/?sig={1}"
trust = "{folder}/root.json"
[[source]]
name = "dock"
kind = "camera"
url = "rtsp://10.0.0.7/stream?key={2}"
username = "viewer"
password_file = "{folder}/dock.password"
[[source]]
name = "yard"
kind = "camera"
url = "rtspsrc location=rtsp://10.0.0.8/ user-id=viewer user-pw={3} ! decodebin ! appsink"
[[pipeline]]
name = "gate"
source = "dock"
model = "parts"
"""
DROP_IN = """\
[mqtt]
password = "{4}"
pasword = "{5}"
[[source]]
name = "hall"
kind = "camera"
url = "rtsp://viewer:{6}@10.0.0.9/"
[[source]]
name = "lab"
kind = "acme-camera"
options = {{ pin = "{7}", headers = {{ "X-Api-Key" = "{8}" }} }}
"""
BROKEN = """\
[mqtt
password = "{9}"
host = \"\"\"
{10}
\"\"\"
"""
LOG = """\
INFO link.up user=press-07 password={11}
WARNING source.lost url=rtsp://viewer:{12}@10.0.0.7/stream reason="401 for Basic {13}=="
ERROR http.broken header="Authorization: Bearer {14}.abc" key="{15}"
INFO the broker said that {4} is wrong, and {6}, too
INFO ordered by hand: the password is {16}, and works
machine models.plant.local login press password {17}
"""


@dataclass
class SecretBox:
    """``secrets`` are all that were planted; ``config`` is where a tool begins."""

    folder: Path
    secrets: list[str] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        for name in ("conf.d", "state/trust", "state/slots/parts", "state/snapshots"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        made = [self._secret() for _ in range(18)]
        where = {"folder": self.folder, "state": self.state}
        self.config.write_text(CONFIG.format(*made, **where), "utf-8")
        (self.folder / "conf.d" / "10-more.toml").write_text(DROP_IN.format(*made), "utf-8")
        (self.folder / "conf.d" / "20-broken.toml").write_text(BROKEN.format(*made), "utf-8")
        self.log.write_text(LOG.format(*made) + PRIVATE.format(self._secret()), "utf-8")
        for name in ("mqtt.secret", "http.token", "dock.password"):
            (self.folder / name).write_text(f"{self._secret()}\n", "utf-8")
        (self.folder / "box.key").write_text(PRIVATE.format(self._secret()), "utf-8")
        self._fill_state()

    @property
    def config(self) -> Path:
        return self.folder / "edged.toml"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def log(self) -> Path:
        return self.folder / "edged.log"

    def _fill_state(self) -> None:
        kept = {"mqtt": {"host": "h", "password": self._secret()}, "source": [{"url": f"http://a:{self._secret()}@h/"}]}
        files = {
            "config.json": json.dumps(kept),
            "journal.ndjson": json.dumps({"event": "failed", "reason": f"https://u:{self._secret()}@h/x", "prev": "0"})
            + "\n",
            "benchmarks.json": json.dumps(
                {"entries": [], "token": self._secret(), "tokens": {self._secret(): "viewer"}}
            ),
            "doctor.json": json.dumps({"rows": [{"evidence": f"password={self._secret()}"}]}),
            "slots/parts/pointer.json": json.dumps({"active": None, "reason": f"?access_token={self._secret()}"}),
            "commands.json": json.dumps({"secret": self._secret()}),
            "trust/root.json": self._secret(),
            "snapshots/gate.jpg": self._secret(),
            "outbox.sqlite3": self._secret(),
        }
        for name, text in files.items():
            (self.state / name).write_text(text, "utf-8")
        record(self.state, 120, 1_800_000_000 * SECOND_NS)
        CoverageStore(self.state).write("gate", Minute(30_000_000, 60_000, (0,) * 6))

    def _secret(self) -> str:
        made = f"{next(self._numbers):02d}q{CANARY}-9fLwZ7"
        self.secrets.append(made)
        return made
