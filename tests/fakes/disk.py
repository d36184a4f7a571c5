"""A disk whose power fails before its n-th operation, with or without what was not yet synced."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path


class PowerCutError(Exception):
    """The process ended here."""


@dataclass
class FragileDisk:
    """Works on real files. ``loses_content`` and ``loses_names`` say what a cut takes of the things never synced."""

    cut_before: int | None = None
    loses_content: bool = False
    loses_names: bool = False
    operations: int = 0
    _content: dict[Path, int] = field(default_factory=dict)
    _names: list[tuple[Path, Callable[[], None]]] = field(default_factory=list)

    def write(self, file: Path, blocks: Iterable[bytes], *, append: bool = False) -> None:
        self._step()
        if not file.exists():
            self._names.append((file.parent, lambda: file.unlink(missing_ok=True)))
        kept = file.stat().st_size if append and file.exists() else 0
        with file.open("ab" if append else "wb") as stream:
            stream.writelines(blocks)
        self._content[file] = (kept + file.stat().st_size) // 2

    def sync(self, place: Path) -> None:
        self._step()
        self._content.pop(place, None)
        self._names = [(folder, undo) for folder, undo in self._names if folder != place]

    def rename(self, old: Path, new: Path) -> None:
        self._step()
        before = new.read_bytes() if new.is_file() else None

        def undo() -> None:
            if new.exists():
                new.rename(old)
            if before is not None:
                new.write_bytes(before)

        if before is not None:
            new.unlink()  # ext4 flushes a file that replaces another: milliseconds that a test has no use for
        old.rename(new)
        self._names.append((new.parent, undo))
        if old in self._content:
            self._content[new] = self._content.pop(old)

    def link(self, file: Path, name: Path) -> None:
        self._step()
        os.link(file, name)
        self._names.append((name.parent, lambda: name.unlink(missing_ok=True)))

    def make_folder(self, folder: Path) -> None:
        self._step()
        if folder.is_dir():
            return
        folder.mkdir()
        self._names.append((folder.parent, lambda: shutil.rmtree(folder, ignore_errors=True)))

    def remove(self, place: Path) -> None:
        self._step()
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)

    def _step(self) -> None:
        self.operations += 1
        if self.operations == self.cut_before:
            self.lose()
            raise PowerCutError

    def lose(self) -> None:
        """Take what was never synced, as a power cut does."""
        if self.loses_content:
            for file, size in self._content.items():
                if file.exists():
                    os.truncate(file, size)
        if self.loses_names:
            for _, undo in reversed(self._names):
                undo()
