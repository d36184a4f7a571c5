"""Which variants of a bundle open on this box: shapes, types, classes and labels that do not fit show when a file is opened, not before."""

from __future__ import annotations

from pathlib import Path

from edged.assembly.box import Box, free_mb, ladder
from edged.assembly.trying import OWN_MB, Budget, try_rung
from edged.config.schema import Objective
from edged.domain.bundle import Bundle
from edged.domain.errors import EdgedError
from edged.domain.variant import Ladder, Rung
from edged.engines.flatbuffer import custom_operators

DEADLINE_S = 20.0
"""What has opened by then is not tried to the end: that is the daemon's, before it goes live."""


class Opening:
    """Opens each file at most once, in a limited child, as a candidate's trial does; none without ``tries``."""

    def __init__(self, box: Box, *, tries: bool = True) -> None:
        self._box, self._tries = box, tries
        self._tried: dict[tuple[Path, str], str] = {}

    def ladder(self, bundle: Bundle, pin: str | None, objective: Objective | None) -> Ladder:
        """Choose as ``box.ladder`` does, from what opens: the chosen one has been opened, and those before it were refused by that."""
        if self._box.is_this_machine:
            self._read(bundle)
        while True:
            found = ladder(bundle, self._box, pin, objective, misfits=self.misfits(bundle))
            chosen = next(iter(found.runnable), None)
            if chosen is None or not self._can_try(chosen):
                return found
            key = bundle.folder, chosen.variant.id
            if key not in self._tried:
                self._tried[key] = self._fault(bundle, chosen)
            if not self._tried[key]:
                return found

    def misfits(self, bundle: Bundle) -> dict[str, str]:
        """Give by variant id why it does not open, of those that were tried."""
        return {name: why for (folder, name), why in self._tried.items() if folder == bundle.folder and why}

    def _read(self, bundle: Bundle) -> None:
        """Find what is no file of its runtime at all, without opening it."""
        for variant in bundle.manifest.variant:
            if variant.runtime == "tflite" and bundle.path_of(variant).is_file():
                try:
                    custom_operators(bundle.path_of(variant))
                except EdgedError as error:
                    self._tried[bundle.folder, variant.id] = str(error)

    def _can_try(self, rung: Rung) -> bool:
        """Whether that is this machine's own processor, and has room for a child: an accelerator's engine may be in use."""
        box = self._box
        if (
            not self._tries
            or not box.is_this_machine
            or rung.accelerator != "cpu"
            or rung.remote
            or box.engines.isolates(rung)
        ):
            return False
        left_mb = free_mb(box)
        return left_mb is None or left_mb > OWN_MB

    def _fault(self, bundle: Bundle, rung: Rung) -> str:
        left_mb = free_mb(self._box)
        # With what its runtime takes beside the model it stays within what is free: a daemon may run here.
        budget = Budget(memory_mb=None if left_mb is None else left_mb - OWN_MB, deadline_s=DEADLINE_S)
        try:
            result, has_opened = try_rung(bundle, rung, budget)
        except EdgedError:
            return ""  # it is the box that cannot, and says so where it has to
        return "" if has_opened else result.reason
