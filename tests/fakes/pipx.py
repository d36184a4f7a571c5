"""What ``pipx install edged`` leaves behind on a machine: the wheel in an environment below a home, and links in ``~/.local/bin``.

Nothing is fetched: what edged depends on is seen in the environment of these tests, which the machine has in ``/opt/edged``.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from fakes.boot import Machine

HOME = "/root"
"""Closed to others, as many distributions have the homes of users, too."""
ENVIRONMENT = f"{HOME}/.local/share/pipx/venvs/edged"
EDGED, EDGECTL = (f"{HOME}/.local/bin/{name}" for name in ("edged", "edgectl"))
PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"


def install(machine: Machine, wheel: Path) -> None:
    """Install the wheel there, as pipx does."""
    shutil.copy(wheel, machine.root / "opt" / wheel.name)
    machine.do(
        text=f"""chmod 700 {HOME}
        /opt/python/bin/{PYTHON} -m venv --without-pip {ENVIRONMENT}
        echo /opt/edged/lib/{PYTHON}/site-packages > {ENVIRONMENT}/lib/{PYTHON}/site-packages/dependencies.pth
        PIP_NO_INDEX=1 {ENVIRONMENT}/bin/python -m pip install --quiet --no-deps --ignore-installed /opt/{wheel.name}
        mkdir -p {HOME}/.local/bin
        ln -s {ENVIRONMENT}/bin/edged {ENVIRONMENT}/bin/edgectl {HOME}/.local/bin
        rm /opt/{wheel.name} /opt/edged/bin/edged
        """
    )
