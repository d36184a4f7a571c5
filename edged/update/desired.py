"""What a box shall run, as somebody with the right to say so wrote it: reading, checking, and whose word counts.

payload (its signature is verified already) → parse → check (for this box? newer? still valid?) → resolve
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from edged.domain.artefact import SHA256, TARGET
from edged.domain.errors import RejectedError
from edged.domain.strict import read_json, unix_ms

SCHEMA = "edged.desired/1"
PAYLOAD_TYPE = "application/vnd.edged.desired+json"
"""Part of what is signed: a signature for one kind of document is none for another."""
MAX_BYTES = 96 * 1024
"""So that the document in its envelope (base64) is within the 128 KiB that a broker is asked to carry."""
MAX_DEPTH = 8
MAX_MODELS = 64
MAX_TEXT = 256
MAX_FILE_BYTES = 4 * 1024**3
MAX_PROBATION_S = 7 * 24 * 3600
MAX_SHOWN = 80

_MODEL = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_VERSION = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}(-[0-9A-Za-z.-]{1,64})?")
_NAME = re.compile(r"[a-z0-9-]{1,64}")


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a document is for: one device, or every device of a group."""

    kind: Literal["device", "group"]
    name: str

    def __post_init__(self) -> None:
        """Refuse a name that no device and no group can have."""
        if not _NAME.fullmatch(self.name):
            message = f"cannot address {self.kind} {self.name[:MAX_SHOWN]!r}, expected 1 to 64 of a-z, 0-9 and -"
            raise ValueError(message)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class ModelOrder:
    """One release: the file in the repository, by the digest that whoever ordered it has seen.

    ``force`` takes it although this box has it in quarantine. With ``shadow_one_in`` it first runs beside what is live, on one frame in so
    many (0: it does not), until ``shadow_frames`` were compared; a share of ``shadow_agreement`` of them has to agree. Its probation lasts
    ``probation_s`` and at least ``min_inferences``.
    """

    model: str
    version: str
    target: str
    length: int
    sha256: str
    force: bool = False
    shadow_one_in: int = 0
    shadow_frames: int = 100
    shadow_agreement: float = 0.9
    probation_s: int = 900
    min_inferences: int = 100


@dataclass(frozen=True, slots=True)
class Desired:
    """A whole document. A model whose order is None runs what the box's folders offer; one that is not named is left to others."""

    audience: Audience
    seq: int
    issued_ms: int
    not_after_ms: int
    """Unix time: from then on it must not be begun."""
    campaign: str
    by: str
    models: Mapping[str, ModelOrder | None]
    configuration: str | None
    """TOML, to be checked and put on probation like a model."""
    digest: str
    """SHA-256 of what was signed."""


@dataclass(frozen=True, slots=True)
class Order:
    """What counts for one model: the release (None: what the folders offer), and the document that says so."""

    wanted: ModelOrder | None
    source: Desired


def parse(payload: bytes) -> Desired:
    """Read a document. Unknown fields are ignored. Raises RejectedError, code ``malformed``, for anything else than one."""
    try:
        return _desired(_document(payload), hashlib.sha256(payload).hexdigest())
    except ValueError as error:
        message = f"cannot read the order: {str(error)[:200]}, expected {SCHEMA}"
        raise RejectedError(message, code="malformed") from error


def check(desired: Desired, addressed: Audience, own: Sequence[Audience], now_ms: int) -> None:
    """Hold a document to this box and this moment. Raises RejectedError.

    Args:
        desired: what was signed.
        addressed: whose topic, or folder, it was found in.
        own: the box's own audiences: itself and its groups.
        now_ms: Unix time that counts, never before the box's time floor.
    """
    if desired.audience != addressed or desired.audience not in own:
        wanted = ", ".join(str(one) for one in own)
        message = f"cannot follow order {desired.seq}: it is for {desired.audience}, found at {addressed}, expected one for {wanted}"
        raise RejectedError(message, code="other-audience")
    if now_ms >= desired.not_after_ms:
        late_s = (now_ms - desired.not_after_ms) / 1000
        message = f"cannot follow order {desired.seq} for {addressed}: it ended {late_s:.0f} s ago, expected one that is still valid"
        raise RejectedError(message, remedy="issue it again with a higher seq", code="expired")


def audiences(device: str, groups: Iterable[str] = ()) -> tuple[Audience, ...]:
    """Give a box's own audiences in the order in which they count: itself, then its groups."""
    return (Audience("device", device), *(Audience("group", group) for group in groups))


def resolve(accepted: Iterable[Desired], own: Sequence[Audience]) -> dict[str, Order]:
    """Give what counts for each model that any document names: the device's word first, then its groups' in their order."""
    found: dict[str, Order] = {}
    for desired in _in_order(accepted, own):
        for model, wanted in desired.models.items():
            found.setdefault(model, Order(wanted, desired))
    return dict(sorted(found.items()))


