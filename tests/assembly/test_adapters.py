from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edged.assembly.adapters import adapter
from edged.domain.errors import DeviceError


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the file of a module, ``needy_adapter``, that a test fills."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "needy_adapter", raising=False)
    return tmp_path / "needy_adapter.py"


def test_an_adapter_is_imported_by_name() -> None:
    assert adapter("edged.sources.csv").open_source


def test_a_library_that_is_not_installed_is_named_with_what_brings_it(module: Path) -> None:
    module.write_text("import a_library_that_nobody_has\n")
    with pytest.raises(DeviceError) as caught:
        adapter("needy_adapter", "serial")
    assert caught.value.code == "library-missing"
    assert str(caught.value) == (
        "cannot use needy_adapter: a_library_that_nobody_has is not installed, "
        "expected the libraries of edged[serial]; install edged[serial]"
    )


def test_a_library_that_does_not_start_is_told_in_its_own_words(module: Path) -> None:
    module.write_text("raise ImportError('libGL.so.1: cannot open shared object file')\n")
    with pytest.raises(DeviceError, match=r"libGL\.so\.1: cannot open.*install edged\[camera\] anew") as caught:
        adapter("needy_adapter")
    assert caught.value.code == "library-broken"


def test_edged_that_is_broken_itself_is_not_taken_for_a_missing_library(module: Path) -> None:
    module.write_text("from edged.domain.errors import NoSuchError\n")
    with pytest.raises(ImportError, match="NoSuchError"):
        adapter("needy_adapter")


def test_two_adapters_are_imported_one_after_the_other(module: Path) -> None:
    module.with_name("other_adapter.py").write_text("")
    module.write_text(
        "import sys, threading\n"
        "from edged.assembly.adapters import adapter\n"
        "other = threading.Thread(target=adapter, args=('other_adapter',))\n"
        "other.start()\n"
        "other.join(0.05)\n"
        "waits = other.is_alive() and 'other_adapter' not in sys.modules\n"
    )

    first = adapter("needy_adapter")

    assert first.waits
    first.other.join(30)
    assert sys.modules.pop("other_adapter")
