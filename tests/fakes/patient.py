"""A box that may be ill: what the doctor says of it, and a shell that carries out what the doctor says."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgectl.cli import main
from fakes.daemon import write_config

PROGRAM = (sys.executable, "-c", "from edgectl.cli import main; raise SystemExit(main())")
LONGEST_S = 180.0
Row = Mapping[str, Any]


@dataclass
class Patient:
    """A box with its configuration; programs of its ``bin`` stand before the machine's own when a remedy is carried out."""

    folder: Path
    config: Path
    env: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    """What the doctor is started with: another user, another place."""

    def __post_init__(self) -> None:
        self.program("sudo", 'exec "$@"')
        self.program(
            "edgectl", f'exec {sys.executable} -c "from edgectl.cli import main; raise SystemExit(main())" "$@"'
        )

    def program(self, name: str, script: str) -> None:
        place = self.folder / "bin" / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(f"#!/bin/sh\n{script}\n")
        place.chmod(0o755)

    def looked_at(self, *groups: str, sysroot: Path | None = None, login: bool = False) -> list[Row]:
        more = ["--sysroot", str(sysroot)] if sysroot else ["--config", str(self.config)]
        more += ["--login"] if login else []
        status, out = self._said(["doctor", "--json", *groups, *more])
        rows: list[Row] = json.loads(out)["rows"]
        assert status == any(row["status"] == "fail" for row in rows)
        return rows

    def _said(self, words: Sequence[str]) -> tuple[int, str]:
        """Run the verb, in this process where nothing of its surroundings is another: a start takes as long as a look."""
        if not self.before and not self.env:
            with redirect_stdout(io.StringIO()) as out:
                return main(words), out.getvalue()
        env = {**os.environ, **self.env}
        done = subprocess.run(
            [*self.before, *PROGRAM, *words],
            capture_output=True,
            text=True,
            cwd="/",
            env=env,
            timeout=LONGEST_S,
            check=False,
        )
        assert done.returncode in {0, 1}, done.stderr
        return done.returncode, done.stdout

    def finds(self, group: str, check: str, status: str = "fail", **more: Any) -> Row:
        """Look, and give the one row of this check, which has to have this status; nothing else in the group may fail."""
        rows = self.looked_at(group, **more)
        (row,) = [row for row in rows if row["check"] == check and row["status"] != "skipped"] or [{}]
        assert row.get("status") == status, rows
        others = [one for one in rows if one["status"] == "fail" and one is not row]
        assert not others or status == "fail", others
        return row

    def carries_out(self, remedy: str) -> None:
        """Run a remedy as it stands."""
        env = {**os.environ, **self.env, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"}
        done = subprocess.run(
            [*self.before, "bash", "-ec", remedy],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=env,
            timeout=LONGEST_S,
            check=False,
        )
        assert done.returncode == 0, (remedy, done.stdout, done.stderr)

    def edits(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))


def make_patient(folder: Path, port: int = 1, body: str = "", mqtt: str = "", more: str = "") -> Patient:
    made = Patient(folder, write_config(folder, port, body, more=more))
    (folder / "state").mkdir(exist_ok=True)
    (folder / "models").mkdir(exist_ok=True)
    made.edits("[mqtt]\n", f"[mqtt]\n{mqtt}\n")
    return made
