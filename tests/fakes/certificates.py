"""Certificates made on the spot with the openssl program: an authority, and what it or another one signs."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates into ``folder``."""

    def __init__(self, folder: Path, name: str = "Plant CA") -> None:
        if shutil.which("openssl") is None:
            pytest.skip("needs openssl: it is not on PATH")
        self._folder = folder
        self._name = name.replace(" ", "-").lower()
        self.pair = self._pair(self._name)
        self._openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30"),
            *("-subj", f"/CN={name}", "-keyout", self.pair.key, "-out", self.pair.cert),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign"),
        )

    def sign(self, name: str, *, names: str = "", days: int = 30) -> Pair:
        """Sign a certificate; ``names`` are its subjectAltNames, negative ``days`` make it expired."""
        pair, request = self._pair(name), self._folder / f"{name}.csr"
        self._openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", pair.key, "-out", request),
        )
        extensions = self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n" if names else "basicConstraints=CA:FALSE\n")
        self._openssl(
            *("x509", "-req", "-in", request, "-CA", self.pair.cert, "-CAkey", self.pair.key, "-CAcreateserial"),
            *("-days", str(days), "-extfile", extensions, "-out", pair.cert),
        )
        return pair

    def _pair(self, name: str) -> Pair:
        return Pair(self._folder / f"{name}.pem", self._folder / f"{name}.key")

    def _openssl(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
