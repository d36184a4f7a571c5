from __future__ import annotations

from pathlib import Path

import pytest

from edged.config.load import RejectedConfigError, load
from edged.config.urls import is_http


@pytest.mark.parametrize(
    "url", ["http://h", "https://h:8443/v1/traces?key=a", "http://10.0.0.7:8000", "http://[::1]:8000/a"]
)
def test_a_server_that_can_be_asked_is_one(url: str) -> None:
    assert is_http(url)


@pytest.mark.parametrize(
    "url",
    [
        "h:80",
        "ftp://h",
        "http://",
        "http://:80",
        "http://h:99999",
        "http://h:0",
        "http://h:a",
        "http://[::1",
        "http://h\nx",
        "http://h/a b",
    ],
)
def test_what_nobody_could_ask_is_none(url: str) -> None:
    assert not is_http(url)


@pytest.mark.parametrize("url", ["http://[::1", "http://h:99999", "http://h:8000/?token=hush"])
def test_a_url_that_nobody_could_ask_is_a_fault_of_the_configuration(url: str, tmp_path: Path) -> None:
    file = tmp_path / "edged.toml"
    file.write_text(f'[device]\nid = "press-07"\n[remote.parts]\nurl = "{url}"\n')

    with pytest.raises(RejectedConfigError, match=r"remote\.parts\.url: cannot ask a server") as caught:
        load(file)
    assert "hush" not in str(caught.value)
