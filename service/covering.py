"""What an approval must cover of a proposed call: its arguments, compared with the facts as they are.

The core reads no texts; so what a model wrote is compared here, and the core is told of each argument whether it says
the fact's own value, repeats the sealed text that stands at a place, or differs.
"""

from decimal import Decimal, InvalidOperation
from typing import Any

from ..agents.tools import check_arguments
from ..contracts.commands import AgentReport, GivenFact, ProposedCall
from ..contracts.events import AgentRequested, ToolRequested
from ..contracts.facts import OpenValue
from ..contracts.flow import AgentState, FactSpec
from ..contracts.payload import Payload
from ..fsm.approvals import shown_digest
from ..fsm.conversation import Conversation
from .live import Live
from .texts import Texts


def is_covered(conversation: Conversation, request: ToolRequested) -> bool:
    """Whether the facts are still those whose approval the intent used up: the second lock, when the tool begins."""
    if request.approval is None:
        return True
    return any(
        one.task == request.approval and one.shown == shown_digest(conversation.known, one.facts)
        for one in conversation.approvals.values()
    )


def approved_facts(conversation: Conversation, request: ToolRequested) -> tuple[str, ...] | None:
    """The facts that an approved tool is told besides its arguments: those that were shown, and no others."""
    found = [one.facts for one in conversation.approvals.values() if one.task == request.approval]
    return found[0] if found and request.approval is not None else None


async def with_given(
    live: Live, texts: Texts, request: AgentRequested, report: AgentReport, payloads: tuple[Payload, ...]
) -> AgentReport:
    """The report with, of each proposed call that needs an approval, its arguments that have names of facts."""
    state = live.program.states[request.state]
    if not isinstance(state, AgentState) or state.approval is None or not report.calls:
        return report
    written = {payload.name: payload.text for payload in payloads}
    calls = [await _compared(live, texts, call, written.get(call.arguments.name, "")) for call in report.calls]
    return report.changed(calls=tuple(calls))


async def _compared(live: Live, texts: Texts, call: ProposedCall, text: str) -> ProposedCall:
    program = live.program
    if call.name is None or call.problems or not program.tools[call.name].consequential:
        return call
    data, _ = check_arguments(program.tool(call.name), text)
    facts = {name: value for name, value in (data or {}).items() if name in program.facts}
    given = [await _given(live, texts, program.facts[name], value) for name, value in facts.items()]
    return call.changed(given=tuple(given))


async def _given(live: Live, texts: Texts, spec: FactSpec, value: Any) -> GivenFact:
    if value is None:
        return GivenFact(name=spec.name)
    fact = live.conversation.known.get(spec.name)
    if spec.sealed:
        if fact is None or fact.sealed is None or not isinstance(value, str):
            return GivenFact(name=spec.name, differs=True)
        same = value == await texts.text(live.id, fact.sealed.version, fact.sealed.name)
        return GivenFact(name=spec.name, sealed=fact.sealed) if same else GivenFact(name=spec.name, differs=True)
    said = _exactly(spec, value)
    own = fact.value if fact is not None and fact.sealed is None else None
    # What a model wrote is text and stays out of the log: only the fact's own value may stand there.
    same = said is not None and type(said) is type(own) and said == own
    return GivenFact(name=spec.name, value=own) if same else GivenFact(name=spec.name, differs=True)


def _exactly(spec: FactSpec, value: Any) -> OpenValue | None:
    """The value as the fact would have it, with nothing rounded; None where it can be none. Money that is no whole
    number of minor units is a decimal amount, as in a tool's result."""
    if spec.type == "money" and isinstance(value, str | float):
        try:
            cents = Decimal(str(value)) * 100
        except InvalidOperation:
            return None
        whole = cents.is_finite() and cents.adjusted() < 18 and cents == cents.to_integral_value()
        return int(cents) if whole else None
    return value if isinstance(value, bool | int | str) else None
