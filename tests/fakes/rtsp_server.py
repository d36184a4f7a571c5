"""An RTSP server of GStreamer's for one camera at /live; run with the system's Python: PORT WIDTH HEIGHT FPS."""

from __future__ import annotations

import sys
from typing import Any

import gi  # type: ignore[import-not-found] # Debian's package python3-gi, for the system's own Python

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found] # noqa: E402 - versions come first

PIPELINE = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width={width},height={height},framerate={fps}/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={fps} bitrate=1500 "
    "! rtph264pay name=pay0 pt=96 config-interval=1 )"
)


def main() -> None:
    """Serve for ever; say ``ready`` when clients may come."""
    port, width, height, fps = sys.argv[1:5]
    Gst.init(None)
    server: Any = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory: Any = GstRtspServer.RTSPMediaFactory()
    factory.set_shared(True)
    factory.set_launch(PIPELINE.format(width=width, height=height, fps=fps))
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
