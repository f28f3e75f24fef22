"""Before every call the prompt is measured, and never undercounted: a token stands for at least a byte."""

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from interlock import (
    AgentResult,
    Code,
    MemoryStore,
    Runtime,
    ScriptedAgent,
    ToolContext,
    compiled,
    read_flow,
    recorded,
    tool,
)
from interlock.agents.scripted import calls, gives
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.events import AgentRequested

FLOW = """
flow: measured
version: 1
owner: tests
initial: hello
facts:
  full_name: {type: text, says: your name, ask: "Your name, please?"}
agents:
  helper:
    {model: none, instructions: "Help wherever you can, ä ö ü.", contract: Answer, handles: [all], refuses: [none],
     history: window, window: 6}
states:
  hello: {kind: wait, say: "Hello {full_name}!", deadline: 1h}
  help:  {kind: agent, agent: helper, tools: [look], reads: [full_name], attempts: 3}
  end:   {kind: final}
transitions:
  - [hello, message,     otherwise, help,  A]
  - [help,  done,        otherwise, hello, A]
  - [any,   expired,     otherwise, end,   A]
  - [any,   unsure,      otherwise, hello, A]
  - [any,   refused,     otherwise, hello, A]
  - [any,   invalid,     otherwise, hello, A]
  - [any,   timeout,     otherwise, hello, A]
  - [any,   failed,      otherwise, hello, A]
  - [any,   over_budget, otherwise, hello, A]
  - [any,   limit,       otherwise, end,   A]
"""


class Answer(AgentResult):
    """With a field, so that a broken answer has something to break."""

    certain: bool = True


@tool(says="Looks something up.")
def look(what: str, context: ToolContext) -> dict[str, str]:
    return {"found": what * 3}


CODE = Code.of(tools=[look], contracts=[Answer])
PROGRAM = compiled(read_flow(FLOW, CODE).flow, CODE)


def size_of(request: AgentRequest) -> int:
    """Bytes of everything that is sent: messages, calls, tools and the contract's schema."""
    messages = sum(
        len(one.content.encode("utf-8", "surrogatepass"))
        + sum(len(call.name) + len(call.arguments.encode("utf-8", "surrogatepass")) for call in one.tool_calls)
        for one in request.messages
    )
    tools = sum(len(json.dumps(one.parameters)) + len(one.description) + len(one.name) for one in request.tools)
    return messages + tools + len(json.dumps(request.contract or {}))


answers = st.one_of(
    st.text(max_size=60).map(lambda text: calls("look", what=text)),
    st.text(max_size=20).map(lambda text: calls("nonsense", what=text)),
    st.text(max_size=60).map(lambda text: AgentReply(text=text)),
    st.text(max_size=60).map(lambda text: gives(reply=text, certain=True)),
)


@given(st.lists(st.text(min_size=1, max_size=80), min_size=1, max_size=4), st.lists(answers, max_size=14))
def test_the_bound_in_the_event_covers_the_prompt_that_is_sent(messages: list[str], script: list[AgentReply]) -> None:
    """Window, facts, tool rounds, refused calls and repairs included."""
    left = list(script)
    agent = ScriptedAgent(lambda request: left.pop(0) if left else gives(reply="Fine."))
    store = MemoryStore()

    async def talk() -> str:
        async with Runtime(store, PROGRAM, agent) as runtime:
            opened = await runtime.start(facts={"full_name": "Ana Ruiz-Ødegård"})
            for message in messages:
                await runtime.say(opened.conversation, message)
            return opened.conversation

    conversation = asyncio.run(talk())
    bounds = {
        f"{conversation}:{one.envelope.ver}": one.event.token_bound
        for one in recorded(store.read(conversation))
        if isinstance(one.event, AgentRequested)
    }
    assert bounds
    for request in agent.requests:
        assert size_of(request) <= bounds[request.effect]
