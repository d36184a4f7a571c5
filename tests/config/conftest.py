"""What the tests of configuration files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.configfile import Write


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write edged.toml and drop-ins; give the main file."""

    def write_files(main: str | bytes, **drop_ins: str) -> Path:
        file = tmp_path / "edged.toml"
        file.write_bytes(main.encode() if isinstance(main, str) else main)
        for name, text in drop_ins.items():
            (tmp_path / "conf.d").mkdir(exist_ok=True)
            (tmp_path / "conf.d" / f"{name}.toml").write_text(text, encoding="utf-8")
        return file

    return write_files
