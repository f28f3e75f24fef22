"""An answer given in a fork in place of a recorded one: looked at before anything of the fork is written."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..agents.contract import checked
from ..agents.strict_json import read_json
from ..contracts.errors import CallError
from ..contracts.events import AgentRequested, AgentReturned, ToolRequested, ToolReturned
from ..contracts.values import listed
from ..fsm.labelling import contract_of, router_of
from ..fsm.program import Program
from ..fsm.replay import Recorded
from .facts import open_value


def check_answer(parent: str, entries: Sequence[Recorded], at: int, programs: Sequence[Program], text: str) -> None:
    """Raises `CallError` where `text` is no answer to what event `at` of `parent` answers: for a tool, a JSON object
    whose facts have the declared types; for an agent, what its contract takes. The first of `programs` that the
    event ran on counts, else the first."""
    event = entries[at].event
    if not isinstance(event, AgentReturned | ToolReturned):
        return
    digest = entries[at].envelope.flow
    program = next((one for one in programs if one.ref.digest == digest), programs[0])
    request = entries[event.effect].event
    if isinstance(request, ToolRequested):
        problems, whose = _unfit(program, text), f"the tool {request.tool!r}"
        fix = 'Give a JSON object, as the tool returns it; a plain value stands as {"result": 42}.'
    elif isinstance(request, AgentRequested) and request.agent in program.agents:
        problems, whose = _broken(program, request, text), f"the agent {request.agent!r}"
        fix = "Give what the agent's contract takes; `interlock log CONVERSATION --texts` shows the recorded answer."
    else:
        return
    if problems:
        said = " ".join(problems[:3])
        raise CallError(f"This is no answer of {whose}: {said}", where=f"{parent} event {at}", fix=fix)


def _broken(program: Program, request: AgentRequested, text: str) -> Sequence[str]:
    """What of the agent's contract, or of the labels it was asked to choose from, the text breaks."""
    if request.purpose == "label":
        return checked(text, contract_of(router_of(program, request.state))).violations
    name = program.agents[request.agent].contract
    return checked(text, program.code.contracts[name] if name else None).violations


def _unfit(program: Program, text: str) -> Sequence[str]:
    reading = read_json(text)
    if reading.problem:
        return (reading.problem,)
    if not isinstance(reading.value, dict):
        return (f"It is {_kind(reading.value)}, not an object.",)
    wrong = sorted(name for name, value in reading.value.items() if not _fits(program, name, value))
    return (f"Of another type than the flow declares: {listed(wrong)}.",) if wrong else ()


def _fits(program: Program, name: str, value: Any) -> bool:
    spec = program.facts.get(name)
    if spec is None or value is None:
        return True
    return isinstance(value, str) and bool(value.strip()) if spec.sealed else open_value(spec, value) is not None


def _kind(value: Any) -> str:
    kinds: Mapping[type, str] = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return kinds.get(type(value), "a number")
