"""Reading a message before it is submitted: what rules find in it, with free text turned into payloads."""

from ..contracts.commands import Reading
from ..contracts.facts import FactReading
from ..contracts.payload import Payload, bytes_of
from ..contracts.routing import RoutingEvidence
from ..fsm.program import Program
from ..fsm.reading import read_message
from ..fsm.route import evidence
from .clock import minted
from .live import Live


def message_read(live: Live, text: str, length: int) -> tuple[Reading, tuple[Payload, ...]]:
    """The reading of `text` in the conversation as it stands. A message over the size limit is not read."""
    program, conversation = live.program, live.conversation
    if length > program.flow.limits.message_bytes or conversation.status != "open":
        return Reading(), ()
    question = conversation.visit.question
    if question is None and not program.flow.facts:
        return Reading(), ()
    found = read_message(
        program.flow,
        program.code,
        text,
        asking=question.fact if question else None,
        confirming=question is not None and question.fact is None,
        known=conversation.facts,
    )
    facts: list[FactReading] = []
    payloads: list[Payload] = []
    for fact in found.facts:
        if fact.text is None:
            facts.append(FactReading(name=fact.name, value=fact.value, answers=fact.answers))
            continue
        payload = minted(f"fact_{fact.name}", "fact", bytes_of(fact.text))
        payloads.append(payload)
        facts.append(FactReading(name=fact.name, payload=payload.ref, answers=fact.answers))
    digression = _digression(program, text) if question is not None else None
    return Reading(
        control=found.control, facts=tuple(facts), unreadable=found.unreadable, digression=digression
    ), tuple(payloads)


def _digression(program: Program, text: str) -> RoutingEvidence | None:
    name = program.flow.digressions
    if name is None:
        return None
    spec = program.routers[name]
    known = program.code.classifiers
    return evidence(
        spec,
        text,
        classifier=known.get(spec.classifier or ""),
        screener=known.get(spec.screen_classifier or ""),
    )
