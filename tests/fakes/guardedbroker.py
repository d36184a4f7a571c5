"""A real broker with the access rules that `edgectl fleet broker` writes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgectl.cli import main
from edgectl.fleet import access
from fakes import brokers
from fakes.brokers import free_port

SCADA, SECRET = "scada", "reads"


@contextmanager
def guarded(folder: Path, *verbs: tuple[str, ...]) -> Iterator[int]:
    """Give its port. ``verbs`` are those of `edgectl fleet broker`, with what stands behind the folder."""
    port = free_port()
    assert main(["fleet", "broker", "init", str(folder), "--port", str(port), "--service", "desk"]) == 0
    for verb, *words in verbs:
        assert main(["fleet", "broker", verb, str(folder), *words]) == 0
    _let_scada_in(folder / "dynamic-security.json")
    conf = folder / "mosquitto.conf"
    # Started by root it would become another user, who may not read what root wrote.
    conf.write_text(conf.read_text() + ("user root\n" if os.geteuid() == 0 else ""))
    broker = brokers.mosquitto_with(conf, port)
    try:
        yield port
    finally:
        broker.close()


def password(folder: Path, name: str) -> str:
    """Give a user's password."""
    return (folder / "passwords" / name).read_text().strip()


def _let_scada_in(file: Path) -> None:
    """Add a plant's own host, which is none of edgectl's business: it may read and command all of Sparkplug."""
    kinds = ("publishClientSend", "publishClientReceive", "subscribePattern")
    rules = [{"acltype": kind, "topic": "spBv1.0/#", "priority": 0, "allow": True} for kind in kinds]
    role = {"rolename": SCADA, "acls": rules}
    user = access.client(SCADA, SECRET, [SCADA])
    file.write_text(json.dumps(access.with_user(json.loads(file.read_text()), user, role)))
