"""Writes docs/reference/ and the JSON Schema from the code, or with --check tells what is not up to date.

The prose and its examples stand in docs/templates/; a line ``<!-- NAME -->`` there is replaced by what the code says.
"""
# ruff: noqa: INP001 - a script, no package

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from grafana import dashboard
from pydantic import BaseModel
from verbs import verbs

from edged.api import health, metrics, page, past, refusal
from edged.api.handlers import Condition
from edged.api.http import InferenceApi
from edged.config import actions, pipelines, sources
from edged.config.schema import Config, EngineConfig, Remote
from edged.control.ladder import ORDERS
from edged.control.pressure import SIGNS
from edged.control.steps import ALL, KINDS, STEPS
from edged.control.steps import WORDS as LEVELS
from edged.domain import bundle
from edged.fleet import schemas, schemas_results, topics
from edged.fleet.schemas_results import Part
from edged.telemetry.codes import CODES
from edged.telemetry.journal import message_id
from edged.update.rollout import TABLE, State

DOCS = Path(__file__).resolve().parent
SCHEMA = DOCS.parent / "edged" / "config" / "edged.schema.json"
BOUNDS = {"minimum": "≥", "maximum": "≤", "exclusiveMinimum": ">", "exclusiveMaximum": "<"}
WORDS = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true or false", "object": "table"}


def main() -> int:
    """Write every page, or compare; 1 when one is not up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing, tell what would change")
    check = parser.parse_args().check
    stale = [path for path, text in pages() if not path.exists() or path.read_text(encoding="utf-8") != text]
    for path, text in pages():
        if path in stale and not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        sys.stderr.write(f"{'not up to date' if check else 'written'}: {path.relative_to(DOCS.parent)}\n")
    return 1 if stale and check else 0


def pages() -> Iterator[tuple[Path, str]]:
    """Give every generated file and its text."""
    for template in sorted((DOCS / "templates").glob("*.md")):
        lines = template.read_text(encoding="utf-8").splitlines()
        filled = [GENERATED[line[5:-4]]() if line.startswith("<!-- ") else line for line in lines]
        yield DOCS / "reference" / template.name, "\n".join(filled) + "\n"
    yield DOCS / "grafana" / "edged.json", json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"
    yield SCHEMA, json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def json_schema() -> dict[str, Any]:
    """Give the configuration's JSON Schema, with the fields' docstrings as descriptions."""
    schema = Config.model_json_schema()
    for name, part in [("Config", schema), *schema["$defs"].items()]:
        model = _model_named(name)
        for field, text in field_texts(model).items():
            if field in part["properties"]:
                part["properties"][field]["description"] = text
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "edged.toml"}


def _model_named(name: str) -> type[BaseModel]:
    return next(model for model in _models_below(Config) if model.__name__ == name)


def _models_below(model: type[BaseModel]) -> list[type[BaseModel]]:
    found = [model]
    for field in model.model_fields.values():
        for annotation in _parts_of(field.annotation):
            found += [below for below in _models_below(annotation) if below not in found]
    return found


def _parts_of(annotation: Any) -> list[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [part for argument in getattr(annotation, "__args__", ()) for part in _parts_of(argument)]


@cache
def _class_nodes(module: str) -> dict[str, ast.ClassDef]:
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def field_texts(kind: type) -> dict[str, str]:
    """Give the docstring below each field or member of a class and of edged's classes that it stands on, on one line."""
    texts: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("edged."):
            texts |= _own_texts(base)
    return texts


def _own_texts(kind: type) -> dict[str, str]:
    node = _class_nodes(kind.__module__).get(kind.__name__)
    body = node.body if node is not None else []
    texts: dict[str, str] = {}
    for node, below in pairwise(body):
        target: ast.expr | None = node.target if isinstance(node, ast.AnnAssign) else None
        if isinstance(node, ast.Assign):
            target = node.targets[0]
        text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
        if isinstance(target, ast.Name) and isinstance(text, str):
            texts[target.id] = " ".join(inspect.cleandoc(text).split())
    return texts


def section(model: type[BaseModel], title: str, *, only_own: bool = False) -> str:
    """Write a model as a heading, its docstring and a table of its keys."""
    rows = ["| key | value | default | |", "|---|---|---|---|"]
    schema, texts = model.model_json_schema(), field_texts(model)
    own = set(model.__annotations__) if only_own else set(model.model_fields)
    for name, field in model.model_fields.items():
        if name in own:
            key = field.alias or name
            part = schema["properties"][key]
            default = "required" if key in schema.get("required", []) else _default(part)
            rows.append(f"| `{key}` | {_value(part, schema)} | {default} | {_cell(texts.get(name, ''))} |")
    doc = inspect.cleandoc(model.__doc__ or "").replace("``", "`")
    if only_own and (
        bases := [base.__name__ for base in model.__mro__[1:] if issubclass(base, Part) and base is not Part]
    ):
        doc += f"\n\nHas the keys of {', '.join(bases)}, too."
    return "\n".join([f"## {title}", "", doc, *(["", *rows] if len(rows) > len(("head", "rule")) else []), ""])


