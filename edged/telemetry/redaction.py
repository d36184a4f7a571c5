"""Secrets out of what leaves the box for somebody to read. Pure; when in doubt it hides.

Three nets, one behind the other: in a configuration a value is shown only under a key that edged knows and that holds no secret; in every
text what looks like a secret is hidden (user information and queries of URLs, ``password=…``, bearer tokens, private keys); and what
was found to be a secret in one place is hidden in every other.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"
LEAST_CHARS = 4
"""Of a secret that is looked for elsewhere: shorter ones would hide half of every log."""
MOST_LEARNED = 1000
"""Each is looked for in everything; a log that tells another token in every line must not take the box hours."""
_WORD = (
    r"passw(?:or[dt]|d)|pass(?:phrase|code)|kennwort|secret|token|cookie|credential|authorization|session[-_]?id"
    r"|(?:api|access|private|secret|shared|account)[-_]?key"
)
"""Wherever they stand in a name: ``accessToken``, ``MQTTPASSWORD``."""
_SHORT_WORD = r"pass|pwd|pw|psk|auth|sig"
"""As a word of its own, or as one that begins with a capital: ``db_pass``, ``dbPass``, but no ``bypass``."""
_NAME = (
    rf"(?=[ackpst])(?:(?:{_WORD})|(?<![A-Za-z0-9])(?:{_SHORT_WORD})|(?-i:(?<=[a-z0-9])(?:Pass|Pwd|Auth)))"
    r"(?:s|[-_]?(?:value|hash|[0-9]{1,3}))?"
)
"""All begin with one of a few letters; to ask for those first takes half of the time."""
_SECRET_KEY = re.compile(rf".*{_NAME}", re.IGNORECASE | re.DOTALL)
_PLACES = re.compile(r"(?:.*_)?(?:file|key|cert|ca)", re.IGNORECASE)
"""Keys of a configuration that hold the name of a file; anything else there is a secret that somebody put into the wrong place."""
_NAMED = frozenset({"engine"})
"""Sections whose tables have names of the operator's choice."""
_FLAG = rf"-u|-p|--user|--(?:[a-z0-9]{{1,20}}-){{0,3}}{_NAME}"
_FLAGS = re.compile(_FLAG, re.IGNORECASE)
_FLAGGED = re.compile(rf"(?<!\S)({_FLAG})(\s+)([^\s\"']+)", re.IGNORECASE)
_QUOTED = r"\"(?:[^\"\\]|\\.)*\"?|'[^']*'?"
_KEY_END = r"-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_PRIVATE = re.compile(rf"-----BEGIN [A-Z ]{{0,40}}PRIVATE KEY(?: BLOCK)?-----.*?(?:{_KEY_END}|\Z)", re.DOTALL)
_END = re.compile(_KEY_END)
KEY_LINES = 120
"""Of a private key whose first line was cut off: what stands before its last line is hidden as far as the longest ones reach."""
_URL = re.compile(r"(?<![^\s\"'<>\\])[^\s\"'<>\\]*://[^\s\"'<>\\]*")
_LOGIN = re.compile(
    r"(?<![\w./@-])([\w.+-]{1,64}):([^\s\"'<>\\/@:]{1,200})@(?=[a-z\[]|(?:\d{1,3}\.){3}\d)", re.IGNORECASE
)
"""A user and a password before a host, without a scheme; no version of a model."""
_HEADER = re.compile(r"(authorization\\?[\"']?\s*[=:]\s*\\?[\"']?)((?!\*)[^\s\"'\\,][^\r\n\"'\\]*)", re.IGNORECASE)
_GAP = r"[ \t]{1,20}"
_SAID = re.compile(
    rf"(?P<name>{_NAME})(?:"
    rf"(?P<holds>\\?[\"']?\s{{0,20}}[=:]\s{{0,20}}[\[{{])(?P<held>[^\[\]{{}}]{{1,4000}})"
    rf"|(?P<sets>\\?[\"']?\s*[=:]\s*)(?P<value>\\?(?:{_QUOTED})|[^\s\"',;&}})\]]+)"
    rf"|(?P<says>(?:{_GAP}[\w./@-]{{1,60}}){{0,4}}?{_GAP}(?:is|was|are|were|ist|lautet)(?:{_GAP}now)?:?{_GAP})"
    rf"(?P<said>{_QUOTED}|[^\s\"',;]*[^\s\"',;.!?)])"
    # ``password s1ngs``: of a word that stands there by chance a digit is rare.
    rf"|(?P<gap>{_GAP})(?P<next>(?=[^\s\"',;:=]*[0-9])(?=[^\s\"',;:=]*[A-Za-z])[^\s\"',;:=/]{{6,200}})(?=[\s\"',;.]|\Z))",
    re.IGNORECASE,
)
"""What stands behind the name of a secret: a list or table, a value, what a sentence tells, or the next word."""
_NETRC = re.compile(
    r"\b((?:login|machine)\s{1,20}\S{1,200}\s{1,20})(?:(account\s{1,20})(\S{1,200})(\s{1,20}))?(password\s{1,20})(\S{1,200})",
    re.IGNORECASE,
)
"""As netrc(5) has it, on one line or several."""
_ALONE = re.compile(r"^(\s{0,20}password\s{1,20})(\S{1,200})(?=\s{0,20}$)", re.IGNORECASE | re.MULTILINE)
_SAID_OF = re.compile(
    r"a|about|accepted|allowed|an|as|at|bad|being|by|changed|correct|denied|different|disabled|empty|enabled|expected|expired|"
    r"fine|for|from|given|good|granted|in|incorrect|invalid|known|loaded|longer|missing|needed|no|none|not|of|off|ok|old|on|"
    r"only|optional|out|read|refused|rejected|required|right|same|set|short|shorter|stale|still|stored|sent|that|the|there|to|"
    r"too|unknown|unset|unused|used|valid|weak|what|wrong",
    re.IGNORECASE,
)
"""What is said of passwords without telling one."""
_CODE = re.compile(r"(?=[^\s\"',:\\]*[0-9])(?=[^\s\"',:\\]*[A-Za-z])[^\s\"',:\\]{8,}")
"""What looks like no word of a person's: a key below ``tokens`` may be the token, and its value who has it."""
_KEYED = re.compile(
    r"\b(key\\?[\"']?\s*[=:]\s*\\?[\"']?)"
    r"((?=[A-Za-z_+=-]{0,250}[0-9])(?=[0-9_+=-]{0,250}[A-Za-z])[\w+=-]{8,250})(?![\w./\[:])",
    re.IGNORECASE,
)
"""``key`` may be the name of anything: hidden is what looks like no name."""
_BEARER = re.compile(r"\b(bearer|basic|digest)(\s+)([A-Za-z0-9._~+/=-]{6,})", re.IGNORECASE)
_KNOWN_FORMS = re.compile(
    r"\b(?=[Aeghnrsx])(?:(?<!-)eyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?|AKIA[0-9A-Z]{16}\b|AIza[\w-]{30,}|gh[pousr]_\w{20,}|github_pat_\w{20,}"
    r"|glpat-[\w-]{16,}|xox[abp]-[\w-]{10,}|[sr]k_(?:live|test)_\w{10,}|hf_\w{20,}|npm_\w{20,})"
)
_HASHED = re.compile(r"\$(?:[1256y]|2[aby]|argon2\w{0,3})\$[^\s:\"']{8,}")
"""A password as /etc/shadow has it."""
_BLOB = re.compile(r"(?<![\w+/-])[\w+/-]{200,}={0,2}", re.ASCII)
"""Bytes as text: a picture, most likely. Digests and signatures are shorter."""
_NO_SECRETS = frozenset({"true", "false", "none", "null", HIDDEN})
_LONG_CHARS, _NUMBER_CHARS = 16, 6
_TOGETHER = 100
_SCHEMES = frozenset({"bearer", "basic", "digest"})


