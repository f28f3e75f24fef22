"""Forks: going on from an event of a recorded conversation in a new one, with something changed.

The new stream takes the events before it as they stand, names whose they are, and goes on in the real runtime: answers
come from the record while the same is asked, and past that from the flow's agents where the fork is `live`. Nothing
that changes the world outside is ever run in a fork. The parent's log stays as it is.

Nobody acts in a fork by himself: its deadlines and its undecided effects wait for whoever asks for them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..agents.recorded import RecordedAgent
from ..agents.strict_json import read_json
from ..contracts.agents import Agent, AgentReply
from ..contracts.canonical import sha256_hex
from ..contracts.commands import AgentEnded, CommandBody, Decide, Fire, Give, Say, Start, ToolEnded, ToolReport
from ..contracts.errors import CallError, InterlockError
from ..contracts.events import AgentReturned, Event, ToolReturned
from ..contracts.facts import FactReading
from ..contracts.lineage import ForkRef
from ..contracts.payload import Payload, PayloadAt, bytes_of
from ..contracts.store import Store
from ..contracts.values import ConversationId
from ..fsm.asked import Asking
from ..fsm.conversation import Conversation
from ..fsm.decide import effects_of
from ..fsm.draft import CallAgent, Effect, RunTool, TendChild, Wait
from ..fsm.evolve import fold
from ..fsm.migrating import obstacles
from ..fsm.program import Program
from ..fsm.recordings import Answered, Recordings, Unfit, recorded_answers
from ..persistence.presence import OnlyProcess
from .clock import ManualClock, minted, random_id
from .codes import CODE
from .facts import readings_from
from .fork_answers import check_answer
from .fork_points import NOTHING, Change, check_change, check_point, taken
from .live import Live
from .loading import recorded, recorded_flow
from .migrating import body_of, moved
from .recorded import Tape, Told
from .reports import labelled, reported
from .runtime import Runtime
from .submission import Submission


@dataclass
class Forked:
    """What came of a fork. `served` are intents of the parent whose answers were given again, `live` those of the fork
    that were asked anew; `stopped` says why it did not go on to the end of the record."""

    stream: str
    parent: str
    version: int
    state: str = ""
    status: str = ""
    events: int = 0
    said_again: int = 0
    served: list[int] = field(default_factory=list)
    live: list[int] = field(default_factory=list)
    stopped: str = ""


SAID_AGAIN = ("c:", "t:", "w:")
"""Prefixes of the keys of what is given again; a move to another flow, or an erasure, is not."""


class _Stopped(Exception):
    """The fork goes no further by itself; the sentence says why."""


class ForkRuntime(Runtime):
    """Goes on in one fork. `tape` is its parent's record, from event `at` on."""

    def __init__(
        self, store: Store, programs: Sequence[Program], wiring: "Wiring", forked: Forked, *, change: Change
    ) -> None:
        self.tape = Tape.of(store, forked.parent)
        self.forked, self.change, self.is_live = forked, change, wiring.agent is not None
        # Time goes on from the event that it left.
        self._time = ManualClock(self.tape.entries[max(0, forked.version - 1)].envelope.at)
        super().__init__(
            store,
            programs,
            wiring.agent if wiring.agent is not None else RecordedAgent(),
            clock=self._time,
            presence=OnlyProcess(),
            codes=wiring.codes,
            sources=wiring.sources,
            pause=self._waited,
        )
        self._answers = self._recorded_answers(programs)
        answered = self.tape.entries[forked.version].event if change.answer is not None else None
        self._changed = answered.effect if isinstance(answered, AgentReturned | ToolReturned) else None

    async def _waited(self, seconds: float) -> None:
        self._time.advance(seconds)

    def _at(self, moment: datetime) -> None:
        """Time never goes back."""
        if moment > self._time.moment:
            self._time.advance((moment - self._time.moment).total_seconds())

    def _recorded_answers(self, programs: Sequence[Program]) -> Recordings:
        known = {one.ref.digest: one for one in programs}
        entries = self.tape.entries
        program = known.get(entries[0].envelope.flow) or programs[0]
        found = recorded_answers(
            self._asking(program, self.forked.parent, known),
            [(one.event, one.envelope.cause) for one in entries],
        )
        before = self.forked.version
        found.served = {at for at, one in found.answered.items() if one.returned is not None and one.returned < before}
        return found

    def _asking(self, program: Program, stream: str, known: Mapping[str, Program]) -> Asking:
        """Texts are told apart by what they say, where that is still there."""
        texts = self.store.payloads(stream)

        def alike(at: PayloadAt, commit: str) -> str:
            found = texts.get(at)
            return commit if found is None else sha256_hex(found.plaintext)

        return Asking(program, Conversation(id=stream), alike, others=known)

    # -- performing -------------------------------------------------------------------------------------

    async def _perform_all(self, live: Live, effects: list[Effect]) -> None:
        begun = next((one for one in effects if isinstance(one, TendChild)), None)
        if begun is not None:
            raise _Stopped(f"a child conversation begins at event {begun.effect}: a fork begins none")
        await super()._perform_all(live, effects)

    async def _performed(
        self, live: Live, effect: CallAgent | RunTool | Wait
    ) -> tuple[CommandBody, tuple[Payload, ...]]:
        if isinstance(effect, Wait):
            return await super()._performed(live, effect)
        if effect.effect == self._changed and self.change.answer is not None:
            self._changed = None
            return self._given(live, effect, self.change.answer)
        found = self._found(live, effect)
        if isinstance(found, Answered) and found.returned is not None:
            return self._served(found, effect)
        if not self.is_live:
            raise _Stopped(f"at event {effect.effect} {found}; --live asks for an answer")
        if isinstance(effect, RunTool) and effect.request.consequential:
            raise _Stopped(f"at event {effect.effect} {found}; it changes something outside, so a fork does not run it")
        self.forked.live.append(effect.effect)
        return await super()._performed(live, effect)

    def _found(self, live: Live, effect: CallAgent | RunTool) -> Answered | Unfit:
        """The recorded answer to what the effect asks."""
        entries = recorded(self.store.read(live.id))
        known = self._conversations.programs
        asking = self._asking(known.get(entries[0].envelope.flow) or live.program, live.id, known)
        for one in entries[: effect.effect]:
            asking.take(one.event, one.envelope.cause)
        return self._answers.answer(asking.question(effect.request), effect.effect)

    def _served(self, found: Answered, effect: CallAgent | RunTool) -> tuple[CommandBody, tuple[Payload, ...]]:
        told = self.tape.at[found.returned or 0]
        self._at(told.at)
        self.forked.served.append(found.version)
        event = found.answer
        if isinstance(event, AgentReturned):
            report = event.report
            return AgentEnded(effect=effect.effect, report=report, undercounted=event.undercounted), told.payloads
        if not isinstance(event, ToolReturned):
            raise _Stopped(f"event {found.returned} is no answer")
        return ToolEnded(effect=effect.effect, report=event.report), told.payloads

    def _given(self, live: Live, effect: CallAgent | RunTool, text: str) -> tuple[CommandBody, tuple[Payload, ...]]:
        """The answer that was given in place of the recorded one, checked as any other."""
        program = live.program
        if isinstance(effect, CallAgent):
            request, reply = effect.request, AgentReply(text=text)
            made = (
                labelled(program, request, reply)
                if request.purpose == "label"
                else reported(program, program.agents[request.agent], reply, as_tool=request.purpose == "tool")
            )
            return AgentEnded(effect=effect.effect, report=made.report), made.payloads
        result = minted("result", "result", bytes_of(text))
        readings, sealed_facts = readings_from(program, read_json(text).value, live.conversation.known)
        report = ToolReport(
            outcome="done", result=result.ref, result_token_bound=len(result.plaintext) + 16, facts=readings
        )
        return ToolEnded(effect=effect.effect, report=report), (result, *sealed_facts)

    # -- what comes from outside ------------------------------------------------------------------------

    async def begin_anew(self, program: Program) -> None:
        """Start on `program` with what the parent was started with."""
        told, stream = self.tape.at[0], self.forked.stream
        if not isinstance(told.body, Start):
            raise CallError("The stream does not begin with its start.", where=self.forked.parent, fix="Verify it.")
        start = told.body.changed(
            flow=program.ref,
            forks=(*told.body.forks, ForkRef(conversation=ConversationId(self.forked.parent), version=0)),
        )
        live = self._conversations.opened(stream, program)
        given = Submission(told.key, told.actor, lambda _: (start, told.payloads), always=True)
        try:
            await self._submitted(live, given)
        except _Stopped as stopped:
            self.forked.stopped = str(stopped)

    async def go_on(self, *, alone: bool) -> None:
        """Do what was in hand, say the change, then all that was said in the record after it, unless `alone`."""
        if self.forked.stopped:
            return
        try:
            live = await self._conversations.known(self.forked.stream)
            await self._perform_all(live, list(effects_of(live.conversation)))
            outside = [one for one in self.tape.outside if one.key.startswith(SAID_AGAIN)]
            steps = [one for one in outside if one.version and one.version >= self.forked.version]
            if self.change.message is not None:
                steps = [one for one in steps if one.version > self.forked.version]
                await self.say(self.forked.stream, self.change.message)
                self.forked.said_again += 1
            for told in steps if not alone else ():
                self._at(told.at)
                await self._step(told)
                self.forked.said_again += 1
        except _Stopped as stopped:
            self.forked.stopped = str(stopped)
        except InterlockError as error:
            self.forked.stopped = error.what

    async def _step(self, told: Told) -> None:
        """Give the fork what the recorded command said, to whatever the fork waits for now."""
        stream, key = self.forked.stream, told.key.partition(":")[2]
        live = await self._conversations.current(stream)
        if live.conversation.status == "ended":
            raise _Stopped(f"it has ended in {live.conversation.state!r}; event {told.version} is not said again")
        match told.body:
            case Say():
                await self.say(stream, self._text(told, "message"), key=key, actor=told.actor)
            case Give(name=name, facts=facts):
                await self.give(stream, name, self._facts(told, facts), key=key, actor=told.actor)
            case Decide(decision=decision):
                await self._decide(told, decision, key)
            case Fire():
                await self._fire(live, told)
            case _:
                raise _Stopped(f"what came at event {told.version} ({told.body.kind}) is not done again")

    async def _decide(self, told: Told, decision: str, key: str) -> None:
        task = (await self.outcome(self.forked.stream)).task
        if task is None or decision not in task.decisions:
            raise _Stopped(f"nobody waits for the decision {decision!r} of event {told.version}")
        body = told.body
        reason = self._text(told, body.reason.name) if isinstance(body, Decide) and body.reason else ""
        shown = task.shown if isinstance(body, Decide) and body.shown else None
        await self.decide_task(
            self.forked.stream, task.number, decision, actor=told.actor, reason=reason, shown=shown, key=key
        )

    async def _fire(self, live: Live, told: Told) -> None:
        due = [timer for timer, when in live.conversation.timers if when <= self._time.moment]
        if not due:
            raise _Stopped(f"no deadline has passed as at event {told.version}")
        fire = Submission(told.key, told.actor, lambda _: (Fire(timer=due[0]), ()), always=True)
        await self._submit(self.forked.stream, fire)

    def _text(self, told: Told, name: str) -> str:
        found = next((one for one in told.payloads if one.name == name), None)
        if found is None:
            raise _Stopped(f"the text {name!r} of event {told.version} was erased")
        return found.text

    def _facts(self, told: Told, facts: tuple[FactReading, ...]) -> dict[str, Any]:
        return {one.name: one.value if one.payload is None else self._text(told, one.payload.name) for one in facts}


