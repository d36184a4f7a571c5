"""umockdev's testbed with one camera, until stdin ends; run with the system's Python, which has the bindings."""

from __future__ import annotations

import sys
from typing import Any

import gi  # type: ignore[import-not-found] # Debian's package python3-gi, for the system's own Python
from webcam import Webcam  # type: ignore[import-not-found] # beside this file

gi.require_version("UMockdev", "1.0")
from gi.repository import GLib, UMockdev  # type: ignore[import-not-found] # noqa: E402 - versions come first

CAMERA = "P: /devices/usb1/1-2/video4linux/video0\nN: video0\nE: SUBSYSTEM=video4linux\n"
NODE = "/dev/video0"
EINVAL = 22


class Driver(UMockdev.IoctlBase):  # type: ignore[misc]
    """Answers a client's calls; a request's number holds the size of its structure (include/uapi/asm-generic/ioctl.h)."""

    def do_handle_ioctl(self, client: Any) -> bool:
        request = client.get_request() & 0xFFFF_FFFF
        data = client.get_arg().resolve(0, request >> 16 & 0x3FFF)
        answer = Webcam().answer(request, bytes(data.retrieve()))
        if answer is None:
            client.complete(-1, EINVAL)
        else:
            data.update(0, list(answer))
            client.complete(0, 0)
        return True


def main() -> None:
    """Say where the testbed is, and serve."""
    bed = UMockdev.Testbed.new()
    bed.add_from_string(CAMERA)
    driver = Driver()
    bed.attach_ioctl(NODE, driver)
    sys.stdout.write(f"{bed.get_root_dir()}\n")
    sys.stdout.flush()
    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IO_HUP | GLib.IO_IN, lambda *_: loop.quit())
    loop.run()


if __name__ == "__main__":
    main()
