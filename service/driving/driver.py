"""A conversation on the real runtime that is driven step by step: what is recorded is what the flow does with it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Self

from ...contracts.commands import CUSTOMER, Actor, CommandBody, Reading, Say
from ...contracts.envelope import Entry
from ...contracts.errors import InterlockError
from ...contracts.events import Event
from ...contracts.facts import FactReading, OpenValue
from ...contracts.flow import LATE_RESULT, NEXT_ISSUE, OPERATOR_INPUTS, CollectState
from ...contracts.payload import Payload, bytes_of
from ...fsm.program import Program
from ...persistence.memory_store import MemoryStore
from ...persistence.presence import OnlyProcess
from ..clock import ManualClock, minted
from ..live import Live
from ..outcome import TurnOutcome
from ..runtime import Runtime
from ..submission import submitted
from .samples import value_of
from .way import STAYS, Script, Step
from .world import NotDriven, World, evidence_for

PATIENCE_SECONDS = 30.0
"""Real time within which a step must have happened; nothing in it waits for anybody."""
FAR_TOO_LONG = 100_000_000
"""A bound of tokens that no agent's input holds."""
MOST_ANSWERS = 40


class Driven(Runtime):
    """The runtime; of its shell, what a driver needs besides."""

    async def held(self, conversation: str) -> Live:
        """The conversation as the runtime holds it in memory."""
        return await self._conversations.known(conversation)

    async def hear(
        self, conversation: str, body: Callable[[Live], tuple[CommandBody, tuple[Payload, ...]]]
    ) -> TurnOutcome:
        """A message that is not read by rules: what is read in it is given."""
        return await self._submit(conversation, submitted(None, CUSTOMER, body))


