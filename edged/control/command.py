"""What a command from the fleet asks for, and whether it may be done. Decisions only: ``edged.assembly.orders`` acts.

payload → read_command → judge (against what was handled before) → VERBS says what it may carry
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from edged.control.handled import Handled
from edged.domain.strict import read_json, unix_ms

MAX_COMMAND_BYTES = 16 * 1024
"""A command is a verb and a few words; whatever needs more comes as a desired state or a file."""
MAX_DEPTH = 8
"""Arguments nest once. The bound is checked before anything is parsed: the parser recurses."""
ID = re.compile(r"[\x21-\x7e]{1,64}")
"""Printable ASCII without spaces: a UUID, a ULID, or what people type."""
MAX_SHOWN = 64
"""Of what a sender wrote, at most so much is repeated in an answer."""


@dataclass(frozen=True, slots=True)
class Verb:
    """``args`` names the arguments it takes, all of them texts and none of them needed.

    ``has_effect`` is False for what may as well be done twice: it is answered also when nothing can be written down. ``rest_s`` is how
    long it rests after it was done twice in a row: what takes seconds of processor and megabytes of disk must not be asked for all day.
    """

    args: frozenset[str] = frozenset()
    has_effect: bool = True
    rest_s: float = 0.0


VERBS: Mapping[str, Verb] = {
    "ping": Verb(has_effect=False),
    "reload": Verb(),
    "pause": Verb(frozenset({"pipeline"})),
    "resume": Verb(frozenset({"pipeline"})),
    "snapshot": Verb(frozenset({"pipeline"})),
    "record": Verb(frozenset({"pipeline", "seconds"})),
    "restart": Verb(),
    "recalibrate": Verb(frozenset({"pipeline"})),
    "support": Verb(rest_s=300.0),
}


@dataclass(frozen=True, slots=True)
class Command:
    """A command that can be read. ``expires_ms`` is Unix time in ms: from then on it must not be begun."""

    id: str
    verb: str
    expires_ms: int
    args: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refused:
    """What is not done, and why. ``id`` and ``verb`` are empty as far as they could not be read."""

    code: str
    message: str
    id: str = ""
    verb: str = ""


def read_command(payload: bytes) -> Command | Refused:
    """Read what a sender wrote, whatever it is: every payload leads to a command or to a refusal, never to an error."""
    if len(payload) > MAX_COMMAND_BYTES:
        message = f"cannot read the command: {len(payload)} bytes, expected at most {MAX_COMMAND_BYTES}"
        return Refused("oversized", message)
    try:
        document = read_json(payload, MAX_DEPTH)
    except ValueError as error:
        return Refused("malformed", f"cannot read the command: {error}, expected a JSON object in UTF-8")
    if not isinstance(document, dict):
        return Refused("malformed", "cannot read the command: it is no JSON object, expected id, verb and expires_at")
    return _command(document)


def judge(command: Command, handled: Handled, now_ms: int, *, retained: bool) -> Refused | None:
    """Say why a command may not be done, or None.

    Args:
        command: what was asked.
        handled: what was done before.
        now_ms: the wall clock, Unix time in ms; what ``handled`` knows of the time counts when that is later.
        retained: whether the broker kept it, and would give it again at every connection.
    """
    if retained:
        message = (
            "cannot take a retained command, expected one that is sent once; clear it with an empty retained message"
        )
        return _refused(command, "retained", message)
    if command.id in handled:
        message = f"cannot take command {command.id} twice, expected a new id for a new command"
        return _refused(command, "duplicate", message)
    late_ms = handled.now_ms(now_ms) - command.expires_ms
    if late_ms >= 0:
        message = f"cannot take the command: it expired {late_ms / 1000:.1f} s ago by this box's clock, expected one that is still valid"
        return _refused(command, "expired", message)
    return None


def _refused(command: Command, code: str, message: str) -> Refused:
    return Refused(code, message, command.id, command.verb)


# -- reading


def _command(document: Mapping[str, Any]) -> Command | Refused:
    id_, name = document.get("id"), document.get("verb")
    if not isinstance(id_, str) or not ID.fullmatch(id_):
        message = (
            f"cannot take a command with id {_shown(id_)}, expected 1 to 64 printable ASCII characters without spaces"
        )
        return Refused("malformed", message)
    verb = VERBS.get(name) if isinstance(name, str) else None
    if not isinstance(name, str) or verb is None:
        known = ", ".join(VERBS)
        return Refused("unknown-verb", f"cannot do {_shown(name)}, expected one of {known}", id_)
    expires_ms = unix_ms(document.get("expires_at"))
    if expires_ms is None:
        given = (
            f"expires_at {_shown(document['expires_at'])}"
            if "expires_at" in document
            else "a command without expires_at"
        )
        message = f"cannot take {given}, expected RFC 3339 such as 2026-11-20T23:10:04Z"
        return Refused("malformed", message, id_, name)
    args = document.get("args", {})
    if not _fits(args, verb):
        known = ", ".join(sorted(verb.args)) or "none"
        return Refused("malformed", f"cannot {name} with args {_shown(args)}, expected texts under: {known}", id_, name)
    return Command(id_, name, expires_ms, args)


def _fits(args: Any, verb: Verb) -> bool:
    """Unknown fields of a document are ignored, unknown arguments are not: a mistyped name would pause everything."""
    return (
        isinstance(args, dict) and args.keys() <= verb.args and all(isinstance(value, str) for value in args.values())
    )


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
