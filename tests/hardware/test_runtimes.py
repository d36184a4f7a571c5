from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edged.hardware.runtimes import InstalledRuntime, installed_runtimes, old_tflite_note, runtime_findings

LITERT = InstalledRuntime("tflite", "ai-edge-litert", "2.3.0")
OLD = InstalledRuntime("tflite", "tflite-runtime", "2.14.0", degraded=True, note="slow")
ORT = InstalledRuntime("onnx", "onnxruntime", "1.24.0")
GPU = InstalledRuntime("onnx", "onnxruntime-gpu", "1.24.0")


def _install(folder: Path, name: str, version: str) -> None:
    info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")


def test_runtimes_are_read_from_metadata_without_an_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ai-edge-litert", "tflite-runtime", "onnxruntime", "onnxruntime-gpu"):
        _install(tmp_path, name, "9.9.9")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    found = installed_runtimes()

    assert [(x.runtime, x.distribution, x.version, x.degraded) for x in found] == [
        ("tflite", "ai-edge-litert", "9.9.9", False),
        ("tflite", "tflite-runtime", "9.9.9", True),
        ("onnx", "onnxruntime", "9.9.9", False),
        ("onnx", "onnxruntime-gpu", "9.9.9", False),
    ]


def test_nothing_installed_is_an_empty_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    assert installed_runtimes() == ()


def test_two_packages_of_one_import_name_are_a_warning_with_a_remedy() -> None:
    (finding,) = runtime_findings([LITERT, ORT, GPU])

    assert finding.code == "two-onnxruntimes"
    assert "onnxruntime and onnxruntime-gpu" in finding.remedy


@pytest.mark.parametrize(("runtimes", "codes"), [([OLD], ["degraded-runtime"]), ([LITERT, OLD], []), ([], [])])
def test_the_old_runtime_is_a_warning_only_where_it_would_be_used(
    runtimes: list[InstalledRuntime], codes: list[str]
) -> None:
    assert [finding.code for finding in runtime_findings(runtimes)] == codes


@pytest.mark.parametrize(
    ("numpy", "is_second", "words"),
    [("2.1.0", False, "does not work with NumPy 2.1.0"), ("1.26.4", False, "slower"), ("2.1.0", True, "unused")],
)
def test_the_old_runtime_says_what_is_wrong_with_it(numpy: str, is_second: bool, words: str) -> None:
    assert words in old_tflite_note(numpy, is_second=is_second)
