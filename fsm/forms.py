"""Forms: what a `collect` state asks, and how people answer: skipping, correcting, repeating, going back.

Functions return the state's outcome when it has one, or None while an answer is awaited.
"""

from collections.abc import Mapping

from ..contracts.commands import Reading
from ..contracts.events import FactForgotten, FactSkipped, QuestionAsked, TimerSet
from ..contracts.facts import KnownFact
from ..contracts.flow import CollectState
from . import queueing
from .draft import Draft
from .route import choose


def open_form(draft: Draft, state: CollectState) -> str | None:
    """Ask for the first fact that is missing; a form that has nothing to ask is complete."""
    wanted = _next_missing(draft, state)
    if wanted is None and not _must_confirm(draft, state):
        return "complete"
    if state.say:
        draft.reply(f"state.{state.name}")
    return _ask(draft, state, wanted, attempt=1, how="ask")


def resume_form(draft: Draft, state: CollectState) -> str | None:
    """After a digression: ask again what was asked when it began; a form that was filled meanwhile is complete."""
    question = draft.conversation.visit.question
    wanted = _next_missing(draft, state)
    if wanted is None and not _must_confirm(draft, state):
        return "complete"
    if question is None or question.fact != wanted:
        return _ask(draft, state, wanted, attempt=1, how="ask")
    return _ask(draft, state, wanted, attempt=question.attempt, how="repeat")


def answered(draft: Draft, state: CollectState, reading: Reading, version: int) -> str | None:
    """What one message means to the form. A label that may interrupt it comes first where nothing was answered."""
    question = draft.conversation.visit.question
    asked = question.fact if question else None
    if reading.control is None and not _answers_plainly(draft, reading):
        label = _interruption(draft, reading, version)
        if label is not None:
            return label
    before = draft.conversation.known
    draft.learn(reading.facts, "message", version)
    agreed = reading.control == "yes" and _is_agreed(draft, state, reading)
    if reading.facts and not agreed:
        return _go_on(draft, state, before)
    if state.enough and asked is not None and _withheld(asked, reading):
        return _pass_over(draft, state, asked, before)
    match reading.control:
        case "cancel":
            return "gave_up"
        case "decline" if asked in state.optional and asked is not None:
            draft.record(FactSkipped(name=asked))
            return _go_on(draft, state, before)
        case "decline":
            return "declined"
        case "back":
            return _back(draft, state, asked)
        case "repeat":
            return _again(draft, state, asked, how="repeat")
        case "yes" if agreed:
            return "complete"
        case "no" if asked is None:
            draft.reply("phrase.what_to_change")
            return _again(draft, state, asked)
        case _:
            return _again(draft, state, asked)


def _go_on(draft: Draft, state: CollectState, before: Mapping[str, KnownFact]) -> str | None:
    """On to what is missing now. A message that brought something new or changed costs no attempt.

    Only such a message may ask the same question for nothing, so nobody goes round without getting on.
    A correction is thanked for where a fact was being asked; a summary shows it by itself.
    """
    question, wanted = draft.conversation.visit.question, _next_missing(draft, state)
    asked = question.fact if question else None
    news = [name for name, fact in draft.conversation.known.items() if _is_news(fact, before.get(name))]
    if asked is not None and any(name in before and name != asked for name in news):
        draft.reply("phrase.corrected")
    if wanted is None and not _must_confirm(draft, state):
        return "complete"
    if question is None or wanted != asked:
        return _ask(draft, state, wanted, attempt=1, how="ask")
    if not news:
        return _again(draft, state, wanted)
    return _ask(draft, state, wanted, attempt=question.attempt, how="repeat")


def _is_news(fact: KnownFact, before: KnownFact | None) -> bool:
    """Whether a fact was not known before, or is another now; sealed ones are told apart by where they stand."""
    return before is None or (fact.value, fact.sealed) != (before.value, before.sealed)


