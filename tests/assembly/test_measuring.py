"""What is measured when, with lines whose frames a test makes up and children that answer at once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edged.assembly import measuring
from edged.assembly.bench import Rest
from edged.assembly.box import Box, survey
from edged.assembly.candidate import Order
from edged.assembly.figures_store import FiguresStore
from edged.assembly.jobs import candidates, jobs
from edged.assembly.measuring import Measuring
from edged.assembly.supply import Supply
from edged.control.benchmark import Effort, Feel, Later, Outcome, Run, Sample, Unfit
from edged.control.figures import to_document
from edged.control.pace import MOST_SHARE
from edged.control.profile import Match, Preference
from edged.domain.figures import Figures, Measured
from edged.update.manifest import read_bundle
from fakes.clock import FakeClock
from fakes.sensor import sensor_bundle

GOOD = Run((Sample(2_000_000, 2_000_000, 0),) * 160, 30.0, 12.0)
SPELL = Run((Sample(100_000_000, 100_000_000, 0),) * 10, 30.0, 12.0)
"""What comes of a model of which a spell is not enough."""


@dataclass
class Children:
    """Answers for a child, and keeps what was asked."""

    answer: Outcome = GOOD
    asked: list[Order] = field(default_factory=list)
    efforts: list[Effort] = field(default_factory=list)
    on_ask: Any = None

    def __call__(self, order: Order, effort: Effort, rest: Rest) -> Outcome:
        self.asked.append(order)
        self.efforts.append(effort)
        if self.on_ask is not None:
            self.on_ask(rest)
        return self.answer


@dataclass
class FakeLine:
    """A line with one pipeline in some state; counts how often it was asked to look again."""

    state: str = "running"
    reloads: int = 0

    @property
    def pipelines(self) -> list[Any]:
        return [SimpleNamespace(name="a", worker=SimpleNamespace(state=self.state, steps=None))]

    def reload(self) -> None:
        self.reloads += 1


@pytest.fixture(scope="module")
def here() -> Box:
    """Give this machine."""
    return survey(Path("/"), "auto", ())


@dataclass
class Bench:
    """A measuring thread that was never started, and all around it."""

    measuring: Measuring
    children: Children
    line: FakeLine
    store: FiguresStore
    clock: FakeClock
    box: Box
    supply: Supply


@pytest.fixture
def bench(here: Box, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """Give a box of two processors on which the bundle ``level`` runs, with both as long as nobody has measured it."""
    monkeypatch.setattr(measuring, "feel", Feel)
    store = FiguresStore(tmp_path / "state")
    cpu = replace(here.inventory.cpu, allowed=2.0)
    profile = here.profile.model_copy(update={"prefer": (Preference(accelerator="cpu", threads=2),)})
    box = replace(here, inventory=replace(here.inventory, cpu=cpu), profile=profile, store=store)
    sensor_bundle(tmp_path / "models" / "level")
    clock, children, line = FakeClock(), Children(), FakeLine()
    supply = Supply((tmp_path / "models",), tmp_path / "state", box, clock)
    supply.open("level", None).model.engine.close()
    lines: Any = lambda: [line]  # noqa: E731 - a line of a test
    made = Measuring(box, store, supply, lines, clock, settle_s=20.0, measures=children)
    yield Bench(made, children, line, store, clock, box, supply)
    made.stop()


class Naps(threading.Event):
    """Notes for how long is waited, and waits for nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.slept_s = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.slept_s += timeout or 0.0
        return self.is_set()


def threads(bench: Bench) -> list[int]:
    return [order.threads for order in bench.children.asked]


def test_nothing_is_measured_before_the_pipelines_are_calm_for_a_while(bench: Bench) -> None:
    bench.clock.advance(19.0)
    assert not bench.measuring.tick()
    bench.line.state = "starting"
    bench.clock.advance(2.0)
    assert not bench.measuring.tick()
    bench.line.state = "running"
    bench.clock.advance(19.0)
    assert not bench.measuring.tick()
    assert bench.children.asked == []
    bench.clock.advance(2.0)
    assert bench.measuring.tick()


def settled(bench: Bench) -> Bench:
    bench.clock.advance(21.0)
    return bench


def until_done(bench: Bench) -> None:
    for _ in range(10):
        if not bench.measuring.tick():
            return
    pytest.fail("it never comes to an end")


def test_every_candidate_is_measured_and_kept(bench: Bench) -> None:
    until_done(settled(bench))
    until_done(bench)
    assert set(threads(bench)) == {1, 2}
    assert all(order.polite for order in bench.children.asked)
    (one,) = bench.store.known().measured
    assert ({row.threads for row in one.figures}, one.origin) == ({1, 2}, "here")
    assert one.subject.profile == bench.box.profile.name


