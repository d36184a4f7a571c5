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
from edged.sinks.homeassistant import birth_topic, topic_of

NODE_WORDS, DEVICE_WORDS = ("NBIRTH", "NDATA", "NDEATH"), ("DBIRTH", "DDATA", "DDEATH")
"""What an edge node of Sparkplug says of itself, and of its devices."""
SALT_BYTES = 12
"""What mosquitto reads (password_mosq.c, PW salt of 12 bytes with PBKDF2)."""
ITERATIONS = 20_000
ADMIN, FLEET_ROLE, HOMEASSISTANT = "admin", "fleet", "homeassistant"
CONTROL = "$CONTROL/dynamic-security/#"
REQUESTS = f"$share/files/{ROOT}/d/+/out/get"
"""What the services that hand out blocks share among them."""
_NAME = re.compile(r"[a-z0-9-]{1,64}")
_USER = re.compile(rf"{_NAME.pattern}(\.{_NAME.pattern})?")
"""A dot parts a device from one of its sources: neither name has one, so that no other device is meant."""
_TOPIC = re.compile(r"[^+#\0$][^+#\0]{0,255}")
_FILTER = re.compile(r"(?!\$)[^+#/\0]{1,255}(/(\+|[^+#/\0]{0,255}))*(/#)?")
"""Not ``$share``, which would swallow what others wait for, and not everything that there is."""

Acl = dict[str, Any]
Document = dict[str, Any]


def device_role(device: str, groups: Sequence[str] = (), announces: str = "") -> Document:
    """Give the role of one device: it writes below its own ``out/`` and reads its own and its groups' ``in/``.

    ``announces`` is the prefix under which it may announce itself to Home Assistant. Raises ConfigError for a name that would widen a
    pattern.
    """
    places = [f"{ROOT}/d/{named(device)}/in/#", *(f"{ROOT}/g/{named(group)}/in/#" for group in groups)]
    further = [_plain(birth_topic(announces))] if announces else []
    announcement = [_allow("publishClientSend", _plain(topic_of(announces, device)))] if announces else []
    return {
        "rolename": role_of(device),
        "acls": [
            _allow("publishClientSend", f"{ROOT}/d/{device}/out/#"),
            *announcement,
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


def homeassistant_role(prefix: str) -> Document:
    """Give the role of Home Assistant: it reads what devices tell and announce, and says that it came up. It commands nothing."""
    read = [f"{ROOT}/d/+/out/#", f"{_plain(prefix)}/#"]
    return {
        "rolename": role_of(HOMEASSISTANT),
        "acls": [
            _allow("publishClientSend", birth_topic(prefix)),
            *(_allow(kind, topic) for topic in read for kind in ("publishClientReceive", "subscribePattern")),
        ],
    }


def sparkplug_role(device: str, group: str) -> Document:
    """Give the role of a device's Sparkplug connection, which is a user of its own: it speaks for its node, and hears its commands."""
    before, node = f"spBv1.0/{_level(group)}", named(device)
    command = f"{before}/NCMD/{node}"
    return {
        "rolename": role_of(sparkplug_user(device)),
        "acls": [
            *(_allow("publishClientSend", f"{before}/{word}/{node}") for word in NODE_WORDS),
            *(_allow("publishClientSend", f"{before}/{word}/{node}/#") for word in DEVICE_WORDS),
            *(_allow(kind, command) for kind in ("publishClientReceive", "subscribeLiteral")),
        ],
    }


def sparkplug_user(device: str) -> str:
    """Name a device's user for Sparkplug."""
    return named(f"{device}-sparkplug")


def source_role(device: str, source: str, topic: str) -> Document:
    """Give the role of a device's ``topic`` source, whose connection is a user of its own: it reads this topic, or filter."""
    if _FILTER.fullmatch(topic) is None:
        message = (
            f"cannot let a source read {topic!r}, expected a topic or a filter such as plant/+/temperature or plant/#"
        )
        raise ConfigError(message)
    return {
        "rolename": role_of(source_user(device, source)),
        "acls": [_allow("publishClientReceive", topic), _allow("subscribeLiteral", topic)],
    }


def source_user(device: str, source: str) -> str:
    """Name a source's user as edged names its client."""
    return f"{named(device)}.{named(source)}"


def client(name: str, password: str, roles: Iterable[str]) -> Document:
    """Give a user as the plugin's file has one."""
    return {"username": user(name), **hashed(password), "roles": [{"rolename": role} for role in roles]}


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
            "username": user(name),
            "password": password,
            "roles": [{"rolename": one} for one in roles],
        },
    ]


def commands_to_remove(name: str) -> list[Document]:
    """Give the plugin's commands that remove a user and its role; it is disconnected at once."""
    return [
        {"command": "deleteClient", "username": user(name)},
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


def user(name: str) -> str:
    """Give the name of a user back: that of a device, group or program, or of a device's source. Raises ConfigError for others."""
    return name if _USER.fullmatch(name) else named(name)


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


def _level(group: str) -> str:
    if "/" in _plain(group):
        message = f"cannot use the group {group!r}, expected one level of a topic"
        raise ConfigError(message)
    return group


def _allow(kind: str, topic: str) -> Acl:
    return {"acltype": kind, "topic": topic, "priority": 0, "allow": True}
