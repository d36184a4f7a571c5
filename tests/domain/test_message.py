"""Documents whose bodies are built when somebody reads them."""

from __future__ import annotations

from typing import Any

from edged.domain.message import Draft, Late


def test_a_late_body_is_built_once_and_not_before_it_is_read() -> None:
    built: list[str] = []

    def build() -> dict[str, Any]:
        built.append("once")
        return {"schema": "edged.result/1"}

    draft = Draft("result/gate", Late(build))
    assert built == []
    assert (draft.body, draft.body) == ({"schema": "edged.result/1"}, {"schema": "edged.result/1"})
    assert built == ["once"]