def test_those_that_are_close_are_measured_three_times_in_turns(bench: Bench) -> None:
    until_done(settled(bench))
    until_done(bench)
    assert threads(bench) == [2, 1, 1, 2, 1, 2]


def test_what_is_far_behind_is_measured_once(bench: Bench) -> None:
    slow = Run((Sample(8_000_000, 8_000_000, 0),) * 40, 30.0, 12.0)
    bench.children.on_ask = lambda _rest: setattr(
        bench.children, "answer", slow if bench.children.asked[-1].threads == 2 else GOOD
    )
    until_done(settled(bench))
    until_done(bench)
    assert threads(bench) == [2, 1, 1, 1]


@pytest.mark.parametrize("wished", [1, 2])
def test_what_runs_is_measured_first_with_as_many_threads_as_it_has(bench: Bench, wished: int) -> None:
    profile = bench.box.profile.model_copy(update={"prefer": (Preference(accelerator="cpu", threads=wished),)})
    (bundle,) = bench.supply.bundles()
    found = jobs([bundle], replace(bench.box, profile=profile), bench.store)
    assert [job.candidate.threads for job in found] == [wished, 3 - wished]


def test_a_number_of_threads_that_the_profile_names_is_measured_though_it_is_no_usual_one(bench: Bench) -> None:
    wish = Preference(accelerator="cpu", threads=5)
    profile = bench.box.profile.model_copy(update={"prefer": (wish,)})
    inventory = replace(bench.box.inventory, cpu=replace(bench.box.inventory.cpu, allowed=12.0))
    (bundle,) = bench.supply.bundles()
    found = candidates(bundle, replace(bench.box, profile=profile, inventory=inventory))
    assert [one.threads for one in found] == [1, 2, 3, 4, 5, 6, 12]
    assert [one.threads for one in found if one.is_usual] == [5]


def test_pipelines_look_again_once_for_each_news_whoever_measured(bench: Bench, tmp_path: Path) -> None:
    settled(bench).measuring.tick()
    assert bench.line.reloads == 0
    bench.measuring.tick()
    assert bench.line.reloads == 1
    until_done(bench)
    before = bench.line.reloads
    (one,) = bench.store.known().measured
    FiguresStore(tmp_path / "state").keep(Measured(one.subject, one.figures[:1], "here", "2030-01-01T00:00:00.000Z"))
    until_done(bench)
    until_done(bench)
    assert bench.line.reloads == before + 1


def test_a_crash_is_remembered_and_not_tried_again(bench: Bench) -> None:
    bench.children.answer = Unfit("loading crashed with SIGSEGV")
    until_done(settled(bench))
    bench.clock.advance(100_000.0)
    until_done(bench)
    assert threads(bench) == [2]
    (refused,) = bench.store.known().refused
    assert (refused.reason, refused.threads) == ("loading crashed with SIGSEGV", None)


def test_a_hang_refuses_as_many_threads_only(bench: Bench) -> None:
    bench.children.answer = Unfit("a call did not end within 60 s", any_threads=False)
    until_done(settled(bench))
    assert threads(bench) == [2, 1]


def test_what_a_busy_box_kept_from_being_measured_is_tried_again_a_minute_later(bench: Bench) -> None:
    bench.children.answer = Later("the box is busy")
    until_done(settled(bench))
    assert threads(bench) == [2, 1]
    bench.clock.advance(59.0)
    until_done(bench)
    assert threads(bench) == [2, 1]
    bench.clock.advance(2.0)
    until_done(bench)
    assert threads(bench) == [2, 1, 2, 1]
    assert bench.store.known().measured == ()


def test_what_was_put_off_stays_so_when_its_place_on_the_ladder_changes(bench: Bench) -> None:
    bench.children.on_ask = lambda _rest: setattr(
        bench.children, "answer", Later("the box is busy") if bench.children.asked[-1].threads == 2 else GOOD
    )
    until_done(settled(bench))
    until_done(bench)
    assert threads(bench) == [2, 1, 1, 1]


def test_a_throttled_box_starts_no_child(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "feel", lambda: Feel(throttled=True))
    until_done(settled(bench))
    assert bench.children.asked == []


def test_figures_of_a_box_that_was_throttled_meanwhile_are_not_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.children.on_ask = lambda _rest: monkeypatch.setattr(measuring, "feel", lambda: Feel(throttled=True))
    settled(bench).measuring.tick()
    assert bench.store.known().measured == ()


def test_a_stop_calls_the_candidate_off_and_keeps_nothing_of_it(bench: Bench) -> None:
    went_on: list[bool] = []

    def stopped_meanwhile(rest: Rest) -> None:
        bench.measuring.stop()
        went_on.append(rest(5.0))

    bench.children.on_ask = stopped_meanwhile
    settled(bench).measuring.tick()
    assert went_on == [False]
    assert bench.store.known().measured == ()
    assert not bench.measuring.tick()