def _is_agreed(draft: Draft, state: CollectState, reading: Reading) -> bool:
    """Whether a yes is to the summary as it stands: nothing of the form came with it, and nothing is missing."""
    question = draft.conversation.visit.question
    told = any(fact.name in state.facts for fact in reading.facts)
    return question is not None and question.fact is None and not told and _next_missing(draft, state) is None


def _answers_plainly(draft: Draft, reading: Reading) -> bool:
    """Whether the open question was answered by something that is recognisably an answer.

    Any text can be taken for a name, so a free-text answer does not keep a clear digression out.
    """
    return any(fact.answers and draft.program.facts[fact.name].type != "text" for fact in reading.facts)


def _interruption(draft: Draft, reading: Reading, version: int) -> str | None:
    """The label that the message asks for instead of answering, if a row from here serves it.

    A `push` row comes back to the form; any other leaves it. Facts that were volunteered are kept.
    """
    flow = draft.program.flow
    if reading.digression is None or flow.digressions is None:
        return None
    decision = choose(draft.program.routers[flow.digressions], reading.digression)
    if decision.outcome in ("unsure", "blocked") or not draft.program.rows_for(
        draft.conversation.state, decision.outcome
    ):
        return None
    draft.learn(tuple(fact for fact in reading.facts if not fact.answers), "message", version)
    queueing.decided(draft, draft.conversation.state, version, reading.digression, decision)
    return decision.outcome


def _ask(draft: Draft, state: CollectState, fact: str | None, *, attempt: int, how: str) -> str | None:
    """Ask, and set the form's deadline anew; there is no outcome yet."""
    kind = "confirm" if fact is None else how
    draft.record(QuestionAsked.model_validate({"state": state.name, "fact": fact, "attempt": attempt, "how": kind}))
    draft.reply(f"confirm.{state.name}" if fact is None else f"{'again' if kind == 'again' else 'ask'}.{fact}")
    draft.record(TimerSet(state=state.name, due=draft.later(state.deadline_seconds)))
    return None


def _again(draft: Draft, state: CollectState, fact: str | None, *, how: str = "again") -> str | None:
    """Once more, because nothing could be taken or because it was asked for; or give up at the limit of attempts."""
    question = draft.conversation.visit.question
    attempt = (question.attempt if question else 0) + 1
    if attempt > state.attempts:
        return "gave_up"
    return _ask(draft, state, fact, attempt=attempt, how=how)


def _back(draft: Draft, state: CollectState, asked: str | None) -> str | None:
    """Forget the fact before the one being asked, and ask for it again."""
    order = state.facts
    before = order[: order.index(asked)] if asked in order else order
    for name in reversed(before):
        if draft.conversation.facts.known(name):
            draft.record(FactForgotten(name=name))
            return _ask(draft, state, name, attempt=1, how="ask")
    return _again(draft, state, asked, how="repeat")


def _withheld(asked: str, reading: Reading) -> bool:
    """Whether the person does not give the fact, or does not know it."""
    return reading.control == "decline" or any(
        one.name == asked and one.reason == "unknown" for one in reading.unreadable
    )


def _pass_over(draft: Draft, state: CollectState, asked: str, before: Mapping[str, KnownFact]) -> str | None:
    """On without a fact of which others suffice; declined, where too few are left."""
    left = [name for name in state.facts if name != asked and name not in draft.conversation.visit.skipped]
    if len(left) < state.enough:
        return "declined"
    draft.record(FactSkipped(name=asked))
    return _go_on(draft, state, before)


def _next_missing(draft: Draft, state: CollectState) -> str | None:
    facts, skipped = draft.conversation.facts, draft.conversation.visit.skipped
    if state.enough and sum(facts.known(name) for name in state.facts) >= state.enough:
        return None
    return next((name for name in state.facts if not facts.known(name) and name not in skipped), None)


def _must_confirm(draft: Draft, state: CollectState) -> bool:
    """The flow wants a yes to the whole form, or to a fact of it that was given in this conversation."""
    if state.confirm:
        return True
    facts, known = draft.program.facts, draft.conversation.known
    return any(facts[name].confirm and name in known and known[name].source == "message" for name in state.facts)
