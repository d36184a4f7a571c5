"""A disk that remembers every operation, and can say in which states a power cut after any of them may leave it.

The rules are the worst that a POSIX file system may do: a file's content is safe from its own sync on, its name from the sync of the
folder that holds it on; of everything else each part may have come to the disk or not, in any order. Content that was not synced is
there not at all, by half, or whole.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

CONTENTS = ("none", "half", "all")
MOST = 4
"""Of so many changes every subset is tried; of more, which only a disk without syncs has, what came in order."""


@dataclass(frozen=True)
class Pending:
    """A change of a folder's names that was not synced: ``old`` went away, ``new`` came."""

    folder: Path
    old: Path | None
    new: Path | None


@dataclass(frozen=True)
class Tree:
    """Paths to the number of a file's content; None for a folder."""

    names: dict[Path, int | None]

    def without(self, place: Path) -> Tree:
        return Tree({one: node for one, node in self.names.items() if one != place and place not in one.parents})

    def moved(self, old: Path, new: Path) -> Tree:
        gone = self.without(new)
        return Tree(
            {
                new / one.relative_to(old) if one == old or old in one.parents else one: node
                for one, node in gone.names.items()
            }
        )


@dataclass
class SimulatedDisk:
    """Implements ``edged.update.disk.Disk`` on a real folder, without syncing anything for real."""

    root: Path
    ignores_syncs_of: str = ""
    """A suffix of names whose syncs are not done: what the simulator has to find. ``*`` is every one."""
    states: dict[tuple[object, ...], tuple[Tree, dict[int, bytes]]] = field(default_factory=dict)
    operations: int = 0

    def __post_init__(self) -> None:
        self._nodes: dict[int, bytes] = {}
        self._safe: dict[int, bytes] = {}
        self._inodes: dict[int, int] = {}
        names: dict[Path, int | None] = {}
        for place in sorted(self.root.rglob("*")):
            names[place] = None if place.is_dir() else self._node_of(place)
        self._now = Tree(names)
        self._durable = Tree(dict(names))
        self._pending: list[Pending] = []

    def write(self, file: Path, blocks: Iterable[bytes], *, append: bool = False) -> None:
        content = b"".join(blocks)
        is_new = file not in self._now.names
        with file.open("ab" if append else "wb") as stream:
            stream.write(content)
        node = self._now.names.get(file)
        if node is None:
            node = len(self._nodes)
            self._safe[node] = b""
            self._now = Tree({**self._now.names, file: node})
        self._nodes[node] = (self._nodes.get(node, b"") if append else b"") + content
        if is_new:
            self._pending.append(Pending(file.parent, None, file))
        self._cut()

    def sync(self, place: Path) -> None:
        if self.ignores_syncs_of == "*" or (self.ignores_syncs_of and place.name.endswith(self.ignores_syncs_of)):
            return
        node = self._now.names.get(place)
        if node is not None:
            self._safe[node] = self._nodes[node]
        kept = []
        for change in self._pending:
            if change.folder == place:
                self._durable = self._applied(self._durable, change)
            else:
                kept.append(change)
        self._pending = kept
        self._cut()

    def rename(self, old: Path, new: Path) -> None:
        old.replace(new)
        self._now = self._now.moved(old, new)
        self._pending.append(Pending(new.parent, old, new))
        self._cut()

    def link(self, file: Path, name: Path) -> None:
        os.link(file, name)
        self._now = Tree({**self._now.names, name: self._now.names[file]})
        self._pending.append(Pending(name.parent, None, name))
        self._cut()

    def make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        folder.mkdir()
        self._now = Tree({**self._now.names, folder: None})
        self._pending.append(Pending(folder.parent, None, folder))
        self._cut()

    def remove(self, place: Path) -> None:
        if place.is_dir():
            shutil.rmtree(place)
        elif place.exists():
            place.unlink()
        else:
            return
        self._pending.append(Pending(place.parent, place, None))
        self._now = self._now.without(place)
        self._cut()

    def after_cuts(self) -> Iterator[tuple[Tree, dict[int, bytes]]]:
        """Give every state that was possible, each once: names, and contents by number."""
        yield from self.states.values()

    def lay_out(self, state: tuple[Tree, dict[int, bytes]], root: Path) -> None:
        """Write a state below another root."""
        tree, contents = state
        first: dict[int, Path] = {}
        for place, node in sorted(tree.names.items()):
            there = root / place.relative_to(self.root)
            if not there.parent.is_dir():
                continue  # the folder that would hold it never came to the disk
            if node is None:
                there.mkdir()
            elif node in first:
                os.link(first[node], there)
            else:
                there.write_bytes(contents[node])
                first[node] = there

    def _cut(self) -> None:
        """Note every state in which a cut at this moment may leave the disk."""
        self.operations += 1
        open_ = [node for node, content in self._nodes.items() if self._safe[node] != content]
        for chosen in _subsets(len(self._pending)):
            tree = self._durable
            for change, is_done in zip(self._pending, chosen, strict=True):
                tree = self._applied(tree, change) if is_done else tree
            seen = {node for node in tree.names.values() if node is not None}
            touched = [node for node in open_ if node in seen]
            is_few = len(touched) + len(self._pending) <= 2 * MOST
            for how in product(CONTENTS, repeat=len(touched)) if is_few else (("none",) * len(touched),):
                contents = {node: self._safe[node] for node in seen}
                contents |= {node: self._part(node, part) for node, part in zip(touched, how, strict=True)}
                key = (
                    tuple(sorted((str(place), node) for place, node in tree.names.items() if node is not None)),
                    tuple(sorted(contents.items())),
                )
                self.states.setdefault(key, (tree, contents))

    def _part(self, node: int, how: str) -> bytes:
        safe, whole = self._safe[node], self._nodes[node]
        if how == "all":
            return whole
        begins = safe if whole.startswith(safe) else b""
        return begins if how == "none" else whole[: len(begins) + (len(whole) - len(begins)) // 2]

    def _applied(self, tree: Tree, change: Pending) -> Tree:
        old, new = change.old, change.new
        if old is not None and new is not None:
            return tree.moved(old, new) if old in tree.names else self._appeared(tree.without(new), new)
        if old is not None:
            return tree.without(old)
        assert new is not None
        return self._appeared(tree, new)

    def _appeared(self, tree: Tree, place: Path) -> Tree:
        """Let a name come to the disk as it is now; what lies in a folder comes by its own names."""
        node = self._now.names.get(place)
        if place not in self._now.names:
            return tree  # it went away again under this name
        return Tree({**tree.names, place: node})

    def _node_of(self, file: Path) -> int:
        inode = file.stat().st_ino
        if inode not in self._inodes:
            node = self._inodes[inode] = len(self._nodes)
            self._nodes[node] = self._safe[node] = file.read_bytes()
        return self._inodes[inode]


def _subsets(count: int) -> Iterator[tuple[bool, ...]]:
    if count <= MOST:
        yield from product((False, True), repeat=count)
    else:
        yield from (tuple(index < done for index in range(count)) for done in range(count + 1))
