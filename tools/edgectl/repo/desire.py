"""Writes an order by hand: for a box without ``edgectl fleet``, a script, or a test."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import Error

from edgectl.ordering import Given, next_order
from edgectl.repo.orders import sign_order
from edgectl.repo.releases import find_release
from edged.domain.errors import ConfigError
from edged.update.desired import Audience, Desired, ModelOrder, parse

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants a box or a group to run. ``after`` is the last order for them, whose number and models go on."""

    audience: Audience
    releases: tuple[str, ...]
    campaign: str = ""
    by: str = ""
    days: float = 30.0
    after: Path | None = None
    shadow_one_in: int = 0
    """On one frame in so many each release runs beside what is live first; 0: it does not."""


def signed_order(wish: Wish, repository: Path, keys: Path, passphrase: bytes | None = None) -> bytes:
    """Give the order in its envelope. Raises ConfigError when a release is not offered, or there is no key."""
    changes = dict(_change(one, repository, wish.shadow_one_in) for one in wish.releases)
    given = Given(wish.by, wish.campaign, time.time(), wish.days * _DAY_S)
    return sign_order(next_order(wish.audience, _last(wish.after), changes, given), keys, passphrase)


def _change(text: str, repository: Path, shadow_one_in: int) -> tuple[str, ModelOrder | None]:
    model, equals, version = text.partition("=")
    if not model or not equals:
        message = f"cannot order {text!r}, expected MODEL=VERSION, or MODEL= for what the box has"
        raise ConfigError(message)
    if not version:
        return model, None
    return model, replace(find_release(repository, model, version), shadow_one_in=shadow_one_in)


def _last(after: Path | None) -> Desired | None:
    if after is None:
        return None
    try:
        return parse(Envelope.from_dict(json.loads(after.read_bytes())).payload)
    except (OSError, ValueError, KeyError, TypeError, Error) as error:
        message = f"cannot read the last order {after}: {' '.join(str(error).split())}, expected what edgectl repo desire printed"
        raise ConfigError(message) from error
