"""A simulated fleet: real agents and connections on a real broker, and boxes that fail as they are told to."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections import Counter
from pathlib import Path

import pytest

from edgectl.cli import main
from edgectl.fleet.rollout import Outcome
from edgectl.fleet.simulate.ground import allow_files
from edgectl.fleet.simulate.plot import plot
from edgectl.fleet.simulate.result import Result
from edgectl.fleet.simulate.run import simulate
from edgectl.fleet.simulate.script import ENDS, Role, Shares, Terms, cast
from edgectl.fleet.simulate.verb import document, text
from edged.domain.errors import ConfigError

BOXES = int(os.environ.get("EDGED_SOAK_BOXES", "20"))
SHARES = Shares(fails_trial=0.1, rolls_back=0.1, goes_offline=0.1, answers_late=0.1)
NAMES = [f"box-{number}" for number in range(100)]


@pytest.fixture(scope="module")
def result() -> Result:
    """Give a rollout through a small fleet, whose broker is restarted in the middle."""
    if shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin") is None:
        pytest.skip("needs mosquitto: it is not on PATH")
    return simulate(Terms(BOXES, SHARES, probation_s=1, late_s=0.5, away_s=0.5, timeout_s=120))


@pytest.mark.slow
def test_every_box_ends_as_its_role_has_it(result: Result) -> None:
    assert result.converged_s is not None
    assert result.astray == {}
    assert Counter(result.ends.values()) == Counter(ENDS[role] for role in result.roles.values())
    assert {Outcome.SUCCEEDED, Outcome.FAILED, Outcome.ROLLED_BACK} == set(result.ends.values())


@pytest.mark.slow
def test_every_box_comes_back_after_the_broker_was_away_and_not_all_at_once(result: Result) -> None:
    """Case 59."""
    assert len(result.back_s) >= BOXES
    assert result.looks[-1].online == BOXES
    assert result.herd < BOXES / 2


@pytest.mark.slow
def test_what_it_costs_is_counted(result: Result) -> None:
    each = document(result)["per_device"]
    transitions = 10  # accepted … committed, each told once; and what out/models retains
    assert transitions < each["messages_sent"] < 40
    assert 1 <= each["messages_received"] < 10  # the order, again after each connection
    assert each["bytes_received"] > 400
    assert each["memory_kb"] < 1024


@pytest.mark.slow
def test_a_rollout_can_be_followed_look_by_look(result: Result) -> None:
    done = [look.counts.get("succeeded", 0) for look in result.looks]
    assert done == sorted(done)
    assert all(sum(look.counts.values()) == BOXES for look in result.looks)


@pytest.mark.slow
def test_it_is_drawn_and_told(result: Result, tmp_path: Path) -> None:
    plot(result, tmp_path / "run.png")
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(json.dumps(document(result)))["schema"] == "edged.fleet-simulation/1"
    assert f"{BOXES} boxes converged in" in text(result)


@pytest.mark.slow
def test_the_verb_ends_with_1_when_boxes_do_not_end_in_time(capsys: pytest.CaptureFixture[str]) -> None:
    if shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin") is None:
        pytest.skip("needs mosquitto: it is not on PATH")
    shares = {"rolls-back": 0, "goes-offline": 0, "fails-trial": 0, "answers-late": 1}
    words = [word for name, share in shares.items() for word in (f"--{name}", str(share))]
    status = main(["fleet", "simulate", "--devices", "1", *words, "--no-restart", "--timeout-s", "1.5"])
    assert status == 1
    assert "ASTRAY: box-0000 (answers-late)" in capsys.readouterr().out


def test_a_seed_gives_the_same_roles_again() -> None:
    terms = Terms(100, Shares(), seed=7)
    assert cast(NAMES, terms) == cast(NAMES, terms)
    assert cast(NAMES, terms) != cast(NAMES, Terms(100, Shares(), seed=8))


def test_each_role_has_its_share_and_at_least_one_box() -> None:
    counts = Counter(cast(NAMES, Terms(100, Shares(0.02, 0.001, 0.0, 0.05))).values())
    assert counts == {
        Role.WELL: 92,
        Role.FAILS_TRIAL: 2,
        Role.ROLLS_BACK: 1,
        Role.ANSWERS_LATE: 5,
    }


def test_a_box_that_ended_otherwise_is_astray() -> None:
    roles = {"a": Role.WELL, "b": Role.ROLLS_BACK}
    made = Result(Terms(2), roles=roles, ends={"a": Outcome.FAILED, "b": Outcome.ROLLED_BACK})
    assert made.astray == {"a": Outcome.FAILED}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--fails-trial", "0.9", "--rolls-back", "0.2"), "sum to at most 1"),
        (("--fails-trial", "-0.1"), "shares of 0 or more"),
        (("--devices", "0"), "cannot simulate 0 boxes"),
        (("--devices", "20001"), "expected 1 to 20000"),
    ],
)
def test_what_cannot_be_simulated_is_told(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert main(["fleet", "simulate", *words]) == 2
    assert says in capsys.readouterr().err


def test_more_connections_than_the_machine_allows_are_refused() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        pytest.skip("needs a bound of open files: this machine has none")
    with pytest.raises(ConfigError, match="open files are allowed"):
        allow_files(hard)
