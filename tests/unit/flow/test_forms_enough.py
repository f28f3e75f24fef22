"""A form that is content with some of its facts: "three of the following, please"."""

import pytest

from interlock.agents.scripted import ScriptedAgent
from interlock.contracts.flow import CollectState
from interlock.fsm.code import Code
from interlock.fsm.describe import described
from interlock.fsm.load import read_flow
from interlock.fsm.program import compiled
from interlock.fsm.written import written_yaml
from interlock.persistence.memory_store import MemoryStore
from interlock.service.runtime import Runtime
from support.runtime import check_log, path_of

FLOW = """
flow: who
version: 1
owner: us
initial: proving
facts:
  pin:   {type: code, says: the PIN, ask: "Your PIN?", pattern: "[0-9]{4}"}
  email: {type: code, says: the address, ask: "Your address?", pattern: "[a-z]+@[a-z]+[.]com"}
  zip:   {type: code, says: the zip code, ask: "Your zip code?", pattern: "[0-9]{5}"}
states:
  proving: {kind: collect, facts: [pin, email, zip], enough: 2, attempts: 2, deadline: 1h}
  proved:  {kind: final, say: "It is you."}
  person:  {kind: final, say: "A person will call you."}
transitions:
  - [proving, complete, otherwise, proved, W-1]
  - [proving, declined, otherwise, person, W-2]
  - [any, gave_up, otherwise, person, W-2]
  - [any, expired, otherwise, person, W-2]
  - [any, limit, otherwise, person, W-2]
"""


@pytest.mark.parametrize(
    ("texts", "end", "said"),
    [
        (["1234", "ann@ham.com"], "complete>proved", ("It is you.",)),
        (["I'd rather not say", "ann@ham.com", "12345"], "complete>proved", ("It is you.",)),
        (["I don't know", "ann@ham.com and 12345"], "complete>proved", ("It is you.",)),
        (["my address is ann@ham.com, the PIN is 1234"], "complete>proved", ("It is you.",)),
        (["I'd rather not say", "I don't remember"], "declined>person", ("A person will call you.",)),
    ],
)
async def test_any_two_of_three_suffice(texts: list[str], end: str, said: tuple[str, ...]):
    """Given, volunteered, passed over; with too few left to have, the person has declined."""
    store, program = MemoryStore(), compiled(read_flow(FLOW, Code()).flow, Code())
    async with Runtime(store, program, ScriptedAgent([])) as runtime:
        outcome = await runtime.start(conversation="talk")
        for text in texts:
            outcome = await runtime.say("talk", text)
    assert (path_of(store, "talk")[-1:], outcome.replies) == ([end], said)
    check_log(store, program)


def test_it_is_written_and_described():
    """In the file that is written, and in English; a form without it keeps its bytes."""
    flow = read_flow(FLOW, Code()).flow
    assert read_flow(written_yaml(flow), Code()).flow.digest == flow.digest
    assert "collects 2 of pin, email or zip" in described(flow)
    plain = CollectState(name="form", facts=("pin",), deadline_seconds=60)
    assert "enough" not in plain.model_dump(mode="json")
