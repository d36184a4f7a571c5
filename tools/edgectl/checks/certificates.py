"""The device's own certificate: until when it is valid."""

from __future__ import annotations

import subprocess
from pathlib import Path

from edgectl.checks.rows import Verdict

SOON_S = 30 * 86_400
OPENSSL_S = 5.0


def own_certificate(file: Path, config: Path) -> Verdict:
    """Ask openssl, which every system has that speaks TLS; Python's own library tells no dates of a file."""
    try:
        ends = _openssl(file, "-enddate").stdout.strip().partition("=")[2]
        is_soon = _openssl(file, "-checkend", str(SOON_S)).returncode != 0
        is_over = _openssl(file, "-checkend", "0").returncode != 0
    except (OSError, subprocess.SubprocessError) as error:
        return "skipped", f"cannot be asked for its date: {error}", ""
    if not ends:
        return "fail", f"{file} is no certificate in PEM", f"set tls.cert below [mqtt] in {config}"
    shown = f"{file}: valid until {ends}"
    remedy = f"sudo install -m 640 new.pem {file} && sudo systemctl reload edged  # once it is signed anew"
    return ("fail" if is_over else "warn" if is_soon else "ok"), shown, remedy if is_soon else ""


def _openssl(file: Path, *asked: str) -> subprocess.CompletedProcess[str]:
    command = ["openssl", "x509", "-noout", "-in", str(file), *asked]
    return subprocess.run(command, capture_output=True, text=True, timeout=OPENSSL_S, check=False)
