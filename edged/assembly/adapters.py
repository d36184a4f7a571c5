"""Adapters by module name, imported when the first thing that needs them is opened: a box carries only what it uses."""

from __future__ import annotations

import threading
from importlib import import_module
from types import ModuleType

from edged.domain.errors import DeviceError

_ONE_AT_A_TIME = threading.RLock()
"""Two cameras that begin together would import PyAV together, whose modules import each other: one of them met half a module."""


def adapter(module: str, extra: str = "camera") -> ModuleType:
    """Import an adapter. Raises DeviceError when the library that it stands on is not installed; ``extra`` brings it."""
    try:
        with _ONE_AT_A_TIME:
            return import_module(module)
    except ImportError as error:
        if (error.name or "").split(".")[0] == "edged":
            raise  # edged itself is broken, which no extra mends
        raise _lacking(module, extra, error) from error


def _lacking(module: str, extra: str, error: ImportError) -> DeviceError:
    if isinstance(error, ModuleNotFoundError):
        message = f"cannot use {module}: {error.name} is not installed, expected the libraries of edged[{extra}]"
        return DeviceError(message, remedy=f"install edged[{extra}]", code="library-missing")
    message = f"cannot use {module}: {' '.join(str(error).split())}, expected libraries that work on this machine"
    return DeviceError(message, remedy=f"install edged[{extra}] anew", code="library-broken")
