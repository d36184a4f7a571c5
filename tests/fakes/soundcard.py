"""A microphone that a test speaks into: a real PulseAudio, reached as PortAudio reaches any, through ALSA."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from ctypes.util import find_library
from pathlib import Path

import numpy as np
import pytest

from fakes.waiting import until

RATE_HZ = 16_000
MIC = "mic"
BLOCK_S = 0.02
ALSA = Path("/usr/share/alsa/alsa.conf")
PLUGINS = "*/alsa-lib/libasound_module_pcm_pulse.so"


def needed() -> None:
    """Skip a test where something of it is not installed."""
    has_plugin = any(True for _ in Path("/usr/lib").glob(PLUGINS))
    if not (
        shutil.which("pulseaudio")
        and has_plugin
        and find_library("portaudio")
        and importlib.util.find_spec("sounddevice")
    ):
        pytest.skip("pulseaudio, libasound2-plugins, libportaudio2 or sounddevice is not installed")


class SoundCard:
    """``plug`` and ``unplug`` as often as a test likes; in between its microphone hears what ``say`` was given, over and over."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._pipe, self._socket = folder, folder / "sound", folder / "native"
        self._process: subprocess.Popen[bytes] | None = None
        self._sound = np.zeros(RATE_HZ, "<i2")
        self._silent = threading.Event()
        self._speaking: threading.Thread | None = None
        server = f'server "unix:{self._socket}" device "{MIC}"'
        (folder / "asound.conf").write_text(
            f"pcm.{MIC} {{ type pulse {server} }}\npcm.!default {{ type pulse {server} }}\n", "utf-8"
        )

    @property
    def environ(self) -> Mapping[str, str]:
        """What a process has to have around it that shall find this one and no other."""
        return {"ALSA_CONFIG_PATH": f"{ALSA}:{self._folder / 'asound.conf'}", "HOME": str(self._folder)}

    def say(self, sound: np.ndarray) -> None:
        """Let this be heard from now on; int16, ``RATE_HZ`` a second."""
        self._sound = sound.astype("<i2")

    def plug(self) -> None:
        """Put it in."""
        command = ["pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"]
        command += ["-L", f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"]
        command += [
            "-L",
            f"module-pipe-source file={self._pipe} format=s16le rate={RATE_HZ} channels=1 source_name={MIC}",
        ]
        environ = {**os.environ, **self.environ, "XDG_RUNTIME_DIR": str(self._folder)}
        self._process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(lambda: self._pipe.exists() and self._socket.exists(), "the sound server listens")
        self._silent = threading.Event()
        self._speaking = threading.Thread(target=self._speak, args=(self._silent,), daemon=True)
        self._speaking.start()

    def unplug(self) -> None:
        """Take it out. May be called twice."""
        self._silent.set()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._speaking is not None:
            self._speaking.join()
        for path in (self._pipe, self._socket):
            path.unlink(missing_ok=True)

    def hang(self) -> None:
        """Let it give nothing, and answer nobody, from now on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _speak(self, silent: threading.Event) -> None:
        at, block = 0, int(RATE_HZ * BLOCK_S)
        # Not to wait in writing while it hangs; for reading too, since it may not have opened it yet.
        pipe = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)
        try:
            while not silent.wait(BLOCK_S):
                sound = self._sound
                with suppress(BlockingIOError):
                    os.write(pipe, np.take(sound, range(at, at + block), mode="wrap").tobytes())
                at = (at + block) % len(sound)
        finally:
            os.close(pipe)
