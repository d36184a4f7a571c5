"""Files to configuration: every fault at once, and a pipeline's fault costs that pipeline and not the box.

``edged.toml`` is read first, then ``conf.d/*.toml`` beside it in name order. How two files become one document stands
in ``edged.config.placed``; what may stand in it, in ``edged.config.schema``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from edged.config.actions import Action
from edged.config.faults import explain, models_in, nearest
from edged.config.identity import device_id
from edged.config.ordered import in_force
from edged.config.pipelines import ACTIONS
from edged.config.placed import Placed, find, merge, name_of, place, plain
from edged.config.read import read_toml
from edged.config.schema import Config, Pipeline, Source, State
from edged.domain.errors import ConfigError

DROP_INS = "conf.d"
"""The folder beside the main file."""
MAX_DROP_INS = 256
"""More than anybody keeps by hand; a folder that something fills by mistake is told, not read for minutes."""
_UNNAMED = "unnamed"
"""Stands in for an id while the rest is judged, or where none is needed."""
_GROUNDS = frozenset({"device", "engine", "models", "profiles", "remote", "state"})
"""Sections by which all others are judged: where things lie, and what the box can do."""
_EMPTY = "cannot use an empty file, expected sections such as [mqtt]; a power cut or a full disk leaves such files"
_NO_IDENTITY = "cannot name this box: etc/machine-id holds no id, expected an id here"

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: in which file, at which key (empty: the file as a whole), and what.

    ``pipeline`` is the one that it costs, by name; None for a source's own fault (each pipeline on it has one too) and
    for the box's own sections.
    """

    file: Path
    key: str
    message: str
    pipeline: str | None = None

    def __str__(self) -> str:
        """Give the line that a person reads."""
        return f"{self.file}: {self.key}: {self.message}" if self.key else f"{self.file}: {self.message}"


class RejectedConfigError(ConfigError):
    """The box cannot run on these files: one cannot be read, or a fault lies outside the sources and pipelines.

    ``rest`` is what the sections without faults say, for who looks on; None where that would mislead.
    """

    def __init__(self, faults: tuple[Fault, ...], rest: Loaded | None = None) -> None:
        """Keep every fault, those of pipelines among them."""
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"cannot use the configuration: {faults[0]}{more}", remedy="edged check lists every fault")
        self.faults, self.rest = faults, rest


@dataclass(frozen=True, slots=True)
class Loaded:
    """What can run, what is wrong with the rest, and the files that were read, in order."""

    config: Config
    faults: tuple[Fault, ...]
    files: tuple[Path, ...]


def load(
    main: Path,
    *,
    root: Path = Path("/"),
    required: bool = True,
    named: bool = True,
    ordered: Path | Literal["in-force"] | None = "in-force",
) -> Loaded:
    """Read ``main`` and its drop-ins, then what was ordered over the air: what is in force of that, another file, or nothing.

    ``root`` is where ``etc/machine-id`` hangs. Unless ``required``, a ``main`` that does not exist counts as empty; unless
    ``named``, a box that nothing gives an id is called ``unnamed``: who only looks at it needs none.

    Raises RejectedConfigError, with every fault, when a file cannot be read or one of the box's own sections is wrong.
    """
    whole, unreadable, files = read_whole(main, required=required, ordered=ordered)
    sources, source_faults = _judge(whole, "source", TypeAdapter(Source).validate_python, models_in(Source))
    actions, action_faults = _judge(whole, "action", TypeAdapter(Action).validate_python, models_in(Action))
    declared = partial(Pipeline.model_validate, context={ACTIONS: {action.name for action in actions}})
    pipelines, pipeline_faults = _judge(whole, "pipeline", declared, [Pipeline])
    # What an unreadable file would have said is missing from the others through no fault of theirs.
    strays = [] if unreadable else _strays(whole, sources)
    identity = device_id(root) or (_UNNAMED if unreadable or not named else None)
    names = {source.name for source in sources}
    connected = [pipeline for pipeline in pipelines if pipeline.source in names]
    config, box_faults = _assemble(whole, {"action": actions, "source": sources, "pipeline": connected}, identity)
    faults = (*unreadable, *box_faults, *action_faults, *source_faults, *pipeline_faults, *strays)
    rest = None if unreadable or config is None else Loaded(config, faults, files)
    if rest is None or box_faults:
        raise RejectedConfigError(faults, rest)
    return rest


def read_whole(
    main: Path, *, required: bool = True, ordered: Path | Literal["in-force"] | None = "in-force"
) -> tuple[Placed, list[Fault], tuple[Path, ...]]:
    """Give what the files say together, each value with its place, before anything is judged; what cannot be read; and the files."""
    documents, unreadable = _read(main, required=required)
    whole = reduce(merge, documents, place({}, main))
    if required and not whole.value and not unreadable:
        unreadable.append(Fault(main, "", _EMPTY))
    fragment = in_force(_state_of(whole)) if ordered == "in-force" else ordered
    if fragment is not None:
        document, fault = _read_one(fragment, required=True)
        unreadable += [fault] if fault else []
        documents += [document] if document else []
        whole = merge(whole, document) if document else whole
    return whole, unreadable, tuple(document.file for document in documents)