def _default(part: dict[str, Any]) -> str:
    value = part.get("default")
    return "" if value is None or value in ([], {}) else f"`{json.dumps(value, ensure_ascii=False)}`"


def _plain(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)


def _cell(text: str) -> str:
    return text.replace("``", "`").replace("|", "\\|")


def _value(part: dict[str, Any], schema: dict[str, Any]) -> str:
    if "$ref" in part:
        return _value(schema["$defs"][part["$ref"].rsplit("/", 1)[1]], schema)
    for choice in ("anyOf", "oneOf"):
        if choice in part:
            kinds = [_value(one, schema) for one in part[choice] if one.get("type") != "null"]
            return " or ".join(dict.fromkeys(kinds))
    if "const" in part or "enum" in part:
        values = [part["const"]] if "const" in part else part["enum"]
        return ", ".join(f"`{value}`" for value in values)
    if part.get("type") == "array":
        inner = part.get("items") or next(iter(part.get("prefixItems", [{}])))
        return f"list of {_value(inner, schema)}"
    word = "path" if part.get("format") == "path" else WORDS.get(part.get("type", ""), "any value")
    bounds = [f"{sign} {_plain(part[bound])}" for bound, sign in BOUNDS.items() if bound in part]
    pattern = [f"`{_cell(part['pattern'])}`"] if "pattern" in part else []
    return ", ".join([word, *bounds, *pattern])


def config_sections() -> str:
    """Write every section of the configuration."""
    parts = []
    for name, field in Config.model_fields.items():
        if name not in {"engine", "remote", "action", "source", "pipeline"}:
            (model,) = _parts_of(field.annotation)
            parts.append(section(model, "`[[sink]]`" if name == "sink" else f"`[{name}]`"))
            parts += [section(part, f"`{name}.{key}`") for key, part in _tables_of(model)]
    parts.append(section(EngineConfig, "`[engine.NAME]`"))
    parts.append(section(Remote, "`[remote.MODEL]`"))
    for model in _parts_of(actions.Action):
        parts.append(section(model, f"`[[action]]`, kind `{model.__name__.removesuffix('Action').lower()}`"))
    parts.append(section(actions.Interlock, "`action.interlock`"))
    for model in _parts_of(sources.Source):
        kind = f"kind `{model.__name__.removesuffix('Source').lower()}`"
        parts.append(section(model, f"`[[source]]`, {'any other kind' if model is sources.PluginSource else kind}"))
    kinds = _parts_of(sources.Source)
    tables = {part: key for model in kinds for key, part in _tables_of(model) if part not in kinds}
    parts += [section(part, f"`source.{key}`") for part, key in tables.items()]
    titles = {"Pipeline": "[[pipeline]]", "Rule": "[[pipeline.rule]]", "When": "pipeline.rule.when"}
    titles |= {"Objective": "pipeline.objective", "Report": "pipeline.report"}
    titles |= {
        "Drift": "pipeline.drift",
        "Gate": "pipeline.gate",
        "Cascade": "[[pipeline.then]]",
        "Selector": "pipeline.then.on",
    }
    parts += [section(getattr(pipelines, name), f"`{title}`") for name, title in titles.items()]
    return "\n".join(parts).rstrip()


def _tables_of(model: type[BaseModel]) -> list[tuple[str, type[BaseModel]]]:
    return [(name, part) for name, field in model.model_fields.items() for part in _parts_of(field.annotation)]


def bundle_sections() -> str:
    """Write every section of a bundle's manifest."""
    titles = {"Manifest": "model.toml", "ImageInput": "[input]`, kind `image", "WindowInput": "[input]`, kind `window"}
    titles |= {"Frames": "[input.frames]"}
    titles |= {"OutputSpec": "[output]", "Variant": "[[variant]]", "Accuracy": "variant.accuracy", "State": "[[state]]"}
    titles |= {"Bands": "[input.bands]", "Calibration": "[calibration]", "Golden": "[golden]", "Drift": "[drift]"}
    return "\n".join(section(getattr(bundle, name), f"`{title}`") for name, title in titles.items()).rstrip()


def document_sections() -> str:
    """Write the envelope, every document and its parts."""
    places = (schemas_results, schemas)
    models = [
        model
        for module in places
        for _, model in inspect.getmembers(module, inspect.isclass)
        if issubclass(model, Part) and model is not Part and model.__module__ == module.__name__
    ]
    order = [module.__name__ for module in places]
    models.sort(key=lambda model: (order.index(model.__module__), inspect.getsourcelines(model)[1]))
    return "\n".join(section(model, _document_title(model), only_own=True) for model in models).rstrip()


