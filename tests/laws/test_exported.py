"""Export, run, passes: for the examples' conversations, however they went."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.cli.as_pytest import pytest_of
from interlock.contracts.errors import CallError
from interlock.service.retold import retold
from interlock.testing import strategies
from interlock.testing.possible import possible, present
from interlock.testing.talk import Talk
from support.patterns import NAMES, Play, conversation_of, playing, project


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


@given(st.data())
def test_any_conversation_becomes_a_test_that_passes(data: st.DataObject) -> None:
    """Whatever was written, answered, decided, and however long it took; broadcasts and children, too.

    A crash leaves no trace in a log, so there is none in the test.
    """
    name = data.draw(st.sampled_from(NAMES))
    with Talk(project(name).program) as talk:
        for _ in range(data.draw(st.integers(1, 9))):
            likely = possible(talk)
            if not likely:
                break
            choices = [st.sampled_from(likely), st.sampled_from(likely[:6])]
            if not talk.ended:
                choices += [strategies.messages(present(talk)[1]), strategies.delays()]
            try:
                talk.do(data.draw(st.one_of(choices)))
            except CallError:
                continue
        text = pytest_of(retold(talk.store, talk.id, talk.real), f"patterns/{name}")
    played(text)
