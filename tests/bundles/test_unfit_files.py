"""Bundles whose files are another model's than they say are refused, with what is observed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edged.domain.errors import BundleError
from fakes.asked import opened
from fakes.assetbundle import materialise
from fakes.daemon import edged, write_config
from fakes.sensor import pipeline

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


@pytest.fixture
def unfit(assets: Path, tmp_path: Path) -> Path:
    """Give a configuration of three models whose files are whole, and do not open."""
    config = ""
    for name in ("misshapen", "mislabelled"):
        folder = materialise("mobilenet-v2", assets, tmp_path / "spare").rename(tmp_path / name)
        text = (folder / "model.toml").read_text().replace('name = "mobilenet-v2"', f'name = "{name}"')
        width = "width = 192" if name == "misshapen" else "width = 224"
        (folder / "model.toml").write_text(text.replace("width = 224", width))
        config += pipeline(name, source="photos", model=name)
    (tmp_path / "mislabelled" / "imagenet_labels_1001.txt").write_text("one\ntwo\n")
    materialise("foreign", assets, tmp_path)
    config += pipeline("foreign", source="photos", model="foreign", more='pin = "lfs-pointer"')
    source = f'[[source]]\nname = "photos"\nkind = "images"\npath = "{assets / "images"}"\n'
    return write_config(tmp_path, 1883, source + config, models=(tmp_path,))


@pytest.mark.parametrize(
    ("name", "variant", "told"),
    [
        ("misshapen", "int8", "its shape is 1x224x224x3, expected 1x224x192x3"),
        ("mislabelled", "int8", "1001 classes: the label file holds 2 lines"),
        ("foreign", "lfs-pointer", "it is a Git LFS pointer of 132 bytes"),
    ],
)
def test_explain_and_check_tell_what_the_daemon_would_refuse(unfit: Path, name: str, variant: str, told: str) -> None:
    explained = edged("explain", name, "--config", unfit, "--json")
    (rung,) = [one for one in json.loads(explained.out)["variants"] if one["id"] == variant]
    checked = edged("check", "--config", unfit)

    assert rung["verdict"] == "refused"
    assert told in rung["reason"]
    assert told in checked.out + checked.err
    assert checked.status == 1
