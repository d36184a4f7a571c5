from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from edged.config.load import load
from edged.config.read import read_toml
from edged.config.schema import CameraSource, SerialSource
from edged.update.manifest import read_bundle
from fakes.bundle import make_bundle

DOCS = Path(__file__).resolve().parents[2] / "docs"


def examples(page: str) -> list[str]:
    return re.findall(r"^```toml\n(.*?)^```$", (DOCS / "reference" / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)


CONFIGURATIONS = examples("configuration.md")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    shipped: dict[str, Any] = json.loads((files("edged.config") / "edged.schema.json").read_text("utf-8"))
    return shipped


def test_the_reference_and_the_schema_are_what_the_code_says() -> None:
    checked = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True, check=False
    )

    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("example", CONFIGURATIONS)
def test_an_example_of_a_configuration_has_no_fault(example: str, tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "edged.toml").write_text(example, encoding="utf-8")

    loaded = load(tmp_path / "edged.toml", root=tmp_path)

    assert loaded.faults == ()
    assert loaded.config.pipeline


@pytest.mark.parametrize("example", CONFIGURATIONS)
def test_an_example_of_a_configuration_fits_the_shipped_schema(
    example: str, tmp_path: Path, schema: dict[str, Any]
) -> None:
    (tmp_path / "edged.toml").write_text(example, encoding="utf-8")

    jsonschema.validate(read_toml(tmp_path / "edged.toml"), schema)


def test_the_first_example_shows_every_section(tmp_path: Path, schema: dict[str, Any]) -> None:
    (tmp_path / "edged.toml").write_text(CONFIGURATIONS[0], encoding="utf-8")

    config = load(tmp_path / "edged.toml").config

    assert set(schema["properties"]) == set(read_toml(tmp_path / "edged.toml"))
    assert [type(source) for source in config.source] == [CameraSource, SerialSource]
    assert config.engine["edgetpu"].python == Path("/opt/coral/bin/python3")
    assert config.pipeline[0].then[0].on.min_score == 0.6
    assert config.pipeline[0].rule[0].when.count.holds(1)


def test_the_shipped_schema_refuses_what_edged_refuses(schema: dict[str, Any]) -> None:
    for document in ({"mqtt": {"prot": 1}}, {"pipeline": [{"name": "p"}]}, {"source": [{"name": "s", "kind": "x"}]}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(document, schema)


def test_the_example_of_a_manifest_is_one(tmp_path: Path) -> None:
    (example,) = examples("bundle.md")
    folder = make_bundle(tmp_path / "parts")
    (folder / "model.toml").write_text(example, encoding="utf-8")

    assert read_bundle(folder).manifest.version == "1.2.0"
