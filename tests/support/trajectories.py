"""Recorded trajectories led through a flow: the recorded replies answer every model call, the recorded results every
tool call. Nothing is asked of a model, and nothing is done outside."""

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, create_model

from interlock.agents.strict_json import written
from interlock.contracts.agents import AgentReply, AgentRequest, ToolCall
from interlock.contracts.canonical import sha256_hex
from interlock.contracts.errors import AgentFailed
from interlock.contracts.imported import ImportFormat
from interlock.contracts.store import Store
from interlock.contracts.tools import Tool, ToolSpec
from interlock.fsm.code import Code
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.service.foreign import ForeignConversation
from interlock.service.foreign_files import records
from interlock.service.importing import stream_of
from interlock.service.runtime import Runtime
from support.conversations import DATA

FLOW = """
flow: recorded_clerk
version: 1
owner: tests
says: One agent with its tools, and a person to wait for.
initial: greeting
limits:
  agent_calls: 100
  tool_rounds: 90
  message_bytes: 100000
  turn_tokens: 900000000
  conversation_tokens: 9000000000

agents:
  clerk: {{model: recorded, instructions: Help., max_input_tokens: 4000000, max_output_tokens: 4000}}

states:
  greeting: {{kind: wait, deadline: 30m}}
  helping:  {{kind: agent, agent: clerk, tools: [{tools}], attempts: 1, timeout: 60s}}
  waiting:  {{kind: wait, deadline: 30m}}
  over:     {{kind: final}}

transitions:
  - [greeting, message,   otherwise, helping, T-1]
  - [waiting,  message,   otherwise, helping, T-1]
  - [helping,  done,      otherwise, waiting, T-2]
  - [any,      unsure,    otherwise, waiting, T-2]
  - [any,      refused,   otherwise, waiting, T-2]
  - [any,      invalid,   otherwise, over,    T-3]
  - [any,      failed,    otherwise, over,    T-3]
  - [any,      timeout,   otherwise, over,    T-3]
  - [any,      over_budget, otherwise, over,  T-3]
  - [any,      limit,     otherwise, over,    T-3]
  - [any,      expired,   otherwise, over,    T-3]
"""


def trajectories(name: str, kind: ImportFormat = "tau") -> list[ForeignConversation]:
    path = DATA / name
    if not path.is_file():
        pytest.skip(f"no trajectories at {path}; set INTERLOCK_DATA")
    return [one.conversation for one in records(path, kind) if one.conversation is not None]


@dataclass
class Recording:
    """What is left of one trajectory: replies and results in their order."""

    replies: deque[AgentReply] = field(default_factory=deque)
    results: dict[str, deque[str]] = field(default_factory=lambda: defaultdict(deque))


class RecordedWorld:
    """The agent and the tools of all trajectories: each conversation gets its own answers, once and in order."""

    name = "recorded trajectories"

    def __init__(self, conversations: Sequence[ForeignConversation]) -> None:
        self.recordings: dict[str, Recording] = {}
        self.said: dict[str, list[str]] = {}
        self.tools: dict[str, set[str]] = defaultdict(set)
        self.current = ""
        for one in conversations:
            self._read(one)

    def _read(self, conversation: ForeignConversation) -> None:
        stream = stream_of(conversation.record)
        recording = self.recordings[stream] = Recording()
        said = self.said[stream] = []
        for at, message in enumerate(conversation.messages):
            if message.role == "user" and message.text is not None:
                said.append(message.text)
            elif message.role == "assistant" and said:
                calls = tuple(ToolCall(f"{at}.{n}", call.name, call.arguments) for n, call in enumerate(message.calls))
                recording.replies.append(AgentReply(text=message.text or "", tool_calls=calls))
                self.tools.update({call.name: self.tools[call.name] for call in message.calls})
            elif message.answers is not None and conversation.messages[message.answers[0]].role == "assistant":
                call = conversation.messages[message.answers[0]].calls[message.answers[1]]
                recording.results[call.name].append(message.text or "")

    async def run(self, request: AgentRequest) -> AgentReply:
        replies = self.recordings[self.current].replies
        if not replies:
            raise AgentFailed("The trajectory ends here.", kind="refused", reason="end_of_record")
        return replies.popleft()

    def program(self) -> Program:
        names = sorted(self.tools)
        code = Code.of(tools=[self._tool(name) for name in names])
        return compiled(read_flow(FLOW.format(tools=", ".join(names)), code).flow, code)

    def _tool(self, name: str) -> Tool:
        arguments: type[BaseModel] = create_model(
            f"{name}_arguments", __config__=ConfigDict(extra="allow", frozen=True)
        )
        schema = written(arguments.model_json_schema()).encode()
        spec = ToolSpec(name=name, says="Answers as it did.", arguments=sha256_hex(schema), argument_bytes=len(schema))

        def answer(**_: Any) -> dict[str, str]:
            return {"gave": self.recordings[self.current].results[name].popleft()}

        return Tool(spec, arguments, answer, takes_context=False)


async def led(world: RecordedWorld, store: Store, program: Program, streams: Iterable[str]) -> None:
    """Type what each customer typed; the agent and the tools answer as they did."""
    async with Runtime(store, [program], world) as runtime:
        for stream in streams:
            world.current = stream
            outcome = await runtime.start(conversation=f"led-{stream}")
            for text in world.said[stream]:
                if outcome.standing == "ended" or not world.recordings[stream].replies:
                    break
                outcome = await runtime.say(f"led-{stream}", text)
