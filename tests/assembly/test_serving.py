"""What the box offers, put together."""

from __future__ import annotations

from pathlib import Path

import pytest

from edged.assembly.roster import Roster
from edged.assembly.serving_keeper import ModelKeeper
from edged.assembly.serving_offers import access_of
from edged.assembly.serving_ready import unmet, unready
from edged.config.serving import Http
from edged.domain.errors import BudgetError, ConfigError, DeviceError
from edged.domain.health import Reason
from fakes.clock import FakeClock
from fakes.serving import Box, FakeBrought, box
from fakes.waiting import until

LOST = Reason("memory-budget", "gate", "no room", 0, fatal=True)


@pytest.fixture
def roster() -> Roster:
    roster = Roster()
    roster.tell("ok", (), ())
    return roster


def keeper(made: Box, roster: Roster, *models: str) -> ModelKeeper:
    return ModelKeeper(made.handlers.shelf, models, roster, FakeClock())


def test_the_box_is_not_ready_before_it_was_looked_at() -> None:
    assert [reason.code for reason in unready(Roster(), 0)] == ["starting"]


def test_what_does_not_run_at_all_keeps_the_box_from_being_ready(roster: Roster) -> None:
    assert unready(roster, 0) == ()
    roster.tell("failed", (LOST, Reason("drift", "dock", "it drifts", 0)), ())

    assert unready(roster, 0) == (LOST,)


def test_what_runs_without_meeting_its_objective_keeps_no_box_from_being_ready_and_is_told(roster: Roster) -> None:
    slow = Reason("objective-unmet", "gate", "comes nearest", 0)
    roster.tell("degraded", (slow, Reason("drift", "dock", "it drifts", 0)), ())

    assert (unready(roster, 0), unmet(roster)) == ((), (slow,))


def test_models_that_shall_serve_are_loaded_from_the_start_and_let_go_at_the_end(roster: Roster) -> None:
    made = box(FakeBrought("orange"), FakeBrought("apple"))
    kept = keeper(made, roster, "orange")
    assert [reason.code for reason in kept.unready()] == ["serving-loading"]

    kept.start()
    until(lambda: not kept.unready(), "it is ready")

    assert kept.working
    assert not kept.ended
    kept.stop()
    assert kept.join(10)
    assert not kept.working
    assert made.supplier.brought[0].closed


def test_a_model_that_cannot_be_loaded_is_told_and_tried_again_at_a_reload(roster: Roster) -> None:
    made = box(FakeBrought("orange"))
    good = dict(made.supplier.make)

    def refuses() -> FakeBrought:
        raise BudgetError("no room", remedy="unload another")

    made.supplier.make = {"orange": refuses}
    kept = keeper(made, roster, "orange")
    kept.start()
    until(lambda: bool(kept.reasons()), "it says why")
    assert [(one.code, one.component, one.message, one.remedy) for one in kept.reasons()] == [
        ("serving-not-loaded", "orange", "no room", "unload another")
    ]
    assert kept.unready() == list(kept.reasons())

    made.supplier.make = good
    kept.reload()

    until(lambda: not kept.reasons(), "it is well again")
    assert kept.unready() == []
    kept.stop()
    assert kept.join(10)


def test_a_reload_looks_for_newer_models_of_all_that_is_loaded(roster: Roster) -> None:
    made = box(make={"orange": lambda: FakeBrought("orange")})
    kept = keeper(made, roster)
    kept.start()
    made.handlers.load("orange")

    kept.reload()

    until(lambda: len(made.supplier.brought) == 2, "both were brought")
    kept.stop()
    assert kept.join(10)
    assert repr(kept) == "<ModelKeeper <Shelf empty>>"


def test_a_model_that_is_lost_is_a_reason(roster: Roster) -> None:
    made = box(FakeBrought("orange")).loaded("orange")
    kept = keeper(made, roster)
    (served,) = made.handlers.shelf.loaded()
    from edged.api.refusal import RefusedError  # noqa: PLC0415 - only here

    served._lost = RefusedError("it is gone", "lost")

    assert [(one.code, one.component, one.message) for one in kept.reasons()] == [
        ("serving-lost", "orange", "it is gone")
    ]
    assert kept.join(0)
    made.handlers.shelf.close()


def test_tokens_are_read_from_their_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("t" * 20 + "\n")
    (tmp_path / "read").write_text("r" * 20)
    http = Http(listen="0.0.0.0:80", token_file=tmp_path / "token", read_token_file=tmp_path / "read", hosts=("Dock",))

    access = access_of(http)

    assert (access.token, access.read_token) == (b"t" * 20, b"r" * 20)
    assert {"localhost", "dock", "0.0.0.0"} <= access.hosts  # noqa: S104 - an address that a configuration may name


@pytest.mark.parametrize(("content", "error"), [("", ConfigError), ("short", ConfigError), (None, DeviceError)])
def test_a_token_that_is_none_opens_nothing(tmp_path: Path, content: str | None, error: type[Exception]) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)

    with pytest.raises(error):
        access_of(Http(token_file=tmp_path / "token"))
