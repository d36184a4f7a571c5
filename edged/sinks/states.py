"""What stands now of each pipeline, from what is told as it happens: the rules that hold, the rung, the model's version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edged.fleet.topics import INVENTORY, MODELS


class States:
    """Owned by who locks it. ``rules`` are those of each pipeline: whoever hears of a rule that is none of them has heard of old times."""

    def __init__(self) -> None:
        self._rules: dict[str, dict[str, bool]] = {}
        self._inventory: Mapping[str, Any] = {}
        self._models: Mapping[str, Any] = {}

    def expect(self, pipelines: Mapping[str, Iterable[str]]) -> None:
        """Name the pipelines and their rules; what is known of those that stay is kept, and a new rule does not hold."""
        known = self._rules
        self._rules = {
            name: {rule: known.get(name, {}).get(rule, False) for rule in rules} for name, rules in pipelines.items()
        }

    def hear(self, stream: str, body: Mapping[str, Any]) -> None:
        """Take a document."""
        if stream == INVENTORY:
            self._inventory = body
        elif stream == MODELS:
            self._models = body
        elif body.get("schema") == "edged.event/1":
            rules = self._rules.get(body["pipeline"], {})
            if body["rule"] in rules:
                rules[body["rule"]] = body["phase"] != "end"

    def told(self) -> dict[str, Any]:
        """Give what stands, by pipeline; what is not known is None."""
        versions = {model["name"]: (model["active"] or {}).get("version") for model in self._models.get("models", ())}
        models = {one["name"]: one["model"] for one in self._inventory.get("pipelines", ())}
        return {
            name: {
                "model": models.get(name),
                "version": versions.get(models.get(name)),
                "rung": rung_of(self._inventory, name),
                "rules": dict(rules),
            }
            for name, rules in self._rules.items()
        }


def rung_of(inventory: Mapping[str, Any], pipeline: str) -> str | None:
    """Name the variant that a pipeline runs: the governor's word where it does less, otherwise what was chosen; None when unknown."""
    about: Mapping[str, Any] = next((one for one in inventory.get("pipelines", ()) if one["name"] == pipeline), {})
    if about.get("governor"):
        return str(about["governor"]["rung"])
    ladders = (one for one in inventory.get("models", ()) if pipeline in one.get("pipelines", ()))
    chosen = (rung["id"] for ladder in ladders for rung in ladder["variants"] if rung["verdict"] == "chosen")
    return next(chosen, None)
