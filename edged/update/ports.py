"""What the update flow asks of the world: who fetches, who tries, who activates, who watches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edged.domain.artefact import VerifiedArtefact
from edged.domain.bundle import Bundle
from edged.update.desired import Audience, Desired, ModelOrder
from edged.update.probation import Verdict
from edged.update.records import Ordered, Release
from edged.update.shadow import GO_ON, Ruling

Progress = Callable[[int, int], None]
"""Told how many bytes of how many are here."""


class Courier(Protocol):
    """Judges orders and fetches what they name. One caller at a time. Every error is RejectedError or RetryableError."""

    def judge(self, envelope: bytes, addressed: Audience, cancelled: Callable[[], bool] = lambda: False) -> Desired:
        """Give the document in an envelope that lay on ``addressed``'s topic.

        Raises RejectedError for one that must not be followed (signature, replay, audience, end date), RetryableError when that cannot be
        told now, or soon after ``cancelled`` says so (code ``cancelled``).
        """

    def fetch(self, order: ModelOrder, progress: Progress, cancelled: Callable[[], bool]) -> VerifiedArtefact:
        """Fetch and verify the ordered file; what is here already is not fetched again. Blocks as long as it takes.

        Raises RetryableError when the network or the disk is in the way, or soon after ``cancelled`` says so (what has come stays);
        RejectedError when the repository's word and the order's differ.
        """


class Trial(Protocol):
    """What became of a trial. A candidate that crashed, hung or grew is one that did not pass."""

    @property
    def passed(self) -> bool:
        """Whether it may go live."""

    @property
    def reason(self) -> str:
        """Why it may not; empty when it may."""

    @property
    def figures(self) -> Mapping[str, Any]:
        """What was measured meanwhile."""


@dataclass(frozen=True, slots=True)
class Probation:
    """A release that is live and not yet committed. ``running_s`` counts from when it went live, or from the last start of edged."""

    model: str
    order: Ordered
    release: Release
    before: Release | None
    running_s: float


@dataclass(frozen=True, slots=True)
class Shadow:
    """A release that passed its trial, and is to run beside what is live."""

    model: str
    order: Ordered
    bundle: Bundle


@dataclass(frozen=True, slots=True)
class Site:
    """This box, as an order meets it.

    ``fetch`` is the courier's, by the model's name and order; it and ``trial`` give None while they go on; ``unpack`` writes a packed
    bundle's files into an empty folder; ``free_bytes`` is what the disk has left; ``waits_for`` says why nothing may go live now (None: it
    may); ``activate`` has what runs look for the live release and gives why one of them does not run it (None: all do), or raises
    EdgedError while that cannot be told yet; ``watch`` judges a release in probation; ``shadow`` runs a candidate beside what is live, from
    its first call until ``part``, and rules on how far they agree; ``cancelled`` is asked while a file is fetched, and before anything goes
    live. A ``trial`` that edged's end interrupts raises RetryableError, code ``cancelled``. ``apart`` does something long by its name,
    about an object, and gives None until it is done: a gigabyte takes a slow card a minute.
    """

    fetch: Callable[[str, Ordered, Progress, Callable[[], bool]], VerifiedArtefact | None]
    unpack: Callable[[Path, Path], None]
    trial: Callable[[Bundle], Trial | None]
    free_bytes: Callable[[], int]
    waits_for: Callable[[], str | None]
    activate: Callable[[str, Release], str | None]
    watch: Callable[[Probation], Verdict]
    cancelled: Callable[[], bool]
    progress: Callable[[str, int, int], None] = lambda _model, _done, _total: None
    shadow: Callable[[Shadow], Ruling] = lambda _shadow: GO_ON
    part: Callable[[str], None] = lambda _model: None
    apart: Callable[[str, object, Callable[[], Release]], Release | None] = lambda _name, _of, work: work()
