"""``edgectl config migrate``: shows what changes, file by file, and writes it."""

from __future__ import annotations

import difflib
import stat
import sys
from importlib.metadata import version
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from edgectl.config.changes import Edit, changed, edits
from edgectl.config.showing import refuse_absent
from edgectl.plain import plain, print_json
from edgectl.setup import place
from edged.assembly.box import model_folders
from edged.config.load import RejectedConfigError, read_whole
from edged.config.schema import Config, Device
from edged.update.manifest import find_bundles


def migrate(file: Path, *, dry_run: bool, as_json: bool) -> None:
    """Change what has another name today. Raises ConfigError where a file cannot be read or changed; then none is changed."""
    refuse_absent(file)
    whole, unreadable, _ = read_whole(file, ordered=None)
    if unreadable:
        raise RejectedConfigError(tuple(unreadable))
    catalogue = find_bundles(model_folders(Config(device=Device(id="unnamed"))))
    variants = {name: [one.id for one in found[0].manifest.variant] for name, found in catalogue.bundles.items()}
    made = sorted(edits(whole, variants), key=attrgetter("file", "line"))
    texts = {one: _text(one) for one in dict.fromkeys(edit.file for edit in made)}
    news = {one: changed(texts[one], list(its)) for one, its in groupby(made, attrgetter("file"))}
    if not dry_run:
        for one, text in news.items():
            _replace(one, text)
    _tell(made, texts, news, dry_run=dry_run, as_json=as_json)


def _text(file: Path) -> str:
    return file.read_bytes().decode("utf-8-sig")


def _replace(file: Path, new: str) -> None:
    """Keep what was there, and write the new text with the same permissions where a link leads."""
    status = file.stat()
    place.keep(file)
    place.write(file.resolve(), new.encode(), stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid))


def _tell(made: list[Edit], texts: dict[Path, str], news: dict[Path, str], *, dry_run: bool, as_json: bool) -> None:
    if as_json:
        rows = [
            {"file": str(one.file), "line": one.line, "key": one.key, "old": one.old, "new": one.new, "why": one.why}
            for one in made
        ]
        print_json({"schema": "edgectl.config-migrate/1", "written": bool(made) and not dry_run, "changes": rows})
        return
    if not made:
        sys.stdout.write(f"nothing to migrate: these files say nothing that edged {version('edged')} calls otherwise\n")
    for one in made:
        sys.stdout.write(f"{one.file}:{one.line}: {one.key} {one.old} -> {one.new}: {one.why}\n")
    for file, text in news.items():
        sys.stdout.writelines(
            f"{plain(line)}\n"
            for line in difflib.unified_diff(
                texts[file].split("\n"), text.split("\n"), str(file), str(file), lineterm=""
            )
        )
    if made and not dry_run:
        sys.stdout.write(f"written; the old ones are kept as {', '.join(f'{file}.old' for file in news)}\n")