@dataclass(slots=True)
class Redaction:
    """Hides secrets, and remembers them. ``known`` are the keys that a configuration may have."""

    known: Collection[str] = ()
    learned: set[str] = field(default_factory=set)

    def text(self, text: str) -> str:
        """Hide what looks like a secret, and every secret that was learned."""
        hidden = _BLOB.sub(HIDDEN, _without_keys(text))
        hidden = _HEADER.sub(lambda found: f"{found[1]}{self._hide(found[2])}", hidden)
        hidden = _BEARER.sub(lambda found: f"{found[1]}{found[2]}{self._hide_said(found[3])}", hidden)
        hidden = _URL.sub(lambda found: self._hide_url(found[0]), hidden)
        hidden = _LOGIN.sub(lambda found: f"{found[1]}:{self._hide(found[2])}@", hidden)
        hidden = _FLAGGED.sub(lambda found: f"{found[1]}{found[2]}{self._hide_said(found[3])}", hidden)
        hidden = _NETRC.sub(self._hide_netrc, hidden)
        hidden = _ALONE.sub(lambda found: f"{found[1]}{self._hide_unless_said(found[2])}", hidden)
        hidden = _SAID.sub(self._hide_behind, hidden)
        hidden = _KEYED.sub(lambda found: f"{found[1]}{self._hide(found[2])}", hidden)
        hidden = _HASHED.sub(HIDDEN, _KNOWN_FORMS.sub(HIDDEN, hidden))
        for secret in sorted(self.learned, key=len, reverse=True):
            hidden = hidden.replace(secret, HIDDEN)
        return hidden

    def lines(self, text: str) -> str:
        """Hide in a text of megabytes, some lines at a time: nobody else computes while an expression goes through all of it."""
        lines = _without_keys(text).splitlines(keepends=True)
        return "".join(self.text("".join(lines[at : at + _TOGETHER])) for at in range(0, len(lines), _TOGETHER))

    def document(self, value: Any) -> Any:
        """Hide in a JSON document: what stands below a key that names a secret, and what looks like one anywhere."""
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._below(str(key), one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return self._list(value)
        return self.text(value) if isinstance(value, str) else value

    def configuration(self, value: Any) -> Any:
        """Hide in a configuration: besides, every value below a key that edged does not know."""
        if isinstance(value, Mapping):
            return {self.text(str(key)): self._configured(str(key), one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.configuration(one) for one in value] if _has_tables(value) else self._list(value)
        return self.text(value) if isinstance(value, str) else value

    def broken(self, text: str) -> str:
        """Give the bones of a configuration that cannot be read: sections, and the known keys without their values."""
        self.text(text)  # for what it learns
        return "\n".join(_bones(text, self.known)) + "\n"

    def _below(self, key: str, value: Any) -> Any:
        return self._all_hidden(value) if _SECRET_KEY.fullmatch(key) else self.document(value)

    def _configured(self, key: str, value: Any) -> Any:
        if _SECRET_KEY.fullmatch(key):
            return self._all_hidden(value)
        if key not in self.known:
            return self._covered(value)
        if key in _NAMED and isinstance(value, Mapping):
            return {name: self.configuration(one) for name, one in value.items()}
        if isinstance(value, Mapping) or _has_tables(value):
            return self.configuration(value)
        if _PLACES.fullmatch(key) and isinstance(value, str):
            return self.text(value) if value.startswith("/") else self._hide(value)
        return self.document(value)

    def _list(self, values: Collection[Any]) -> list[Any]:
        """Hide in a list; in a command line also what follows ``-u`` or ``--password``."""
        shown: list[Any] = []
        before = ""
        for value in values:
            is_secret = isinstance(value, str) and _FLAGS.fullmatch(before) is not None
            shown.append(self._hide(value) if is_secret else self.document(value))
            before = value if isinstance(value, str) else ""
        return shown

    def _all_hidden(self, value: Any) -> Any:
        if isinstance(value, Mapping):
            return {self._named(str(key)): self._all_hidden(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._all_hidden(one) for one in value]
        return self._hide(str(value)) if isinstance(value, str | int | float) and not isinstance(value, bool) else value

    def _covered(self, value: Any) -> Any:
        """Hide what may be anything; what looks like a secret is looked for elsewhere, too."""
        if isinstance(value, Mapping):
            return {self._named(str(key)): self._covered(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self._covered(one) for one in value]
        if isinstance(value, str) and _is_telling(value):
            return self._hide(value)
        return HIDDEN

    def _hide(self, secret: str) -> str:
        bare = secret.strip("\\\"' ")
        for line in (bare, *bare.splitlines()):
            if len(line) >= LEAST_CHARS and line.lower() not in _NO_SECRETS and len(self.learned) < MOST_LEARNED:
                self.learned |= {line, unquote(line)}
        return HIDDEN

    def _named(self, key: str) -> str:
        """Hide a key that stands where secrets do and looks like one; a short one may be a box's name, and is not hunted for."""
        shown = self.text(key)
        if _CODE.fullmatch(shown) is None:
            return shown
        return self._hide(shown) if len(shown) >= _LONG_CHARS else HIDDEN

    def _hide_behind(self, found: re.Match[str]) -> str:
        """Hide what stands behind the name of a secret."""
        name = found["name"]
        if found["holds"]:
            held = _SAID.sub(self._hide_behind, _CODE.sub(HIDDEN, found["held"]))
            return f"{name}{found['holds']}{held}"
        if found["sets"]:
            return f"{name}{found['sets']}{self._hide_said(found['value'])}"
        if found["says"]:
            return f"{name}{found['says']}{self._hide_unless_said(found['said'])}"
        return f"{name}{found['gap']}{self._hide(found['next'])}"

    def _hide_netrc(self, found: re.Match[str]) -> str:
        account = f"{found[2]}{self._hide_said(found[3])}{found[4]}" if found[2] else ""
        return f"{found[1]}{account}{found[5]}{self._hide_unless_said(found[6])}"

    def _hide_unless_said(self, word: str) -> str:
        is_said = _SAID_OF.fullmatch(word.strip("\\\"'().:")) is not None
        return word if is_said else self._hide_said(word)

    def _hide_said(self, value: str) -> str:
        """Hide what stands behind ``password=``: mostly a secret, sometimes a word of a sentence."""
        if value.lower() in _SCHEMES | _NO_SECRETS or value[0] in "{[":
            return value
        if _is_telling(value):
            self._hide(value)
        (quote,) = re.findall(r"^\\?[\"']?", value)
        return f"{quote}{HIDDEN}{quote}"

    def _hide_url(self, url: str) -> str:
        """Hide who asks and what for; several in one word, joined by commas, count as one."""
        scheme, _, rest = url.partition("://")
        user, at, rest = rest.rpartition("@")
        self._hide(user.partition(":")[2])
        place, mark, query = rest.partition("?")
        return f"{scheme}://{HIDDEN if at else ''}{at}{place}{mark}{self._hide_query(query) if query else ''}"

    def _hide_query(self, query: str) -> str:
        for part in query.split("&"):
            if value := part.partition("=")[2]:
                self._hide_said(value)
        return HIDDEN


def _without_keys(text: str) -> str:
    """Hide private keys, also one of which the beginning was cut off."""
    hidden = _PRIVATE.sub(HIDDEN, text)
    while (found := _END.search(hidden)) is not None:
        before = hidden[: found.start()].split("\n")[:-KEY_LINES]
        hidden = "".join((*(f"{line}\n" for line in before), HIDDEN, hidden[found.end() :]))
    return hidden


def _is_telling(value: str) -> bool:
    """Whether a value would not stand in a log by chance: it is no plain word and no short number."""
    bare = value.strip("\\\"' ")
    return len(bare) >= _LONG_CHARS or not (bare.isalpha() or (bare.isdecimal() and len(bare) < _NUMBER_CHARS))


def _has_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value)


def _bones(text: str, known: Collection[str]) -> Iterator[str]:
    for line in text.splitlines():
        section = re.match(r"\s*(\[{1,2})([A-Za-z0-9_. -]{1,80})\]{1,2}\s*(?:#|$)", line)
        if section is not None and section[2].strip().split(".")[0] in known:
            yield line.partition("#")[0].rstrip()
            continue
        key = re.match(r"\s*([A-Za-z0-9_-]+)\s*=", line)
        if key is not None and key[1] in known:
            yield f"{key[1]} = {HIDDEN}"
