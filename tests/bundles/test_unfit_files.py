"""Bundles whose files are another model's than they say are refused, with what is observed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.domain.errors import BundleError
from fakes.asked import opened
from fakes.assetbundle import materialise

pytestmark = [pytest.mark.assets, pytest.mark.slow]


@pytest.mark.parametrize(
    ("variant", "told"),
    [
        ("unknown-operator", "fake-op-double"),
        ("micro-signal", "SignalWindow.*TensorFlow Lite Micro"),
        ("old-quantisation", "per-channel quantisation"),
        ("lfs-pointer", "Git LFS pointer"),
        ("edgetpu", "Coral Edge TPU"),
    ],
)
def test_foreign_files_are_refused_with_the_reason(assets: Path, tmp_path: Path, variant: str, told: str) -> None:
    folder = materialise("foreign", assets, tmp_path)
    with pytest.raises(BundleError, match=told):
        opened(folder, variant)


@pytest.mark.parametrize(
    ("name", "variant", "output", "told"),
    [
        ("mobilenet-v2", "int8", 'labels = "../mnist/labels.txt"', "expected a relative path"),
        ("visual-wake-words", "int8", 'decoder = "yolox"', "cannot decode with 'yolox'"),
        ("visual-wake-words", "int8", 'decoder = "ssd"', "cannot decode with 'ssd'"),
    ],
)
def test_a_bundle_that_does_not_fit_its_file_is_refused(
    assets: Path, tmp_path: Path, name: str, variant: str, output: str, told: str
) -> None:
    folder = materialise(name, assets, tmp_path)
    file = folder / "model.toml"
    key = output.split(" ", 1)[0]
    lines = [output if line.startswith(f"{key} ") else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines))
    with pytest.raises((BundleError, ValueError), match=told):
        opened(folder, variant)


def test_labels_that_do_not_fit_are_refused_with_both_numbers(assets: Path, tmp_path: Path) -> None:
    folder = materialise("mobilenet-v2", assets, tmp_path)
    (folder / "imagenet_labels_1001.txt").write_text("one\ntwo\n")
    with pytest.raises(BundleError, match="1001 classes: the label file holds 2 lines"):
        opened(folder, "int8")


def test_a_picture_of_another_size_than_the_files_is_refused_with_both(assets: Path, tmp_path: Path) -> None:
    folder = materialise("mobilenet-v2", assets, tmp_path)
    file = folder / "model.toml"
    file.write_text(file.read_text().replace("width = 224", "width = 192"))
    with pytest.raises(BundleError, match="its shape is 1x224x224x3, expected 1x224x192x3"):
        opened(folder, "int8")
