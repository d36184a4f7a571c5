"""What both protocols stand on knows neither."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROTOCOLS = ("starlette", "uvicorn", "httptools", "uvloop", "grpc", "google.protobuf")


@pytest.mark.parametrize(
    ("module", "loaded"),
    [
        ("edged.api.handlers", []),
        ("edged.api.http", ["starlette"]),
        ("edged.api.server", ["starlette", "uvicorn", "httptools", "uvloop"]),
        ("edged.api.grpc", ["grpc"]),
    ],
)
def test_each_loads_its_own_protocol_alone(module: str, loaded: list[str]) -> None:
    code = f"import sys, {module}; print(*(name for name in {PROTOCOLS!r} if name in sys.modules))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.split() == loaded
