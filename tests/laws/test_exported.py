"""Export, run, passes: for the examples' conversations, however they went."""

import asyncio
from typing import Any

import pytest

from interlock.cli.as_pytest import pytest_of
from interlock.service.retold import retold
from support.patterns import NAMES, Play, conversation_of, playing


def played(text: str) -> None:
    """Run the one test of the text."""
    names: dict[str, Any] = {}
    exec(compile(text, "exported.py", "exec"), names)
    (test,) = (value for name, value in names.items() if name.startswith("test_"))
    test()


async def example(name: str) -> Play:
    """The pattern's own conversation, with people who decide what is asked first."""
    async with playing(name) as play:
        await play.say(*conversation_of(name))
        for number in range(4):
            task = (await play.runtime.outcome(play.id)).task
            if task is not None:
                await play.decide(task.decisions[0], who=f"colleague_{number}")
    return play


@pytest.mark.parametrize("name", NAMES)
def test_every_pattern_becomes_a_test_that_passes(name: str) -> None:
    """Broadcasts, child conversations, tools, two people: what was recorded is played again."""
    play = asyncio.run(example(name))
    played(pytest_of(retold(play.store, play.id, play.program), f"patterns/{name}"))