def configuration(accepted: Iterable[Desired], own: Sequence[Audience]) -> Desired | None:
    """Give the document whose configuration counts, or None when none brings any."""
    return next((one for one in _in_order(accepted, own) if one.configuration is not None), None)


def _in_order(accepted: Iterable[Desired], own: Sequence[Audience]) -> list[Desired]:
    by_audience = {desired.audience: desired for desired in accepted}
    return [by_audience[audience] for audience in own if audience in by_audience]


def _document(payload: bytes) -> Mapping[str, Any]:
    if len(payload) > MAX_BYTES:
        message = f"it has {len(payload)} bytes, expected at most {MAX_BYTES}"
        raise ValueError(message)
    document = read_json(payload, MAX_DEPTH)
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        message = "it is another document"
        raise ValueError(message)
    return document


def _desired(document: Mapping[str, Any], digest: str) -> Desired:
    models = _table(document.get("models", {}), "models")
    if len(models) > MAX_MODELS:
        message = f"models holds {len(models)}, expected at most {MAX_MODELS}"
        raise ValueError(message)
    brought = document.get("configuration")
    return Desired(
        audience=_audience(document.get("for")),
        seq=_whole(document, "seq", 1, 2**53),
        issued_ms=_date(document, "issued"),
        not_after_ms=_date(document, "not_after"),
        campaign=_text(document.get("campaign", ""), "campaign"),
        by=_text(document.get("by", ""), "by"),
        models={_matched(name, _MODEL, "a model's name"): _order(name, given) for name, given in models.items()},
        configuration=None if brought is None else _toml(_table(brought, "configuration")),
        digest=digest,
    )


def _audience(given: Any) -> Audience:
    table = _table(given, "for")
    if len(table) != 1 or not table.keys() <= {"device", "group"}:
        message = f"it is for {_shown(given)}, expected one device or one group"
        raise ValueError(message)
    ((kind, name),) = table.items()
    return Audience("device" if kind == "device" else "group", _matched(name, _NAME, f"a {kind}'s name"))


def _order(model: str, given: Any) -> ModelOrder | None:
    if given is None:
        return None
    table = _table(given, model)
    return ModelOrder(
        model=model,
        version=_matched(table.get("version"), _VERSION, "a version"),
        target=_matched(table.get("target"), TARGET, "a file's plain name"),
        length=_whole(table, "length", 1, MAX_FILE_BYTES),
        sha256=_matched(table.get("sha256"), SHA256, "a SHA-256 in hexadecimal"),
        force=_flag(table, "force"),
        shadow_one_in=_whole(table, "shadow_one_in", 0, 10_000, 0),
        shadow_frames=_whole(table, "shadow_frames", 1, 100_000, 100),
        shadow_agreement=_share(table, "shadow_agreement", 0.9),
        probation_s=_whole(table, "probation_s", 0, MAX_PROBATION_S, 900),
        min_inferences=_whole(table, "min_inferences", 0, 1_000_000, 100),
    )


def _toml(table: Mapping[str, Any]) -> str:
    text = table.get("toml")
    if not isinstance(text, str):
        message = f"configuration holds {_shown(text)}, expected toml, a text"
        raise ValueError(message)  # noqa: TRY004 - parse maps one error
    return text


def _table(given: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(given, dict):
        message = f"{name} is {_shown(given)}, expected an object"
        raise ValueError(message)  # noqa: TRY004 - parse maps one error
    return given


def _whole(table: Mapping[str, Any], name: str, least: int, most: int, default: int | None = None) -> int:
    value = table.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        message = f"{name} is {_shown(value)}, expected a whole number from {least} to {most}"
        raise ValueError(message)
    return value


def _share(table: Mapping[str, Any], name: str, default: float) -> float:
    value = table.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        message = f"{name} is {_shown(value)}, expected a share from 0 to 1"
        raise ValueError(message)
    return float(value)


def _flag(table: Mapping[str, Any], name: str) -> bool:
    value = table.get(name, False)
    if not isinstance(value, bool):
        message = f"{name} is {_shown(value)}, expected true or false"
        raise ValueError(message)  # noqa: TRY004 - parse maps one error
    return value


def _date(table: Mapping[str, Any], name: str) -> int:
    value = unix_ms(table.get(name))
    if value is None:
        message = f"{name} is {_shown(table.get(name))}, expected RFC 3339 such as 2026-11-20T23:10:04Z"
        raise ValueError(message)
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT:
        message = f"{name} is {_shown(value)}, expected a text of at most {MAX_TEXT} characters"
        raise ValueError(message)
    return value


def _matched(value: Any, pattern: re.Pattern[str], what: str) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        message = f"{_shown(value)} is no {what.removeprefix('a ')}"
        raise ValueError(message)
    return value


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
