"""A flow compiled for deciding: its tables looked up once, its guards bound to their functions."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..contracts.canonical import canonical, digest_of
from ..contracts.commands import FlowRef
from ..contracts.consulting import ASK_SCHEMA, description, tool_name
from ..contracts.errors import FlowError
from ..contracts.events import Verdict
from ..contracts.facts import Facts
from ..contracts.flow import ANY, AgentSpec, AgentState, FactSpec, Flow, RouterSpec, State, Transition
from ..contracts.policies import Watch
from ..contracts.subflow import SubflowSpec
from ..contracts.tools import Tool, ToolSpec
from ..contracts.values import listed
from .check import faults_in
from .code import Code
from .guards import GuardFunction, tried
from .machine import FlowMachine
from .policies.judging import watches_of
from .render import template_of

Rows = tuple[tuple[int, Transition], ...]


@dataclass(frozen=True)
class Program:
    """What `decide` runs. Made by `compiled`; the same flow and code always make the same program."""

    flow: Flow
    code: Code
    ref: FlowRef
    body: bytes
    """The flow's canonical JSON, whose SHA-256 is the digest."""
    states: Mapping[str, State]
    rows: Mapping[tuple[str, str], Rows]
    facts: Mapping[str, FactSpec]
    agents: Mapping[str, AgentSpec]
    routers: Mapping[str, RouterSpec]
    tools: Mapping[str, ToolSpec]
    functions: Mapping[str, GuardFunction]
    prompts: Mapping[str, str]
    """Digest of each agent's instructions and contract."""
    fixed_bytes: Mapping[str, int]
    """What each agent's instructions, scope and contract take in a prompt, at most. A token is at least a byte."""
    tool_bytes: Mapping[str, int]
    """What each tool's description and arguments take in a prompt, at most."""
    asked_bytes: Mapping[str, int]
    """What each agent takes in a prompt where it is offered as a tool, at most."""
    consulting: bool
    """Some agent of the flow may ask others."""
    choice_bytes: int
    """What the two labels of a clarifying question take in words, at most."""
    machine: FlowMachine
    full_handoffs: bool
    """Whether handoffs say their confidence, trigger and measured tokens: in flows that use what came with them."""
    children: Mapping[str, "Program"]
    """The programs of child conversations, by the names that states call them by."""

    @property
    def subflows(self) -> Mapping[str, SubflowSpec]:
        return {one.name: one for one in self.flow.subflows}

    watches: tuple[Watch, ...]
    """The flow's policies as automata."""
    approving: bool
    """Whether a state approves, here or in a child: then it is recorded who asked for what."""

    def rows_for(self, state: str, on: str) -> Rows:
        """The state's own rows for the trigger, then the flow-wide ones."""
        return self.rows.get((state, on), ()) + self.rows.get((ANY, on), ())

    def tried(self, state: str, on: str, facts: Facts) -> tuple[tuple[int, Transition] | None, tuple[Verdict, ...]]:
        return tried(self.rows_for(state, on), facts, self.functions)

    def says_of(self, policies: Iterable[str]) -> Iterator[str]:
        """What these policies are for, in their sentences."""
        yield from (one.says for one in self.flow.policies if one.name in policies)

    def template(self, text: str) -> str:
        return template_of(self.flow, text)

    def tool(self, name: str) -> Tool:
        return self.code.tools[name]


