"""What surrounds the runtime while it is driven: agents, routers, tools, people and guards that follow the script."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from pydantic import BaseModel, ConfigDict

from ...agents.strict_json import MAX_BYTES, written
from ...contracts.agents import AgentReply, AgentRequest, ToolCall
from ...contracts.commands import AgentReport, Condition, ToolReport
from ...contracts.errors import AgentFailed, SetupError
from ...contracts.events import AgentRequested, Event, TransitionTaken
from ...contracts.facts import Facts, OpenValue
from ...contracts.flow import AgentSpec, CallState, CollectState, FactSpec
from ...contracts.guard import Guard
from ...contracts.limits import Usage
from ...contracts.routing import RoutingEvidence, ScreenVerdict
from ...contracts.tools import Tool
from ...fsm.draft import Route, RunTool
from ...fsm.guards import GuardFunction
from ...fsm.keeping import POLICY
from ...fsm.program import Program, with_children
from ...fsm.prove.choices import atoms_of
from ..budgets import Budgets, Ledger
from ..clock import ManualClock
from ..live import Live
from ..loop import TurnLoop
from ..perform import Performer
from ..protection import P, Protection, Resilience
from ..reports import Performed
from ..texts import Texts
from .samples import facts_that_fit, result_of, verdict
from .way import Script, Step


class NotDriven(SetupError):
    """A step asks for something that cannot be arranged from outside."""

    code = "not_driven"


class Anything(BaseModel):
    """Arguments of a tool whose work the script does: whatever they are, they fit."""

    model_config = ConfigDict(extra="ignore")


class ScriptedFailure(Exception):
    """What a scripted tool or guard raises where the step says that it fails."""


class World:
    """Keeps the script, and answers for everybody. With `arranging` set, it looks for facts with which guards say by
    themselves what a step wants, and notes which verdicts had to be replaced all the same."""

    name = "script"

    def __init__(self, program: Program, script: Script, clock: ManualClock, *, arranging: bool) -> None:
        self.script, self.clock, self.arranging = script, clock, arranging
        self.kinds = {one.name: one.kind for one in program.flow.states}
        self.atoms = {str(atom): atom for row in program.flow.transitions for atom in atoms_of(row.guard)}
        self.functions = program.functions
        self.program = replace(
            program,
            functions={name: self._watched(name, one) for name, one in program.functions.items()},
            code=replace(program.code, tools={name: self._tool(one) for name, one in program.code.tools.items()}),
        )
        self._live: Live | None = None
        self.stopped = asyncio.Event()
        """Set where the script says nothing more, or something else happened than it says."""
        self.otherwise: TransitionTaken | None = None
        """What happened instead of the step in hand."""
        self.undriven = ""
        """Why a step cannot be arranged at all."""
        self.replaced: dict[int, dict[str, bool | None]] = {}
        """By the place of its step: guards that said something else than they had to."""
        self.trail: list[TransitionTaken] = []
        self.events: list[Event] = []
        self._more = asyncio.Event()
        self._deciding = 0
        self._answers = 0
        self._tools_asked = 0

    def begin(self, live: Live) -> None:
        """The conversation has begun."""
        self._live = live

    @property
    def live(self) -> Live:
        if self._live is None:
            raise NotDriven("No conversation has begun.", fix="Drive it inside `async with Driver(...)`.")
        return self._live

    def performer(self, runtime: TurnLoop) -> "Surrounded":
        """A performer for the runtime, in which this world answers."""
        ledger = Ledger(runtime.store, Budgets(), self.clock)
        return Surrounded(self, runtime.texts, Unprotected(Resilience(), self.clock), ledger)

    # -- where the script is ----------------------------------------------------------------------

    def goes_on(self) -> None:
        """More steps were added."""
        self.stopped.clear()
        self._more.set()
        self._more = asyncio.Event()

    def saw(self, event: Event) -> None:
        """An event was recorded."""
        self.events.append(event)
        if not isinstance(event, TransitionTaken):
            return
        self.trail.append(event)
        self._answers = self._tools_asked = 0
        if self.script.over or self.otherwise is not None:
            self.stopped.set()
            return
        step = self.script.steps[self.script.at]
        same = (event.source, event.target) == (step.state, step.goes_to)
        if same and event.on in (step.on, POLICY):  # a row that a policy holds back is taken by another
            self.script.at += 1
        else:
            self.otherwise = event
            self.stopped.set()

    def cannot(self, why: str) -> None:
        self.undriven = self.undriven or why
        self.stopped.set()

    async def _step_in(self, state: str) -> Step:
        """The step of this state, once the script has come to it; where it never does, whoever asks waits."""
        while True:
            step = self.script.now(state)
            if step is not None and self.otherwise is None and not self.undriven:
                self._deciding = self.script.at
                return step
            more = self._more
            self.stopped.set()
            await more.wait()

    # -- guards -----------------------------------------------------------------------------------

    def _watched(self, name: str, real: GuardFunction) -> Callable[..., bool]:
        def asked(facts: Facts, *arguments: Any) -> bool:
            says = str(Guard(name=name, arguments=arguments))
            for place in (self._deciding, self._deciding + 1):
                steps = self.script.steps
                if place >= len(steps) or says not in steps[place].verdicts:
                    continue
                wanted = steps[place].verdicts[says]
                if self.arranging and verdict({name: real}, Guard(name=name, arguments=arguments), facts) is not wanted:
                    self.replaced.setdefault(place, {})[says] = wanted
                if wanted is None:
                    raise ScriptedFailure
                return wanted
            return real(facts, *arguments)

        return asked

    def facts_for(self, step: Step, specs: tuple[FactSpec, ...], takes: Callable[[str, OpenValue], bool]) -> Step:
        """The step with facts that make guards say what it wants, as far as such are found."""
        if not self.arranging or not specs:
            return step
        found = facts_that_fit(step.verdicts, self.atoms, self.functions, specs, self.live.conversation.facts, takes)
        self.script.steps[self._deciding] = made = replace(step, facts={**step.facts, **found})
        return made

    # -- agents -----------------------------------------------------------------------------------

    async def run(self, request: AgentRequest) -> AgentReply:
        """An agent's answer, as the step of the present state has it."""
        state = self.live.conversation.state
        asked = self.live.conversation.unfinished.get(int(request.effect.rpartition(":")[2]))
        if isinstance(asked, AgentRequested) and (asked.background or asked.state != state):
            raise AgentFailed("Scripted: nobody waits for it.", kind="failed", reason="scripted_failed")
        if not request.effect.startswith(f"{self.live.id}:"):  # a child conversation's
            return AgentReply(text=written(self._default(request)), usage=_USED)
        step = await self._step_in(state)
        self._answers += 1
        if self._tools_asked < len(step.tools):
            self._tools_asked += 1
            tool = step.tools[self._tools_asked - 1]
            return AgentReply(tool_calls=(ToolCall(f"call_{self._tools_asked}", tool, "{}"),), usage=_USED)
        if not step.on:
            self.script.at += 1
            step = await self._step_in(state)
        self._let_time_pass(step)
        return self._answer(request, step, _agent_outcome(self.kinds[state], step.on, self._answers))

    def _let_time_pass(self, step: Step) -> None:
        """Where the turn's time is to be up, in this state or right after it."""
        following = self.script.steps[self._deciding + 1 : self._deciding + 2]
        if any(one.limit == "turn_seconds" for one in (step, *following)):
            self.clock.advance(self.program.flow.limits.turn_seconds + 1)

    def _answer(self, request: AgentRequest, step: Step, outcome: str) -> AgentReply:
        contract = self._contract_of(request.agent)
        match outcome:
            case "failed" | "timeout":
                raise AgentFailed(f"Scripted: {outcome}.", kind=outcome, reason=f"scripted_{outcome}")
            case "invalid":
                return AgentReply(text="no JSON" if contract else "x" * (MAX_BYTES + 1), usage=_USED)
            case "refused" if contract is None:
                return AgentReply(refused=True, usage=_USED)
            case "done" | "unsure" | "refused":
                return self._result(contract, step, outcome)
        self.cannot(f"An agent cannot be made to end with {outcome!r}.")
        raise AgentFailed("Scripted: no such outcome.", kind="failed", reason="not_driven")

    def _result(self, contract: type[BaseModel] | None, step: Step, outcome: str) -> AgentReply:
        if contract is None:
            if outcome == "unsure":
                self.cannot("An agent without a contract cannot say that it is unsure.")
            return AgentReply(text="Done.", usage=_USED)
        workers = self._workers(step)
        fields = contract.model_fields

        def takes(name: str, value: OpenValue) -> bool:
            return name in fields and result_of(contract, outcome, {name: value}, workers) is not None

        step = self.facts_for(step, tuple(one for one in self.program.flow.facts if one.name in fields), takes)
        found = result_of(contract, outcome, step.facts, workers)
        if found is None:
            self.cannot(f"No result was found that fits the contract {contract.__name__!r} with {outcome!r}.")
            found = {}
        return AgentReply(text=written(found), usage=_USED)

    def _default(self, request: AgentRequest) -> Any:
        """A result that fits the contract of another program's agent, whatever it is."""
        programs = with_children((self.program,))
        known = (one.code.contracts.get(request.contract_name) for one in programs)
        contract = next((one for one in known if one is not None), None)
        return result_of(contract, "done", {}, ()) if contract is not None else "Done."

    def _contract_of(self, agent: str) -> type[BaseModel] | None:
        name = self.program.agents[agent].contract
        return self.program.code.contracts[name] if name else None

    def _workers(self, step: Step) -> tuple[str, ...]:
        """Whom a plan names: nobody, where the broadcast after it is to find an empty plan."""
        for one in self.script.steps[self._deciding + 1 :]:
            state = self.program.states[one.state]
            if state.kind == "broadcast" and state.plan == step.state:
                return () if one.on == "empty" else state.workers
        return next((one.workers for one in self.program.flow.states if one.kind == "broadcast" and one.plan), ())

    # -- tools ------------------------------------------------------------------------------------

    def _tool(self, real: Tool) -> Tool:
        async def scripted(**_: Any) -> dict[str, Any]:
            state = self.program.states[self.live.conversation.state]
            step = await self._step_in(state.name)
            if not isinstance(state, CallState):
                return {"scripted": True}
            self._let_time_pass(step)
            if step.on == "failed" or (step.on == "limit" and state.attempts > 1):
                raise ScriptedFailure
            step = self.facts_for(step, self.program.flow.facts, lambda _name, _value: True)
            return {"scripted": True, **step.facts}

        return replace(real, arguments=Anything, function=scripted, takes_context=False)

    # -- forms ------------------------------------------------------------------------------------

    def answers_to(self, form: CollectState, step: Step) -> Step:
        """The step with the facts that are to be told."""
        specs = tuple(one for one in self.program.flow.facts if one.name in form.facts)
        self._deciding = self.script.at
        return self.facts_for(step, specs, lambda _name, _value: True)

    def decides(self) -> Step:
        """The step in hand, whose guards are asked next."""
        self._deciding = self.script.at
        return self.script.steps[self.script.at]

    # -- routers ----------------------------------------------------------------------------------

    def routed(self, state: str) -> RoutingEvidence:
        """Evidence that leads to the step's label."""
        place = self.script.ahead(state)
        if place is None:
            return RoutingEvidence()
        self._deciding = place
        return evidence_for(self.script.steps[place].on)


