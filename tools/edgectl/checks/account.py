"""Who the daemon is on this box, and what it may open: by mode bits and groups, as the kernel decides for it. Pure but for the reading."""

from __future__ import annotations

import grp
import os
import pwd
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from edgectl.checks.rows import Ground
from edgectl.checks.service import UNIT, settings

USER = "edged"


@dataclass(frozen=True, slots=True)
class Account:
    """``gids`` are all its groups, those of the unit included. ``is_own``: it is whoever runs this."""

    name: str
    uid: int
    gids: frozenset[int]
    is_own: bool = False

    def may(self, place: Path, wanted: int) -> bool:
        """Whether it may use a file as asked, ``os.R_OK | os.W_OK``; False for what is not there, or cannot be seen."""
        if self.is_own:
            return os.access(place, wanted)
        try:
            about = place.stat()
        except OSError:
            return False
        return allowed(about, self.uid, self.gids) & wanted == wanted


def allowed(about: os.stat_result, uid: int, gids: frozenset[int]) -> int:
    """Give what mode bits allow: owner, else group, else others (path_resolution(7)); root may all."""
    if uid == 0:
        return os.R_OK | os.W_OK | os.X_OK
    mode = stat.S_IMODE(about.st_mode)
    shift = 6 if about.st_uid == uid else 3 if about.st_gid in gids else 0
    return mode >> shift & 0o7


def daemon_account(ground: Ground) -> Account:
    """Give who the daemon is: as it runs, or the unit's user, or whose the state directory is; last, whoever runs this."""
    running = _running(ground.daemon.pid) if ground.daemon.pid is not None else None
    return running or _provided(ground) or (_owner(ground) if ground.is_live else None) or _own()


def _provided(ground: Ground) -> Account | None:
    """Give the unit's user with the unit's groups, where there is such a user."""
    tree, unit = ground.tree, settings(ground, UNIT)
    name = unit.get("User", USER)
    entry = re.search(rf"^{re.escape(name)}:[^:]*:(\d+):(\d+):", tree.raw("etc/passwd") or "", re.MULTILINE)
    if entry is None:
        return None
    groups = re.findall(r"^([^:\n]+):[^:]*:(\d+):(.*)$", tree.raw("etc/group") or "", re.MULTILINE)
    lent = set(unit.get("SupplementaryGroups", "").split())
    gids = {int(gid) for group, gid, members in groups if group in lent or name in members.split(",")}
    return Account(name, int(entry[1]), frozenset({int(entry[2]), *gids}))


def _owner(ground: Ground) -> Account | None:
    """Give the owner of the state directory, who has run the daemon before."""
    try:
        about = ground.config.state.directory.stat()
        name = pwd_name(about.st_uid)
        gids = frozenset(os.getgrouplist(name, about.st_gid))
    except (OSError, KeyError):
        return None
    return Account(name, about.st_uid, gids, is_own=about.st_uid == os.geteuid())


def _own() -> Account:
    return Account(pwd_name(), os.geteuid(), frozenset({os.getegid(), *os.getgroups()}), is_own=True)


def pwd_name(uid: int | None = None) -> str:
    """Name a user; default: whoever runs this."""
    uid = os.geteuid() if uid is None else uid
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _running(pid: int) -> Account | None:
    """Read who a process is (proc(5), status), which everybody may."""
    try:
        text = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    told = {name: [int(number) for number in numbers.split()] for name, numbers in _IDS.findall(text)}
    uid = told["Uid"][1]
    return Account(pwd_name(uid), uid, frozenset({told["Gid"][1], *told["Groups"]}), is_own=uid == os.geteuid())


_IDS = re.compile(r"^(Uid|Gid|Groups):([\d\s]*)$", re.MULTILINE | re.ASCII)


def group_of(place: Path, ground: Ground, usual: str) -> str:
    """Name a file's group by the files of its machine; ``usual`` where it is root's, or has no name."""
    try:
        gid = place.stat().st_gid
    except OSError:
        return usual
    text = ground.tree.raw("etc/group") or ""
    found = re.search(rf"^([^:\n]+):[^:]*:{gid}:", text, re.MULTILINE)
    name = found[1] if found else ""
    if not name and ground.is_live:
        try:
            name = grp.getgrgid(gid).gr_name
        except KeyError:
            name = ""
    return name if name and name != "root" else usual
