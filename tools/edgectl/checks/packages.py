"""Python packages: what overwrites each other, what does not work together, and what the configuration needs and nobody installed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edgectl.checks.rows import Ground, Row, Verdict
from edged.config import schema
from edged.config.schema import Config
from edged.hardware.interpreters import versions
from edged.hardware.runtimes import ONNX_DISTRIBUTIONS, old_tflite_note

LITERT, OLD_TFLITE = "ai-edge-litert", "tflite-runtime"
OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")

Packages = Mapping[str, str]
"""Version by distribution, of those that matter here."""


@dataclass(frozen=True, slots=True)
class Extra:
    """What a part of the configuration needs: any one of ``distributions``, which come with an extra of edged's."""

    name: str
    distributions: tuple[str, ...]
    is_needed: Callable[[Config], bool]


def rows(ground: Ground) -> Iterator[Row]:
    """Judge edged's own interpreter, and each that an engine's section names."""
    config = ground.config
    own = versions(None, _names()) or {}
    yield from _judged("edged's own", sys.executable, own)
    yield _complete(config, own)
    others = {str(one.python): name for name, one in config.engine.items() if one.python is not None}
    for python, engine in others.items():
        found = versions(Path(python), _names())
        subject = f"[engine.{engine}]"
        if found is None:
            remedy = f"{python} --version; {ground.edit(f'python below {subject}')}"
            yield Row("interpreter", subject, "fail", f"{python} does not answer", remedy)
        else:
            yield from _judged(subject, python, found)


def one_of(names: Sequence[str], pip: str, found: Packages) -> Verdict:
    """Judge distributions that all install the same files: of several, the last one installed wins, and removing one breaks the other."""
    there = [name for name in names if name in found]
    shown = ", ".join(f"{name} {found[name]}" for name in there)
    if len(there) < 2:
        return "ok" if there else "skipped", shown or f"none of {names[0]} and its like", ""
    # Who has the plain one and another wanted the other: it has everything that the plain one has.
    kept = there[-1]
    remedy = f"{pip} uninstall -y {' '.join(there)} && {pip} install {kept}=={found[kept]}"
    return "fail", f"{shown} overwrite each other", remedy


def tflite_with_numpy(pip: str, found: Packages) -> Verdict:
    """Judge tflite-runtime: it breaks with NumPy 2 when an interpreter is made, not at import, and is slow beside LiteRT."""
    if OLD_TFLITE not in found or LITERT in found:
        return "ok" if LITERT in found else "skipped", _shown(found, LITERT, OLD_TFLITE, "numpy"), ""
    numpy = found.get("numpy")
    is_broken = numpy is not None and not numpy.startswith(("0.", "1."))
    shown = f"{_shown(found, OLD_TFLITE, 'numpy')}: {old_tflite_note(numpy, is_second=False)}"
    return "fail" if is_broken else "warn", shown, f"{pip} install {LITERT}"


RULES: tuple[tuple[str, Callable[[str, Packages], Verdict]], ...] = (
    ("one ONNX Runtime", partial(one_of, ONNX_DISTRIBUTIONS)),
    ("tflite with numpy", tflite_with_numpy),
    ("one OpenCV", partial(one_of, OPENCV)),
)
"""What is judged of each interpreter's packages, by pip's command for it."""


def _has(*kinds: type) -> Callable[[Config], bool]:
    return lambda config: any(isinstance(source, kinds) for source in config.source)


EXTRAS: tuple[Extra, ...] = (
    Extra("tflite", (LITERT, OLD_TFLITE, *ONNX_DISTRIBUTIONS), lambda config: bool(config.pipeline)),
    Extra("camera", ("av",), _has(schema.CameraSource, schema.FileSource)),
    Extra("serial", ("pyserial",), _has(schema.SerialSource)),
    Extra("modbus", ("pymodbus",), _has(schema.ModbusSource)),
    Extra("audio", ("sounddevice",), _has(schema.MicrophoneSource)),
    Extra("http", ("uvicorn",), lambda config: config.http is not None),
    Extra("grpc", ("grpcio",), lambda config: config.grpc is not None),
    Extra("updates", ("tuf",), lambda config: config.updates.repository is not None),
)
"""As pyproject.toml has them."""


def _judged(subject: str, python: str, found: Packages) -> Iterator[Row]:
    for name, judge in RULES:
        status, evidence, remedy = judge(f"{python} -m pip", found)
        yield Row(name, subject, status, evidence, remedy, dict(found))


def _complete(config: Config, found: Packages) -> Row:
    lacking = [one for one in EXTRAS if one.is_needed(config) and not any(name in found for name in one.distributions)]
    if not lacking:
        return Row("complete", "edged's own", "ok", "everything that the configuration needs is installed")
    extras = ",".join(one.name for one in lacking)
    shown = "; ".join(f"no {' or '.join(one.distributions[:2])}" for one in lacking)
    return Row("complete", "edged's own", "fail", shown, f"{sys.executable} -m pip install 'edged[{extras}]'")


def _names() -> tuple[str, ...]:
    further = (name for one in EXTRAS for name in one.distributions)
    return tuple(dict.fromkeys((*ONNX_DISTRIBUTIONS, LITERT, OLD_TFLITE, "numpy", *OPENCV, *further)))


def _shown(found: Packages, *names: str) -> str:
    return ", ".join(f"{name} {found[name]}" for name in names if name in found) or "no TFLite runtime"