def test_a_child_has_ended_before_the_rest_that_its_work_asks_for(bench: Bench) -> None:
    naps = bench.measuring._stop = Naps()
    slept_s: list[float] = []

    def works(rest: Rest) -> None:
        assert rest(1.0)
        assert rest(0.5)
        slept_s.append(naps.slept_s)

    bench.children.on_ask = works
    settled(bench).measuring.tick()

    assert slept_s == [0.0]
    assert naps.slept_s == pytest.approx(1.5 * (1 - MOST_SHARE) / MOST_SHARE)


def test_what_takes_longer_than_a_spell_is_measured_in_several(bench: Bench) -> None:
    bench.children.answer = SPELL
    settled(bench)
    assert [bench.measuring.tick() for _ in range(2)] == [True, True]
    assert bench.store.known().measured == ()

    bench.measuring.tick()

    assert threads(bench) == [2, 2, 2]
    (one,) = bench.store.known().measured
    assert [(row.threads, row.runs, row.p50_ms, row.load_ms) for row in one.figures] == [(2, 30, 100.0, 30.0)]


def test_what_spells_gave_is_kept_while_the_box_is_busy(bench: Bench) -> None:
    bench.children.answer = SPELL
    settled(bench)
    assert [bench.measuring.tick() for _ in range(2)] == [True, True]
    bench.children.answer = Later("the box is busy")
    until_done(bench)
    bench.clock.advance(61.0)
    bench.children.answer = SPELL

    bench.measuring.tick()

    assert threads(bench) == [2, 2, 2, 1, 2]
    (one,) = bench.store.known().measured
    assert [(row.threads, row.runs) for row in one.figures] == [(2, 30)]


def test_a_spell_is_a_second_of_calls_and_as_much_as_is_asked_for_of_short_ones(bench: Bench) -> None:
    settled(bench).measuring.tick()
    (spell,) = bench.children.efforts
    assert spell.is_enough(SPELL.samples)
    assert not spell.is_enough(SPELL.samples[1:])
    assert spell.is_enough(GOOD.samples)
    assert not spell.is_enough(GOOD.samples[:140])


@pytest.mark.parametrize(("match", "left"), [(Match(board=("a press",)), []), (Match(arch=("x86_64",)), [1, 2])])
def test_what_came_with_the_bundle_is_measured_again_only_where_the_profile_fits_boxes_of_all_kinds(
    bench: Bench, match: Match, left: list[int]
) -> None:
    (bundle,) = bench.supply.bundles()
    box = replace(bench.box, profile=bench.box.profile.model_copy(update={"match": match}))
    rows = tuple(Figures(one, 30, 2.0, 3.0, 2.0, 40.0, 12.0) for one in (1, 2))
    subject = candidates(bundle, box)[0].subject
    travelled = to_document([Measured(subject, rows, "here", "2026-01-01T00:00:00.000Z")])
    (bundle.folder / "benchmarks.json").write_text(json.dumps(travelled), "utf-8")
    assert [job.candidate.threads for job in jobs([bundle], box, bench.store)] == left
    (bundle.folder / "benchmarks.json").unlink()


def test_it_says_what_it_does_and_is_never_in_the_way(bench: Bench) -> None:
    assert repr(bench.measuring).startswith("<Measuring: waits, <FiguresStore ")
    assert bench.measuring.ended
    assert not bench.measuring.working
    assert bench.measuring.reasons() == ()
    assert bench.measuring.join(0.0)


def test_a_candidate_is_a_file_of_the_bundle_that_this_box_can_run(bench: Bench, tmp_path: Path) -> None:
    bundle = read_bundle(tmp_path / "models" / "level")
    found = candidates(bundle, bench.box)
    assert [(one.variant, one.threads, one.place) for one in found] == [("fp32", 1, 0), ("fp32", 2, 0)]
    assert found[0].subject.sha256 == bundle.manifest.variant[0].sha256
    assert found[0].subject.runtime_version != "unknown"
    assert found[0].size_bytes == bundle.path_of(bundle.manifest.variant[0]).stat().st_size


@pytest.mark.slow
def test_a_thread_measures_with_real_children_and_ends_within_a_second(bench: Bench) -> None:
    made = Measuring(
        bench.box, bench.store, bench.supply, list, FakeClock(), effort=Effort(measure_s=0.01), settle_s=0.0
    )
    made.start()
    from fakes.waiting import until  # noqa: PLC0415 - of this test alone

    until(lambda: bench.store.known() != type(bench.store.known())(), "figures, or a reason", 60.0)
    made.stop()
    assert made.join(2.0)