class Driver:
    """Use as `async with Driver(program) as driver`, then `await driver.follow(steps)`."""

    def __init__(self, program: Program, *, arranging: bool = False) -> None:
        self.program, self.script, self.clock = program, Script(), ManualClock()
        self.world = World(program, self.script, self.clock, arranging=arranging)
        self._runtime = Driven(
            MemoryStore(),
            self.world.program,
            self.world,
            clock=self.clock,
            presence=OnlyProcess(),
            on_event=self._saw,
            pause=self._pause,
        )
        self._runtime.performer = self.world.performer(self._runtime)
        self._turn: asyncio.Task[Any] | None = None
        self._id = ""
        self._said = 0

    async def __aenter__(self) -> Self:
        await self._runtime.__aenter__()
        opening = await self._runtime.start()
        self._id = opening.conversation
        self.world.begin(await self._runtime.held(self._id))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._turn is not None:
            self._turn.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._turn
        await self._runtime.close(grace_seconds=0)

    # -- what happened ----------------------------------------------------------------------------

    @property
    def live(self) -> Live:
        return self.world.live

    @property
    def state(self) -> str:
        return self.live.conversation.state

    @property
    def kind(self) -> str:
        return self.program.states[self.state].kind

    @property
    def events(self) -> Sequence[Event]:
        """Everything recorded, in order."""
        return self.world.events

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps with the facts that were found for them, and only the verdicts that had to be replaced."""
        found = self.world.replaced
        return tuple(replace(one, verdicts=found.get(place, {})) for place, one in enumerate(self.script.steps))

    @property
    def instead(self) -> str:
        """What happened instead of the step in hand; empty where all went as the script says."""
        other = self.world.otherwise
        if other is not None:
            step = self.script.steps[self.script.at]
            return f"step {self.script.at + 1}, {step}: it went from {other.source!r} on {other.on} to {other.target!r}"
        if not self.script.over:
            step = self.script.steps[self.script.at]
            return f"step {self.script.at + 1}, {step}: the conversation stands in {self.state!r}"
        return ""

    @property
    def doubtful(self) -> bool:
        """Whether what happened instead may be the driver's doing: it cannot tell members of a broadcast and child
        conversations what to do in every way that they might, and may need more calls than the fewest."""
        other = self.world.otherwise
        kind = self.program.states[other.source].kind if other is not None else self.kind
        return kind in ("broadcast", "subflow") or self.limited

    @property
    def limited(self) -> bool:
        """Whether a limit came in the way."""
        return self.world.otherwise is not None and self.world.otherwise.on == "limit"

    # -- driving ----------------------------------------------------------------------------------

    async def follow(self, steps: Sequence[Step]) -> bool:
        """Make the steps happen, one after another; False where something else happened than one of them says.

        Raises `NotDriven` where a step asks for what cannot be arranged.
        """
        self.script.add(steps)
        self.world.goes_on()
        while not self.script.over and self.world.otherwise is None:
            before = self.script.at
            await self._one()
            if self.world.undriven:
                raise NotDriven(self.world.undriven, where=f"step {self.script.at + 1}", fix="Drive another way.")
            if self.script.at == before:
                break
        return self.script.over and self.world.otherwise is None

    def forget(self) -> None:
        """Leave what the script had in mind and did not come about; the next steps go on from where it stands now."""
        del self.script.steps[self.script.at :]
        self.script.looked = min(self.script.looked, self.script.at)
        self.world.otherwise, self.world.undriven = None, ""

    async def _one(self) -> None:
        """Let the step in hand happen, and what follows from it without anybody outside."""
        self.world.stopped.clear()
        step = self.script.steps[self.script.at]
        if self._turn is not None and self._turn.done():
            self._turn = None
        if self._turn is None:
            if self.live.conversation.status != "open" or self.state != step.state:
                return
            self._turn = asyncio.create_task(self._act(step))
        watching = asyncio.create_task(self.world.stopped.wait())
        try:
            done, _ = await asyncio.wait(
                {self._turn, watching}, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            watching.cancel()
        if not done:
            self.world.cannot(f"Nothing came of {step} within {PATIENCE_SECONDS:g} s.")
        elif self._turn in done:
            turn, self._turn = self._turn, None
            try:
                turn.result()
            except InterlockError as error:
                self.world.cannot(f"{step}: {error}")

    async def _act(self, step: Step) -> None:
        """Do from outside what the step names."""
        state = self.program.states[step.state]
        self.world.decides()
        if step.on in OPERATOR_INPUTS:
            operator = Actor(kind="human", id="operator-1", roles=("operator",))
            await self._runtime.give(self._id, step.on, actor=operator)
        elif step.on == "expired":
            await self._let_it_expire()
        elif step.on in (NEXT_ISSUE, LATE_RESULT) or step.limit == "conversation_messages":
            self.world.cannot(f"{step.limit or step.on} needs a longer history than this way has.")
        elif state.kind == "wait":
            if step.on in ("message", STAYS, "limit"):
                await self._say(Reading())
            else:
                await self._runtime.give(self._id, step.on)
            self._stayed(step)
        elif state.kind == "subflow":
            await self._talk_to_the_child(step)
        elif isinstance(state, CollectState):
            await self._fill_in(state, step)
        elif state.kind == "human":
            await self._decide(step)
        else:
            self.world.cannot(f"Nobody outside can make {step} happen in a {state.kind} state.")

    def _stayed(self, step: Step) -> None:
        """An input that was taken without a row is a step that is over."""
        if step.on == STAYS and not self.script.over and self.script.steps[self.script.at] is step:
            self.script.at += 1

    async def _talk_to_the_child(self, step: Step) -> None:
        """Say something until the child conversation has ended, however it does."""
        for _ in range(1 if step.on == STAYS else MOST_ANSWERS):
            if self.state == step.state and self.world.otherwise is None:
                await self._say(Reading())
        self._stayed(step)

    async def _let_it_expire(self) -> None:
        due = self.live.conversation.visit.due
        if due is None:
            self.world.cannot(f"Nothing expires in {self.state!r}.")
            return
        self.clock.moment = max(self.clock.moment, due)
        await self._runtime.fire_due()

    async def _decide(self, step: Step) -> None:
        """People with the right role decide; as many of them as must approve."""
        task = (await self._runtime.outcome(self._id)).task
        if task is None:
            self.world.cannot(f"No task is open in {self.state!r}.")
            return
        several = task.approvals if step.on == task.approves else 1
        for number in range(several):
            person = Actor(kind="human", id=f"person-{number + 1}", roles=(task.role,))
            shown = task.shown if task.approves is not None else None
            await self._runtime.decide_task(self._id, task.number, step.on, actor=person, shown=shown)

    async def _fill_in(self, form: CollectState, step: Step) -> None:
        """What the customer says to a form."""
        match step.on:
            case "complete":
                await self._complete(form, self.world.answers_to(form, step).facts)
            case "gave_up":
                await self._say(Reading(control="cancel"))
            case "declined":
                for _ in range(len(form.facts) + 1):
                    if self.state == form.name and self.world.otherwise is None:
                        await self._say(Reading(control="decline"))
            case "" | "limit":
                await self._say(Reading())
                self._stayed(step)
            case label:
                await self._say(Reading(digression=evidence_for(label)))

    async def _complete(self, form: CollectState, facts: Mapping[str, OpenValue]) -> None:
        """Answer what is asked until nothing is."""
        names = form.facts
        for number in range(MOST_ANSWERS):
            conversation, question = self.live.conversation, self.live.conversation.visit.question
            if self.state != form.name or conversation.status != "open" or self.world.otherwise is not None:
                return
            if number and (question is None or question.fact is None):
                await self._say(Reading(control="yes"))
                continue
            wanted = names if not number else (question.fact,) if question and question.fact else names
            told = [(one, facts[one] if one in facts else value_of(self.program.facts[one])) for one in wanted]
            readings, payloads = self._readings(told)
            await self._say(Reading(facts=readings), payloads)

    def _readings(self, told: Sequence[tuple[str, OpenValue]]) -> tuple[tuple[FactReading, ...], tuple[Payload, ...]]:
        readings, payloads = [], []
        for name, value in told:
            if self.program.facts[name].sealed:
                payloads.append(minted(f"fact_{name}", "fact", bytes_of(str(value))))
                readings.append(FactReading(name=name, payload=payloads[-1].ref, answers=True))
            else:
                readings.append(FactReading(name=name, value=value, answers=True))
        return tuple(readings), tuple(payloads)

    async def _say(self, reading: Reading, payloads: tuple[Payload, ...] = ()) -> None:
        """A message, with what is read in it; one that is far too long where an agent is to be over its budget."""
        self._said += 1
        text = bytes_of(f"Message {self._said}.")
        message = minted("message", "message", text)
        ahead = self.script.until_input(self.world.kinds)
        long = any(one.on == "over_budget" for one in ahead)

        def body(_: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            bound = FAR_TOO_LONG if long else len(text)
            return Say(message=message.ref, token_bound=bound, reading=reading), (message, *payloads)

        await self._runtime.hear(self._id, body)

    async def _pause(self, seconds: float) -> None:
        """Waits between attempts pass at once."""
        self.clock.advance(seconds)

    def _saw(self, conversation: str, entry: Entry) -> None:
        if not self._id or conversation == self._id:
            self.world.saw(entry.event)