def _state_of(whole: Placed) -> Path:
    """Give the state directory, which only the box's own files may name."""
    section = plain(whole).get("state")
    named = section.get("directory") if isinstance(section, dict) else None
    return Path(named) if isinstance(named, str) and "\0" not in named else State().directory


def _read(main: Path, *, required: bool) -> tuple[list[Placed], list[Fault]]:
    documents: list[Placed] = []
    faults: list[Fault] = []
    folder = main.parent / DROP_INS
    try:
        drop_ins = sorted(file for file in folder.iterdir() if file.suffix == ".toml" and not file.name.startswith("."))
    except FileNotFoundError:
        drop_ins = []
    except (OSError, ValueError) as error:  # a name with a NUL in it is a ValueError
        drop_ins = []
        reason = error.strerror if isinstance(error, OSError) else error
        faults.append(Fault(folder, "", f"cannot read the folder: {reason}, expected a folder of TOML files"))
    if len(drop_ins) > MAX_DROP_INS:
        faults.append(Fault(folder, "", f"cannot read {len(drop_ins)} files, expected at most {MAX_DROP_INS}"))
    for file in (main, *drop_ins[:MAX_DROP_INS]):
        document, fault = _read_one(file, required=required or file != main)
        documents.extend([document] if document else [])
        faults.extend([fault] if fault else [])
    return documents, faults


def _read_one(file: Path, *, required: bool) -> tuple[Placed | None, Fault | None]:
    try:
        return place(read_toml(file), file), None
    except ConfigError as error:
        absent = isinstance(error.__cause__, FileNotFoundError)
        return None, (Fault(file, "", str(error)) if required or not absent else None)


def _items(whole: Placed, part: str) -> list[Placed]:
    found: Placed | None = whole.value.get(part)
    return found.value if found is not None and isinstance(found.value, list) else []


def _judge(
    whole: Placed, part: str, validate: Callable[[Any], _Item], models: Sequence[type[BaseModel]]
) -> tuple[list[_Item], list[Fault]]:
    """Give the items of an array that can be used, and the faults of the others."""
    good: list[_Item] = []
    faults: list[Fault] = []
    first: dict[str | None, Placed] = {}
    named = Counter(name_of(item) for item in _items(whole, part))
    for item in _items(whole, part):
        name, document = name_of(item), plain(item)
        costs = (name or item.key) if part == "pipeline" else None
        # Of two with one name nobody can say which was meant: neither runs.
        twice = name is not None and named[name] > 1
        if twice and first.setdefault(name, item) is not item:
            message = f"cannot use name {name!r}: it stands at {first[name].key} too, expected each name once"
            faults.append(Fault(*find(item, ["name"]), message, costs))
        try:
            judged = validate(document)
        except ValidationError as error:
            lines = explain(error, models, document)
            faults.extend(Fault(*find(item, path), line, costs) for path, line in lines)
        else:
            if not twice:
                good.append(judged)
    return good, faults


def _strays(whole: Placed, sources: list[Source]) -> list[Fault]:
    """Give a fault for each pipeline, sound or not, whose source is absent or has faults."""
    usable = {source.name for source in sources}
    declared = {name for item in _items(whole, "source") if (name := name_of(item)) is not None}
    faults: list[Fault] = []
    for item in _items(whole, "pipeline"):
        source = plain(item).get("source") if isinstance(item.value, dict) else None
        if not isinstance(source, str) or source in usable:
            continue
        if source in declared:
            line = f"cannot use source {source!r}: it has faults, expected a source without"
        else:
            line = f"cannot find source {source!r}: {nearest(source, declared)}"
        faults.append(Fault(*find(item, ["source"]), line, name_of(item) or item.key))
    return faults


def _assemble(
    whole: Placed, judged: Mapping[str, Sequence[Any]], machine: str | None
) -> tuple[Config | None, list[Fault]]:
    document = plain(whole)
    for part, items in judged.items():
        if isinstance(document.get(part), list):
            document[part] = items
    device = document.setdefault("device", {})
    faults: list[Fault] = []
    if isinstance(device, dict) and "id" not in device:
        device["id"] = machine or _UNNAMED
        if machine is None:
            faults.append(Fault(*find(whole, ["device", "id"]), _NO_IDENTITY))
    try:
        return Config.model_validate(document), faults
    except ValidationError as error:
        lines = explain(error, [Config], document)
        faults += [Fault(*find(whole, path), line) for path, line in lines]
        wrong = {found["loc"][0] for found in error.errors(include_url=False)}
    if wrong & _GROUNDS:
        return None, faults
    return Config.model_validate({name: part for name, part in document.items() if name not in wrong}), faults