def compiled(flow: Flow, code: Code) -> Program:
    """`flow` ready to run. Raises `FlowError` with every fault: a faulty flow starts no conversation."""
    faults = faults_in(flow, code)
    if faults:
        raise FlowError(
            f"Flow {flow.name!r} has {len(faults)} faults and starts no conversation.",
            where=f"{flow.name} v{flow.version}",
            fix="Mend each of them:",
            faults=faults,
        )
    _refuse_other_code(flow, code)
    children = {one.name: compiled(code.subflows[one.name].flow, code.subflows[one.name].code) for one in flow.subflows}
    rows: dict[tuple[str, str], Rows] = {}
    for index, row in enumerate(flow.transitions):
        rows[row.source, row.on] = (*rows.get((row.source, row.on), ()), (index, row))
    return Program(
        flow=flow,
        code=code,
        ref=FlowRef(name=flow.name, version=flow.version, digest=flow.digest),
        body=canonical(flow.written()),
        states=MappingProxyType({one.name: one for one in flow.states}),
        rows=MappingProxyType(rows),
        facts=MappingProxyType({one.name: one for one in flow.facts}),
        agents=MappingProxyType({one.name: one for one in flow.agents}),
        routers=MappingProxyType({one.name: one for one in flow.routers}),
        tools=MappingProxyType({one.name: one for one in flow.tools}),
        functions=MappingProxyType({name: one.function for name, one in code.every_guard.items()}),
        prompts=MappingProxyType(
            {
                one.name: digest_of({"instructions": one.instructions, "contract": one.contract_schema})
                for one in flow.agents
            }
        ),
        fixed_bytes=MappingProxyType({one.name: _fixed_bytes(one) for one in flow.agents}),
        tool_bytes=MappingProxyType(
            {one.name: len(one.says.encode()) + bytes_in_prompt(one.argument_bytes) for one in flow.tools}
        ),
        asked_bytes=MappingProxyType({one.name: _asked_bytes(one) for one in flow.agents}),
        consulting=any(isinstance(one, AgentState) and one.agents for one in flow.states),
        choice_bytes=2 * max((len(text.encode()) for one in flow.routers for text in one.labels.values()), default=0),
        machine=FlowMachine(flow),
        full_handoffs=_hands_over_in_full(flow),
        children=MappingProxyType(children),
        watches=watches_of(flow),
        approving=any(one.kind == "human" and one.approves is not None for one in flow.states)
        or any(one.approving for one in children.values()),
    )


def with_children(programs: Iterable[Program]) -> Iterator[Program]:
    """The programs, and those of all child conversations below them; the given ones first."""
    level = tuple(programs)
    while level:
        yield from level
        level = tuple(child for program in level for child in program.children.values())


def _hands_over_in_full(flow: Flow) -> bool:
    """Histories of flows without these stay byte for byte as they were."""
    agents = any(one.summariser or one.no_return or one.scope for one in flow.agents)
    return flow.sensitive or agents or any(isinstance(one, AgentState) and one.fallbacks for one in flow.states)


def _refuse_other_code(flow: Flow, code: Code) -> None:
    """The code must be what the flow was made with: a guard of another version decides something else."""
    changed = [
        f"{kind} {name}"
        for kind, name, same in (
            *(("guard", one.name, code.every_guard[one.name].spec == one) for one in flow.guards),
            *(("tool", one.name, code.tools[one.name].spec == one) for one in flow.tools),
            *(("subflow", one.name, code.subflows[one.name].flow.digest == one.digest) for one in flow.subflows),
        )
        if not same
    ]
    if changed:
        raise FlowError(
            f"The code differs from what flow {flow.name!r} was made with: {listed(changed)}.",
            fix="Load the flow again with today's code (a new digest), or restore the code's version.",
        )


def _fixed_bytes(agent: AgentSpec) -> int:
    scope = sum(len(text.encode()) + 8 for text in (*agent.handles, *agent.refuses))
    return len(agent.instructions.encode()) + scope + bytes_in_prompt(agent.contract_bytes) + 600


def _asked_bytes(agent: AgentSpec) -> int:
    schema = bytes_in_prompt(len(canonical(dict(ASK_SCHEMA))))
    return len(tool_name(agent.name)) + len(description(agent).encode()) + schema


def bytes_in_prompt(schema_bytes: int) -> int:
    """A schema stands in a prompt in words, and may be sent as a schema too, made strict: four times covers both."""
    return 4 * schema_bytes + 400 if schema_bytes else 0
