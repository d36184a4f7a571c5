"""A bus that devices are plugged into and out of: umockdev's testbed, in a process of its own, and what lets a program see it.

The program that looks runs with ``env``; it sees the testbed's /sys and device nodes in the place of the machine's own.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PYTHON = "/usr/bin/python3"
"""The system's, which the bindings are installed for."""
BED = """
import sys
import gi
gi.require_version("UMockdev", "1.0")
from gi.repository import UMockdev
bed = UMockdev.Testbed.new()
print(bed.get_root_dir(), flush=True)
for line in sys.stdin:
    verb, _, what = line.strip().partition(" ")
    if verb == "plug":
        bed.add_from_string(what.encode().decode("unicode_escape"))
    else:
        bed.remove_device(what)
    print("done", flush=True)
"""
PRELOAD = "libumockdev-preload.so.0"
CORAL = """\
P: /devices/usb2/2-1
N: bus/usb/002/{number:03d}
E: SUBSYSTEM=usb
E: DEVTYPE=usb_device
A: idVendor={vendor}\\n
A: idProduct={product}\\n
A: speed={speed}\\n
A: busnum=2\\n
A: devnum={number}\\n
"""
STICK = "/sys/devices/usb2/2-1"


class Testbed:
    """``plug`` and ``unplug`` a Coral USB Accelerator."""

    __test__ = False

    def __init__(self) -> None:
        wrapper = shutil.which("umockdev-wrapper")
        if wrapper is None:
            pytest.skip("needs umockdev: install the packages umockdev and gir1.2-umockdev-1.0")
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            [wrapper, PYTHON, "-c", BED], stdin=pipe, stdout=pipe, stderr=pipe, text=True, bufsize=1
        )
        self.root = Path(self._said())

    @property
    def env(self) -> dict[str, str]:
        return {"LD_PRELOAD": PRELOAD, "UMOCKDEV_DIR": str(self.root)}

    def plug(self, *, firmware: bool = True, speed: int = 5000) -> None:
        """Plug the stick in; without ``firmware`` as one that was not used since."""
        vendor, product, number = ("18d1", "9302", 8) if firmware else ("1a6e", "089a", 7)
        text = CORAL.format(vendor=vendor, product=product, number=number, speed=speed)
        self._say("plug " + text.replace("\\", "\\\\").replace("\n", "\\n"))

    def unplug(self) -> None:
        self._say(f"unplug {STICK}")

    def close(self) -> None:
        self._process.communicate(timeout=10)

    def _say(self, words: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(words + "\n")
        self._process.stdin.flush()
        assert self._said() == "done"

    def _said(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            _, error = self._process.communicate(timeout=10)
            pytest.skip(f"needs umockdev's testbed and its bindings for {PYTHON}: {error.strip().splitlines()[-1:]}")
        return line
