"""What systemd's journal is told of an event, in its own protocol: every field is one that ``journalctl`` can ask for.

https://systemd.io/JOURNAL_NATIVE_PROTOCOL/
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from edged.telemetry.jsontext import json_text
from edged.telemetry.logs import FIELDS, words

IDENTIFIER = "edged"
PREFIX = "EDGED_"
MOST_NAME_CHARS = 64
"""A longer name of a field is dropped by journald."""
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""From which level on which of syslog's priorities; below the last it is debug, 7."""
_TRACEBACK = logging.Formatter().formatException


def datagram(record: logging.LogRecord, lost: int = 0) -> bytes:
    """Give the entry; ``lost`` is how many before it the journal did not take."""
    return b"".join(_field(name, text) for name, text in _fields(record, lost))


def message_id(code: str) -> str:
    """Give the id by which ``journalctl MESSAGE_ID=…`` finds an event, 32 hexadecimal digits; the same for a code for ever."""
    # As a random UUID, since journald asks for one; made of the code, so that no table has to be kept.
    return UUID(bytes=sha256(f"edged log code {code}".encode()).digest()[:16], version=4).hex


def _fields(record: logging.LogRecord, lost: int) -> Iterator[tuple[str, str]]:
    code = record.getMessage()
    trace = _TRACEBACK(record.exc_info) if record.exc_info else ""
    # The traceback belongs to what a person sees: journalctl shows MESSAGE alone.
    yield "MESSAGE", f"{words(record)}\n{trace}" if trace else words(record)
    yield "PRIORITY", str(next((given for level, given in PRIORITIES if record.levelno >= level), 7))
    yield "SYSLOG_IDENTIFIER", IDENTIFIER
    yield "MESSAGE_ID", message_id(code)
    yield "CODE_FILE", record.pathname
    yield "CODE_LINE", str(record.lineno)
    yield "CODE_FUNC", record.funcName or ""
    yield f"{PREFIX}CODE", code
    yield f"{PREFIX}LOGGER", record.name
    yield f"{PREFIX}THREAD", record.threadName or ""
    if lost:
        yield f"{PREFIX}LOST", str(lost)
    given: Mapping[str, Any] = getattr(record, FIELDS, {})
    for key, value in given.items():
        yield _name(key), _text(value)


def _name(key: str) -> str:
    name = PREFIX + re.sub(r"[^A-Z0-9_]", "_", key.upper())
    # An event may have a field of a name that is taken: a document's ``code``, say.
    taken = name in {f"{PREFIX}CODE", f"{PREFIX}LOGGER", f"{PREFIX}THREAD", f"{PREFIX}LOST"}
    return (f"{PREFIX}FIELD_{name.removeprefix(PREFIX)}" if taken else name)[:MOST_NAME_CHARS]


def _text(value: Any) -> str:
    return json_text(value, str, default=str) if isinstance(value, dict | list | tuple) else str(value)


def _field(name: str, text: str) -> bytes:
    value = text.encode("utf-8", "replace")
    if b"\n" not in value:
        return b"%s=%s\n" % (name.encode(), value)
    return b"%s\n%s%s\n" % (name.encode(), len(value).to_bytes(8, "little"), value)
