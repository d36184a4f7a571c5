"""Who may do what on the broker: mosquitto's dynamic security plugin, deny by default, one role a device.

An ``acl_file`` will not do. It is applied at delivery, so that a device that joins the shared subscription of the file service is
granted it, and swallows its share of all requests; and ``%u`` is not known to this plugin (mosquitto issues 744 and 2222), so that each
device needs a role of its own.
"""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from edged.domain.errors import ConfigError
from edged.fleet.topics import ROOT

SALT_BYTES = 12
"""What mosquitto reads (password_mosq.c, PW salt of 12 bytes with PBKDF2)."""
ITERATIONS = 20_000
ADMIN, FLEET_ROLE = "admin", "fleet"
CONTROL = "$CONTROL/dynamic-security/#"
REQUESTS = f"$share/files/{ROOT}/d/+/out/get"
"""What the services that hand out blocks share among them."""
_NAME = re.compile(r"[a-z0-9-]{1,64}")
_TOPIC = re.compile(r"[^+#\0$][^+#\0]{0,255}")

Acl = dict[str, Any]
Document = dict[str, Any]


def device_role(device: str, groups: Sequence[str] = (), reads: Iterable[str] = ()) -> Document:
    """Give the role of one device: it writes below its own ``out/`` and reads its own and its groups' ``in/``.

    ``reads`` are further topics, which a ``topic`` source needs. Raises ConfigError for a name that would widen a pattern.
    """
    places = [f"{ROOT}/d/{named(device)}/in/#", *(f"{ROOT}/g/{named(group)}/in/#" for group in groups)]
    further = [_plain(topic) for topic in reads]
    return {
        "rolename": role_of(device),
        "acls": [
            _allow("publishClientSend", f"{ROOT}/d/{device}/out/#"),
            *(_allow(kind, place) for place in places for kind in ("publishClientReceive", "subscribePattern")),
            *(_allow(kind, topic) for topic in further for kind in ("publishClientReceive", "subscribeLiteral")),
        ],
    }


def fleet_role() -> Document:
    """Give the role of the fleet manager's programs: they read everything of edged's and write all that devices read."""
    return {
        "rolename": FLEET_ROLE,
        "acls": [
            _allow("publishClientSend", f"{ROOT}/d/+/in/#"),
            _allow("publishClientSend", f"{ROOT}/g/+/in/#"),
            _allow("publishClientSend", f"{ROOT}/f/#"),
            _allow("publishClientReceive", f"{ROOT}/#"),
            _allow("subscribePattern", f"{ROOT}/#"),
            _allow("subscribePattern", REQUESTS),
        ],
    }


def client(name: str, password: str, roles: Iterable[str]) -> Document:
    """Give a user as the plugin's file has one."""
    return {"username": named(name), **hashed(password), "roles": [{"rolename": role} for role in roles]}


def empty(admin_password: str) -> Document:
    """Give the plugin's file of a broker without devices: an administrator, and the fleet's role."""
    admin = {"rolename": ADMIN, "acls": [_allow(kind, CONTROL) for kind in _CONTROLLING]}
    return {
        "defaultACLAccess": {
            "publishClientSend": False,
            "publishClientReceive": False,
            "subscribe": False,
            "unsubscribe": True,
        },
        "clients": [client(ADMIN, admin_password, [ADMIN])],
        "groups": [],
        "roles": [admin, fleet_role()],
    }


def with_user(document: Document, user: Document, role: Document | None = None) -> Document:
    """Give the file with this user, and its role, in place of those of the same name."""
    less = without_user(document, user["username"])
    roles = [*less["roles"], *([role] if role else [])]
    return {**less, "clients": [*less["clients"], user], "roles": roles}


def without_user(document: Document, name: str) -> Document:
    """Give the file without this user and its role."""
    clients = [one for one in document["clients"] if one["username"] != name]
    return {
        **document,
        "clients": clients,
        "roles": [one for one in document["roles"] if one["rolename"] != role_of(name)],
    }


def commands_to_add(name: str, password: str, role: Document | None, roles: Iterable[str]) -> list[Document]:
    """Give the plugin's commands that add a user to a broker that runs; whoever has the name already is replaced."""
    made = [{"command": "createRole", **role}] if role else []
    return [
        *commands_to_remove(name),
        *made,
        {
            "command": "createClient",
            "username": named(name),
            "password": password,
            "roles": [{"rolename": one} for one in roles],
        },
    ]


def commands_to_remove(name: str) -> list[Document]:
    """Give the plugin's commands that remove a user and its role; it is disconnected at once."""
    return [
        {"command": "deleteClient", "username": named(name)},
        {"command": "deleteRole", "rolename": role_of(name)},
    ]


def role_of(device: str) -> str:
    """Name a device's role."""
    return f"device-{device}"


def named(name: str) -> str:
    """Give the name of a device, group or program back. Raises ConfigError when it could stand for several."""
    if _NAME.fullmatch(name) is None:
        message = f"cannot use the name {name!r}, expected 1 to 64 of a-z, 0-9 and -: others could widen an access rule"
        raise ConfigError(message)
    return name


def hashed(password: str) -> Document:
    """Give what the plugin keeps of a password: PBKDF2 with HMAC-SHA-512."""
    salt = os.urandom(SALT_BYTES)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return {
        "password": base64.b64encode(digest).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": ITERATIONS,
    }


_CONTROLLING = ("publishClientSend", "publishClientReceive", "subscribePattern", "unsubscribePattern")


def _plain(topic: str) -> str:
    if _TOPIC.fullmatch(topic) is None:
        message = f"cannot let a device read {topic!r}, expected a topic without wildcards"
        raise ConfigError(message)
    return topic


def _allow(kind: str, topic: str) -> Acl:
    return {"acltype": kind, "topic": topic, "priority": 0, "allow": True}
