"""One time limit at a time."""

from __future__ import annotations

import asyncio

from edged.api.alarm import Alarm


def test_an_alarm_rings_once_its_time_is_over_and_never_for_what_was_set_before() -> None:
    rung: list[str] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        alarm = Alarm(loop)
        alarm.set(0.01, lambda: rung.append("first"))
        alarm.set(60.0, lambda: rung.append("long"))
        await asyncio.sleep(0.05)
        assert alarm.is_set
        assert rung == []
        alarm.set(0.01, lambda: rung.append("short"))
        await asyncio.sleep(0.05)
        assert rung == ["short"]
        alarm.set(0.01, lambda: rung.append("cleared"))
        alarm.clear()
        await asyncio.sleep(0.05)
        alarm.set(0.01, lambda: rung.append("closed"))
        alarm.close()
        await asyncio.sleep(0.05)
        assert not alarm.is_set

    asyncio.run(run())
    assert rung == ["short"]