@dataclass(frozen=True)
class Wiring:
    """What a fork runs on: `programs` are those of its parent's flows, `under` the flow that it goes on with where that
    is another one; `agent` answers what the record does not, where there is one."""

    programs: Sequence[Program]
    under: Program | None = None
    agent: Agent | Mapping[str, Agent] | None = None
    codes: Mapping[str, str] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)


async def forked(
    store: Store, parent: str, at: int, wiring: Wiring, *, change: Change = NOTHING, alone: bool = False
) -> Forked:
    """Fork `parent` before event `at`, with the change, and go on as it did; `alone` says nothing of it again.

    Raises `CallError` where no fork can begin, the change has no place there, or the conversation cannot go on under
    the other flow: then nothing was recorded.
    """
    entries = recorded(store.read(parent))
    before = check_point(parent, entries, at)
    check_change(parent, entries, at, change)
    if change.answer is not None:
        check_answer(parent, entries, at, wiring.programs, change.answer)
    moves = _check_flow(store, before, (one.event for one in entries[:at]), wiring) if at else False
    made = Forked(random_id(), parent, at)
    programs = [*((wiring.under,) if wiring.under else ()), *wiring.programs]
    if at:
        taken(store, parent, at, made.stream)
    if moves and wiring.under is not None:
        ref = wiring.under.ref
        moment = entries[at - 1].envelope.at
        source, code = wiring.sources.get(ref.digest, ""), wiring.codes.get(ref.digest, CODE)
        moved(store, [made.stream], wiring.under, wiring.renamed, at=moment, source=source, code=code)
    runtime = ForkRuntime(store, programs, wiring, made, change=change)
    async with runtime:
        if not at:
            await runtime.begin_anew(programs[0])
        await runtime.go_on(alone=alone)
        await runtime.close(0)
    after = fold(made.stream, (one.event for one in recorded(store.read(made.stream))))
    made.state, made.status, made.events = after.state, after.status, after.version
    return made


def _check_flow(store: Store, before: Conversation, events: Iterable[Event], wiring: Wiring) -> bool:
    """Whether the fork moves to another flow. Raises `CallError` where it cannot."""
    under, ref = wiring.under, before.flow
    if under is None or ref is None or under.ref == ref:
        return False
    row = store.flow(ref.digest)
    if row is None:
        raise CallError("The log does not keep the flow it ran on.", where=before.id, fix="Fork at 0, from the start.")
    body = body_of(before, under, recorded_flow(row), wiring.renamed, events)
    if found := list(obstacles(under, before, body)):
        raise CallError(
            f"It cannot go on under {under.ref.name!r} v{under.ref.version} from there: {'; '.join(found)}.",
            where=f"{before.id} before event {before.version}",
            fix="Fork where it waits, or at 0: then all that was said is said again to the other flow.",
        )
    return True