def _document_title(model: type[BaseModel]) -> str:
    named = model.model_fields.get("schema_")
    return f"`{named.annotation.__args__[0]}`" if named and named.annotation else model.__name__


def topic_lines() -> str:
    """Write the topic tree with its places for names."""
    device = "<id>"
    streams = [topics.STATUS, topics.HEALTH, topics.INVENTORY, topics.MODELS]
    streams += [topics.result_stream("<pipeline>"), topics.event_stream("<pipeline>")]
    streams += [
        "action/<action>",
        topics.ALERT,
        topics.TELEMETRY,
        topics.UPDATE,
        topics.GET,
        topics.REPLY,
        topics.STATES,
    ]
    lines = [topics.out(device, name) + ("   retained" if name in topics.RETAINED_STREAMS else "") for name in streams]
    lines += topics.subscriptions(device, ["<group>"])
    return "\n".join(["```", *lines, "```"])


def rollout_diagram() -> str:
    """Draw the rollout's table, and list its states."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> idle"]
    for state, row in TABLE.items():
        lines += [f"    {state.value} --> {following.value}: {event.value}" for event, following in row.items()]
    texts = field_texts(State)
    states = [f"| `{state.value}` | {_cell(texts[state.name])} |" for state in State]
    return "\n".join([*lines, "```", "", "| state | |", "|---|---|", *states])


def choice_orders() -> str:
    """Write by which figures candidates are put in order."""
    texts = {
        "accuracy": "level of accuracy",
        "latency": "p99",
        "energy": "processor time",
        "memory": "peak memory",
        "rate": "p50",
    }
    rows = [f"| `{prefer}` | {', '.join(texts[name] for name in names)} |" for prefer, names in ORDERS.items()]
    return "\n".join(["| `prefer` | figures, the deciding one first |", "|---|---|", *rows])


def governor_signs() -> str:
    """Write from which value on each sign counts as which level."""
    rows = ["| sign | reads | " + " | ".join(LEVELS[1:]) + " | helps |", "|---|---|" + "---|" * len(LEVELS)]
    for sign in SIGNS:
        at = {level: f"{'≤' if sign.is_falling else '≥'} {_plain(bound)}" for bound, level in sign.bounds}
        says = re.sub(r"\{[^}]*\}", "n", sign.text)
        helps = "everything" if sign.helps == ALL else ", ".join(kind for kind in KINDS if kind in sign.helps)
        bounds = " | ".join(at.get(level, "") for level in range(1, len(LEVELS)))
        rows.append(f"| `{sign.name}` | {says} | {bounds} | {helps} |")
    return "\n".join(rows)


def governor_steps() -> str:
    """Write the kinds of step in their order."""
    rows = [f"| `{step.name}` | {step.text} | {LEVELS[step.from_level]} |" for step in STEPS]
    return "\n".join(["| step | | from |", "|---|---|---|", *rows])


def http_routes() -> str:
    """Write a row for each path of the HTTP server."""
    nobody = cast("Any", None)
    rows = [*InferenceApi(nobody, 0).routes(), *health.routes(Condition(dict, tuple), "", list)]
    rows += [*metrics.routes(str), *past.routes(nobody)]
    rows += [row for row in page.routes(nobody) if row.path == "/" or row.path not in page.FILES]
    return "\n".join(f"| {row.method} | `{row.path}` | {row.right} | {row.summary} |" for row in rows)


def http_refusals() -> str:
    """Write a row for each kind of refusal."""
    texts = refusal.WORDS
    return "\n".join(f"| {status} | {texts[kind]} |" for kind, status in sorted(refusal.STATUS.items(), key=_second))


def log_codes() -> str:
    """Write a row for each code of a warning or an error."""
    rows = [f"| `{c.name}` | {c.gravity} | {c.about} {c.remedy} | `{message_id(c.name)}` |" for c in CODES]
    return "\n".join(
        ["| code | level | | `MESSAGE_ID` |", "|---|---|---|---|", *(row.replace("  |", " |") for row in rows)]
    )


def _second(item: tuple[str, int]) -> int:
    return item[1]


GENERATED: dict[str, Callable[[], str]] = {
    "configuration": config_sections,
    "bundle": bundle_sections,
    "documents": document_sections,
    "topics": topic_lines,
    "rollout": rollout_diagram,
    "orders": choice_orders,
    "signs": governor_signs,
    "steps": governor_steps,
    "routes": http_routes,
    "refusals": http_refusals,
    "codes": log_codes,
    "verbs": verbs,
}


if __name__ == "__main__":
    sys.exit(main())
