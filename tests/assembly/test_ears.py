from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from edged.assembly.allowance import Allowance
from edged.assembly.ears import Ears
from edged.assembly.listeners import NOTE, Listeners
from edged.config.schema import Config
from edged.domain.message import Draft
from edged.fleet.topics import Stamper
from fakes.clock import FakeClock
from fakes.outbox import FakeOutbox

HEALTH, EVENT = Draft("health", {"schema": "h"}, retain=True), Draft("event/a", {"schema": "e"})


def test_what_is_put_is_handed_on_and_heard() -> None:
    outbox, heard = FakeOutbox(), list[Draft]()
    ears = Ears(outbox)
    ears.listen(heard.append)
    assert ears.put(EVENT, wait_s=0.5)
    assert (outbox.drafts, outbox.waited, heard) == ([EVENT], [0.5], [EVENT])


def test_what_a_full_outbox_refuses_is_heard_all_the_same() -> None:
    heard: list[Draft] = []
    ears = Ears(FakeOutbox(room=0))
    ears.listen(heard.append)
    assert not ears.put(EVENT)
    assert heard == [EVENT]


def test_who_comes_late_hears_the_levels_that_stand_and_no_event_of_before() -> None:
    ears, heard = Ears(FakeOutbox()), list[Draft]()
    ears.put(HEALTH)
    ears.put(EVENT)
    ears.listen(heard.append)
    assert heard == [HEALTH]
    ears.forget(heard.append)
    ears.put(EVENT)
    assert heard == [HEALTH]


def test_nothing_of_it_is_loaded_where_it_is_off() -> None:
    code = (
        "import sys, edged.assembly.wiring; "
        "print([name for name in sys.modules if name.endswith(('.ears', '.sinking', '.homeassistant', '.states'))])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/")
    assert said.stdout.strip() == "[]"


def test_where_nobody_is_to_hear_anything_the_outbox_is_left_as_it_is(tmp_path: Path) -> None:
    config = Config.model_validate({"device": {"id": "a"}, "state": {"directory": tmp_path}})
    outbox = FakeOutbox()
    allowance = Allowance(None, outbox, tmp_path, FakeClock())
    listeners = Listeners(config, allowance, Stamper("boot", FakeClock()))
    assert allowance.outbox is outbox
    assert listeners.parts(config) == ()
    assert listeners.beside(tuple, int) is None


def test_home_assistant_and_sinks_hear_what_is_put_where_they_are_asked_for(tmp_path: Path) -> None:
    document = {"device": {"id": "a"}, "state": {"directory": tmp_path}, "homeassistant": {"enabled": True}}
    config = Config.model_validate(document | {"sink": [{"name": "plant", "kind": "sparkplug"}]})
    allowance = Allowance(None, FakeOutbox(), tmp_path, FakeClock())
    listeners = Listeners(config, allowance, Stamper("boot", FakeClock()))
    assert isinstance(allowance.outbox, Ears)
    side = listeners.beside(tuple, int)
    assert side is not None
    assert side.topics == ("homeassistant/status",)


def test_what_was_announced_once_is_taken_back_when_it_is_off(tmp_path: Path) -> None:
    config = Config.model_validate({"device": {"id": "a"}, "state": {"directory": tmp_path}})
    (tmp_path / NOTE).write_text('{"topic": "ha/device/a/config"}', encoding="utf-8")
    listeners = Listeners(config, Allowance(None, FakeOutbox(), tmp_path, FakeClock()), Stamper("boot", FakeClock()))
    side = listeners.beside(tuple, int)
    assert side is not None
    assert side.topics == ()