class Surrounded(Performer):
    """A performer whose routers and slow tools follow the script; all else of it is the real one's."""

    def __init__(self, world: World, texts: Texts, protection: Protection, ledger: Ledger) -> None:
        super().__init__(world, texts, protection, ledger)
        self.world = world

    async def route(self, live: Live, effect: Route) -> RoutingEvidence:
        return self.world.routed(effect.state)

    async def run_tool(self, live: Live, effect: RunTool) -> Performed:
        step = self.world.script.now(effect.request.state)
        if step is not None and step.on == "timeout" and effect.request.caller == "state":
            return Performed(ToolReport(outcome="timeout", reason="timeout"))
        return await super().run_tool(live, effect)


class Unprotected(Protection):
    """Every attempt is made at once: what earlier ones came to holds up none."""

    async def attempt(
        self,
        flow: str,
        spec: AgentSpec,
        request: AgentRequested,
        make: Callable[[int], Awaitable[P]],
        not_made: Callable[[AgentReport], P],
    ) -> tuple[P, tuple[Condition, ...]]:
        return await make(request.timeout_seconds), ()


_USED = Usage(input_tokens=1, output_tokens=1)


def evidence_for(label: str) -> RoutingEvidence:
    """What leads to a label as if the person had picked it; nothing at all leads to `unsure`."""
    if label == "blocked":
        return RoutingEvidence(screen=(ScreenVerdict(rule="scripted", blocked=True),))
    return RoutingEvidence() if label == "unsure" else RoutingEvidence(picked=label)


def _agent_outcome(kind: str, on: str, number: int) -> str:
    """What one answer of an agent is for the outcome of its state; of a broadcast, of its member `number`."""
    if kind == "broadcast":
        return {"complete": "done", "failed": "failed", "partial": "done" if number == 1 else "failed"}.get(on, "done")
    return "failed" if on == "limit" else on
