"""Takes a candidate from state to state, whatever it is: each step is done, then written down, then comes the next."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from edged.domain.errors import DeviceError, EdgedError
from edged.update.offered import MAX_ATTEMPTS
from edged.update.records import Ordered, Pointer, Release
from edged.update.rollout import CHANGING, SETTLED, UNDER_WAY, Event, State
from edged.update.slots import Slots, StateLoopError
from edged.update.way import DONE, STEPS, Move, Pause, Way

RETRY_S = 1.0
_BLAMED = frozenset({State.VALIDATING, State.SHADOWING, State.PROBATION})
"""An end of edged in these counts against the release."""


def go(slots: Slots, way: Way, pointer: Pointer) -> Pause:
    """Go on until there is nothing left to do, or nothing now.

    Raises DeviceError when the disk takes no note (nothing has changed then), OvertakenError when somebody else has moved the slot.
    """
    while pointer.state not in SETTLED:
        try:
            move = STEPS[pointer.state](way, pointer)
        except EdgedError as error:
            move = way.failure(error) if pointer.state not in CHANGING else Pause(RETRY_S, str(error))
        if isinstance(move, Pause):
            return move
        pointer = _moved(slots, way.model, pointer, move)
    return DONE


def taken_up(slots: Slots, model: str, order: Ordered) -> Pointer:
    """Give where an order stands, after taking it up if it has to be. What is just going live, or back, comes to its end first."""
    pointer = slots.pointer(model)
    if is_on_its_way(pointer, order) or (_is_in_force(pointer, order) and pointer.finished):
        return pointer
    if pointer.state in UNDER_WAY and pointer.wanted is not None and not _is_in_force(pointer, order):
        pointer = slots.advance(model, Event.SUPERSEDED, since=pointer)
    candidate = pointer.candidate if _is_of(pointer.candidate, order) else None
    changes: dict[str, Any] = {"order": order, "finished": False, "candidate": candidate, "attempt": 0}
    return slots.advance(model, Event.ORDERED, since=pointer, **changes)


def is_on_its_way(pointer: Pointer, order: Ordered) -> bool:
    """Whether there is nothing to take up: the order has the slot, or something is just going live."""
    is_own = _is_in_force(pointer, order) and _is_of(pointer.candidate, order)
    return pointer.state in CHANGING or (is_own and pointer.state in UNDER_WAY)


def withdrawn(slots: Slots, model: str) -> bool:
    """Have no order in force any more; False when what goes live or is on probation has to come to its end before."""
    pointer = slots.pointer(model)
    if pointer.state in CHANGING:
        return False
    if pointer.order is not None:
        event = Event.CANCELLED if pointer.state in UNDER_WAY else Event.WITHDRAWN
        slots.advance(model, event, since=pointer, order=None, finished=False, candidate=None)
    return True


def restarted(slots: Slots, model: str, boot: str) -> Pointer:
    """Count a start during a probation, and condemn what is on probation at the last that it is given; gives where the slot stands."""
    pointer = slots.pointer(model)
    if pointer.state is not State.PROBATION:
        return pointer
    # After a power cut the boot is another, after an end that was asked for there is none.
    attempt = pointer.attempt + (pointer.boot_id == boot)
    if attempt >= MAX_ATTEMPTS:
        reason = f"edged ended {attempt} times while it was on probation, expected it to go on"
        return slots.advance(model, Event.CONDEMNED, reason=reason, code="crashed")
    try:
        return slots.advance(model, Event.RESTARTED, since=pointer, attempt=attempt, boot_id=boot)
    except StateLoopError as error:
        return _end_loop(slots, model, pointer, error)


def ended_well(slots: Slots, model: str) -> None:
    """Note that edged ends because it was asked to: nothing on trial, in shadow or on probation is to blame for that."""
    if slots.pointer(model).state in _BLAMED:
        with suppress(DeviceError):
            slots.mark(model, boot_id="")


def _moved(slots: Slots, model: str, pointer: Pointer, move: Move) -> Pointer:
    try:
        return slots.advance(model, move.event, since=pointer, live=move.live, **move.changes)
    except StateLoopError as error:
        return _end_loop(slots, model, pointer, error)
    except DeviceError as error:
        if pointer.state in UNDER_WAY:
            # What was done well must not pass for a trial that took the box with it.
            with suppress(DeviceError):
                slots.advance(model, Event.HINDERED, since=pointer, reason=str(error), code=error.code)
        raise


def _end_loop(slots: Slots, model: str, pointer: Pointer, error: StateLoopError) -> Pointer:
    told: dict[str, Any] = {"reason": str(error), "code": error.code}
    if pointer.state is State.PROBATION:
        return slots.advance(model, Event.CONDEMNED, since=pointer, **told)
    is_finished = pointer.finished or pointer.wanted is not None
    return slots.advance(model, Event.FAILED, since=pointer, finished=is_finished, **told)


def _is_in_force(pointer: Pointer, order: Ordered) -> bool:
    return pointer.order is not None and pointer.order.document == order.document


def _is_of(candidate: Release | None, order: Ordered) -> bool:
    """Whether what is on its way is the order's: nothing that was unpacked yet is."""
    return candidate is None or candidate.target == order.sha256
