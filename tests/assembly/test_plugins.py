from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edged.assembly.box import survey
from edged.assembly.lines import feed_settings, is_lossless, opener
from edged.assembly.models import open_best
from edged.assembly.plugins import open_engine, open_source
from edged.config.schema import PluginSource
from edged.domain.errors import BundleError, ConfigError, DeviceError, SourceLostError
from edged.update.manifest import read_bundle
from fakes.brought import bring
from fakes.bundle import make_bundle
from fakes.clock import FakeClock

SOURCE = """
from edged.domain.errors import DeviceError

class Owl:
    drops = {"asleep": 3}
    def __init__(self, says):
        self.says = says
    def read(self):
        if isinstance(self.says, Exception):
            raise self.says
        return self.says
    def close(self):
        self.says = None

def made(*, options, clock):
    if "error" in options:
        raise options["error"]
    return Owl(options["says"])
"""
ENGINE = """
def made(file, *, threads, accelerator):
    raise {error}
"""


@pytest.fixture(autouse=True)
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder that packages are found in; there is a source ``owl``."""
    folder = tmp_path / "packages"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    bring(folder, "edged.sources", "owl", SOURCE)
    return folder


def owl(**options: Any) -> Any:
    return open_source("owl", options, FakeClock())


def test_a_packages_source_is_read_and_closed_and_its_drops_are_told() -> None:
    source = owl(says=None)
    assert (source.read(), source.drops) == (None, {"asleep": 3})
    source.close()
    assert "<ForeignSource owl" in repr(source)


@pytest.mark.parametrize("error", [OSError("no\nbus"), ZeroDivisionError("by zero")])
def test_an_error_of_a_packages_own_kind_is_the_sources_loss(error: Exception) -> None:
    with pytest.raises(SourceLostError, match="cannot read a source of kind 'owl' on: ") as caught:
        owl(says=error).read()
    assert caught.value.code == "plugin-failed"


def test_an_error_of_edgeds_own_kind_is_passed_on() -> None:
    with pytest.raises(DeviceError, match=r"^perch is gone$"):
        owl(says=DeviceError("perch is gone")).read()
    with pytest.raises(DeviceError, match=r"^no perch$"):
        owl(error=DeviceError("no perch"))


def test_options_that_a_package_cannot_use_are_a_fault_of_the_configuration() -> None:
    with pytest.raises(ConfigError, match=r"cannot open a source of kind 'owl': KeyError: 'says', expected options"):
        owl()


def test_any_other_error_while_opening_is_the_boxs() -> None:
    with pytest.raises(DeviceError, match="cannot open a source of kind 'owl': OSError: no bus"):
        owl(error=OSError("no bus"))


def test_a_source_of_a_package_is_opened_from_the_configuration_and_live(packages: Path) -> None:
    bring(packages, "edged.sources", "still", SOURCE)
    source = PluginSource(name="s", kind="still", options={"says": None})
    opened = opener(source, FakeClock())()
    assert opened.read() is None
    assert (feed_settings(source), is_lossless(source)) == ({}, False)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        ("OSError('no\\tchip')", DeviceError, "cannot open model.owl with the runtime 'odd': OSError: no chip"),
        ("__import__('edged.domain.errors').domain.errors.BundleError('bad file')", BundleError, "^bad file$"),
    ],
)
def test_an_engine_that_cannot_be_opened_says_why(
    packages: Path, error: str, kind: type[Exception], message: str
) -> None:
    bring(packages, "edged.engines", "odd", ENGINE.format(error=error))
    with pytest.raises(kind, match=message):
        open_engine("odd", Path("/model.owl"), threads=1, accelerator="cpu")


def test_a_runtime_that_nobody_brings_is_refused_and_named(tmp_path: Path) -> None:
    manifest = make_bundle(tmp_path / "parts") / "model.toml"
    manifest.write_text(manifest.read_text().replace('runtime = "tflite"', 'runtime = "owlet"'))
    box = survey(Path("/"), "auto", ())
    with pytest.raises(DeviceError, match="needs the runtime 'owlet', which no installed package brings"):
        open_best(read_bundle(manifest.parent), box)
