"""What an adapter gave, as a report for the core: contract checked, texts as payloads, declared facts read."""

from dataclasses import dataclass
from typing import Any

from ..agents.contract import checked, outcome_of
from ..agents.openai_failures import MAX_RETRY_AFTER_SECONDS
from ..agents.tools import check_arguments, check_task
from ..contracts.agents import AgentCutShort, AgentReply, Judgement, Plan
from ..contracts.commands import AgentReport, PlannedTask, ProposedCall
from ..contracts.consulting import asked_agent
from ..contracts.errors import AgentFailed
from ..contracts.events import AgentRequested
from ..contracts.flow import AgentSpec
from ..contracts.limits import Usage
from ..contracts.payload import Payload, bytes_of
from ..contracts.values import NAME, printable
from ..fsm.labelling import contract_of, router_of
from ..fsm.program import Program
from .clock import minted
from .facts import readings_from

_MOST_CALLS = 32
"""Tool calls of one answer; their arguments' problems must fit one entry of the log."""
_MOST_SUBTASKS = 33
"""Of one plan: one more than a broadcast can have."""
_MOST_TOKENS = 1_000_000_000
"""In or out of one call; no provider measures more."""


@dataclass(frozen=True, slots=True)
class Performed:
    """What an effect led to: the report for the command, and the payloads that go with it."""

    report: Any
    payloads: tuple[Payload, ...] = ()


def reported(program: Program, spec: AgentSpec, reply: AgentReply, *, as_tool: bool = False) -> Performed:
    """A reply as a report: contract checked, texts as payloads, declared facts read.

    Of an agent that was asked as a tool only the text is taken: it tells the customer nothing, and no fact.
    """
    common = {
        "usage": _measured(reply.usage),
        "model": printable(reply.model).replace(" ", "?"),
        "request_id": printable(reply.request_id),
    }
    if reply.tool_calls and not reply.refused:
        return _proposed(program, reply, common)
    output = minted("output", "result", bytes_of(reply.text))
    contract = program.code.contracts[spec.contract] if spec.contract else None
    found = checked(reply.text, contract)
    outcome = outcome_of(found, reply.refused)
    payloads = [output]
    fields: dict[str, Any] = {"outcome": outcome, "output": output.ref, "violations": found.violations, **common}
    if as_tool:
        return Performed(AgentReport.model_validate(fields), tuple(payloads))
    if outcome in ("done", "unsure", "refused"):
        text = found.data.get("reply", "") if contract else reply.text
        if isinstance(text, str) and text.strip():
            said = minted("reply", "reply", bytes_of(text))
            payloads.append(said)
            fields |= {"reply": said.ref, "reply_token_bound": len(said.plaintext)}
        readings, sealed = readings_from(program, found.data, {})
        fields["facts"] = readings
        payloads += sealed
    if outcome == "done" and contract is not None and issubclass(contract, Plan):
        planned, tasks = _subtasks(found.data.get("subtasks", ()))
        fields["subtasks"] = planned
        payloads += tasks
    if outcome == "done" and contract is not None and issubclass(contract, Judgement):
        fields["verdict"] = found.data.get("verdict")
    return Performed(AgentReport.model_validate(fields), tuple(payloads))


def labelled(program: Program, request: AgentRequested, reply: AgentReply) -> Performed:
    """The answer of an agent that was asked for a routing label: one of the enum, or a broken contract."""
    output = minted("output", "result", bytes_of(reply.text))
    found = checked(reply.text, contract_of(router_of(program, request.state)))
    outcome = "invalid" if reply.tool_calls and not reply.refused else outcome_of(found, reply.refused)
    fields = {
        "outcome": outcome,
        "output": output.ref,
        "violations": found.violations,
        "label": found.data.get("label") if outcome == "done" else None,
        "usage": _measured(reply.usage),
        "model": printable(reply.model).replace(" ", "?"),
        "request_id": printable(reply.request_id),
    }
    return Performed(AgentReport.model_validate(fields), (output,))


def _proposed(program: Program, reply: AgentReply, common: dict[str, Any]) -> Performed:
    if len(reply.tool_calls) > _MOST_CALLS:
        said = f"The answer proposes {len(reply.tool_calls)} tool calls; at most {_MOST_CALLS} are taken."
        return Performed(AgentReport.model_validate({"outcome": "invalid", "violations": (said,), **common}))
    payloads, calls = [], []
    for position, call in enumerate(reply.tool_calls):
        arguments = minted(f"arguments_{position}", "arguments", bytes_of(call.arguments))
        payloads.append(arguments)
        agent = asked_agent(call.name) if program.consulting and call.name not in program.code.tools else None
        if agent in program.agents:
            task, problems = check_task(call.arguments)
            asked = minted(f"task_{position}", "arguments", bytes_of(task or ""))
            payloads += (asked,) if task else ()
            calls.append(
                ProposedCall(agent=agent, arguments=arguments.ref, problems=problems, task=asked.ref if task else None)
            )
            continue
        known = call.name in program.code.tools
        problems = check_arguments(program.tool(call.name), call.arguments)[1] if known else ()
        calls.append(ProposedCall(name=call.name if known else None, arguments=arguments.ref, problems=problems))
    report = AgentReport.model_validate({"outcome": "done", "calls": tuple(calls), **common})
    return Performed(report, tuple(payloads))


def _subtasks(subtasks: Any) -> tuple[tuple[PlannedTask, ...], list[Payload]]:
    """The subtasks of a plan, each text a payload; of an endless plan as many as show that it is too long."""
    planned, payloads = [], []
    for number, one in enumerate(subtasks[:_MOST_SUBTASKS]):
        data = one if isinstance(one, dict) else one.model_dump()
        task = minted(f"task_{number}", "arguments", bytes_of(str(data["task"])))
        payloads.append(task)
        worker = str(data["worker"])
        planned.append(PlannedTask(worker=worker if NAME.fullmatch(worker) else None, task=task.ref))
    return tuple(planned), payloads


def failed(failure: AgentFailed) -> AgentReport:
    """A failed attempt as a report; one that was cut short was paid for, and says what it used."""
    wait = failure.retry_after_seconds
    model, usage = "", Usage(measured=False)
    if isinstance(failure, AgentCutShort):
        model, usage = printable(failure.model), _measured(failure.usage)
    return AgentReport.model_validate(
        {
            "outcome": failure.kind if failure.kind in ("timeout", "refused", "invalid") else "failed",
            "reason": printable(failure.reason, 60),
            "retry_after_seconds": min(wait, MAX_RETRY_AFTER_SECONDS) if isinstance(wait, int) and wait >= 0 else None,
            "request_id": printable(failure.request_id),
            "model": model,
            "usage": usage,
        }
    )


def _measured(usage: Usage) -> Usage:
    """The usage if it can be one; nonsense counts as not measured, and costs what was reserved."""
    numbers: tuple[object, ...] = (usage.input_tokens, usage.output_tokens)
    whole = all(isinstance(one, int) and 0 <= one <= _MOST_TOKENS for one in numbers)
    return usage if whole else Usage(measured=False)
