"""A second reader of a flow's table, for checking what the first one did.

It reads the YAML with a plain YAML reader and shares no code with `fsm`: its own rows, its own conditions (only the
guards' functions are the flow's, for their meaning is the flow's own), its own fold of facts, frames and tasks. Events
go in one by one; what the table does not permit comes out as a violation in words.
"""

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import yaml

from interlock.contracts.commands import Actor
from interlock.contracts.facts import Facts, KnownFact

Condition = Callable[[Facts], bool]
_SAFE_WITHOUT_GATE = ("otherwise", "in_digression")


@dataclass(frozen=True)
class Row:
    """One line of the table as it is written."""

    source: str
    on: str
    text: str
    target: str
    policy: str
    push: bool
    holds: Condition


class Table:
    """The flow as somebody signed it: states and rows of the file, and which tools do something consequential."""

    def __init__(
        self, text: str | bytes, guards: Mapping[str, Callable[..., bool]], consequential: Iterable[str]
    ) -> None:
        written = yaml.safe_load(text)
        self.initial: str = written["initial"]
        self.states: dict[str, dict[str, Any]] = written["states"]
        self.consequential = frozenset(consequential)
        self._guards = guards
        self.rows = tuple(self._row(line) for line in written["transitions"])
        self._tried: dict[tuple[str, str], tuple[int, ...]] = {}

    def _row(self, line: list[Any]) -> Row:
        source, on, text, target, policy = (str(part).strip() for part in line[:5])
        push = target.startswith("push ")
        return Row(source, on, text, target.removeprefix("push ").strip(), policy, push, self._condition(text))

    def _condition(self, text: str) -> Condition:
        return self._compiled(ast.parse(text, mode="eval").body)

    def _compiled(self, part: ast.expr) -> Condition:
        if isinstance(part, ast.Name) and part.id == "otherwise":
            return lambda _: True
        if isinstance(part, ast.Name) and part.id == "in_digression":
            return lambda facts: facts.digression_depth > 0
        if isinstance(part, ast.Name):
            return self._guard(part.id, ())
        assert isinstance(part, ast.Call), f"no condition: {ast.unparse(part)}"
        assert isinstance(part.func, ast.Name)
        name = part.func.id
        if name in ("all_of", "any_of", "not_"):
            parts = tuple(self._compiled(one) for one in part.args)
            if name == "all_of":
                return lambda facts: all(one(facts) for one in parts)
            if name == "any_of":
                return lambda facts: any(one(facts) for one in parts)
            return lambda facts: not parts[0](facts)
        # A bare word is a text, such as the name of a fact.
        return self._guard(
            name, tuple(one.id if isinstance(one, ast.Name) else ast.literal_eval(one) for one in part.args)
        )

    def _guard(self, name: str, arguments: tuple[Any, ...]) -> Condition:
        function = self._guards[name]
        return lambda facts: function(facts, *arguments) is True

    def tried(self, state: str, on: str) -> tuple[int, ...]:
        """The rows for a trigger, in the order in which they must be tried: the state's own, then the flow-wide."""
        if (state, on) not in self._tried:
            own = [number for number, row in enumerate(self.rows) if (row.source, row.on) == (state, on)]
            wide = [number for number, row in enumerate(self.rows) if (row.source, row.on) == ("any", on)]
            self._tried[state, on] = (*own, *wide)
        return self._tried[state, on]

    def kind(self, state: str) -> str:
        return str(self.states[state]["kind"])

    def tools(self, state: str) -> frozenset[str]:
        """What may run in a state at all."""
        found = self.states[state]
        if found["kind"] == "call":
            return frozenset((str(found["tool"]),))
        return frozenset(map(str, found.get("tools") or ()))

    def decisions(self, state: str) -> frozenset[str]:
        return frozenset(map(str, self.states[state].get("decisions") or ()))

    def is_gate(self, row: Row) -> bool:
        """Whether taking the row can permit what follows: a person's decision, the customer's yes to a form that asks
        for it, or a condition on facts."""
        if row.text not in _SAFE_WITHOUT_GATE:
            return True
        if row.source == "any":
            return False
        state = self.states[row.source]
        if state["kind"] == "human":
            return row.on in self.decisions(row.source)
        return state["kind"] == "collect" and row.on == "complete" and bool(state.get("confirm"))

    def requires_gate(self, state: str, seen: frozenset[str] = frozenset()) -> bool:
        """Whether every way into the state is a gate, or comes from a call of a tool that is itself behind one."""
        into = [row for row in self.rows if row.target == state and row.source not in seen]
        return state != self.initial and all(
            self.is_gate(row)
            or (row.source != "any" and self.kind(row.source) == "call" and self._passes(row.source, seen | {state}))
            for row in into
        )

    def _passes(self, state: str, seen: frozenset[str]) -> bool:
        return state not in seen and self.requires_gate(state, seen)

    def ungated(self) -> tuple[str, ...]:
        """States that can do something consequential and into which some row leads without a gate."""
        return tuple(
            state for state in self.states if self.tools(state) & self.consequential and not self.requires_gate(state)
        )


class _Watched(Mapping[str, KnownFact]):
    """Facts that remember which of them were asked for."""

    def __init__(self, known: Mapping[str, KnownFact]) -> None:
        self._known = known
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> KnownFact:
        self.asked.add(name)
        return self._known[name]

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return name in self._known

    def __iter__(self) -> Any:
        self.asked.update(self._known)
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


@dataclass
class Reader:
    """One conversation, read against the table. `violations` is empty as long as everything was permitted."""

    table: Table
    state: str = ""
    frames: list[str] = field(default_factory=list)
    known: dict[str, KnownFact] = field(default_factory=dict)
    visits: dict[str, int] = field(default_factory=dict)
    messages: int = 0
    task: int | None = None
    gate: str = ""
    """How the last consequential call of this path was permitted; empty where nothing permits one now."""
    decided: tuple[str, Actor] | None = None
    asked: set[str] = field(default_factory=set)
    """Who started the conversation, wrote to it or gave it something: theirs is no approval."""
    shown: dict[str, KnownFact] = field(default_factory=dict)
    """The facts that the open task is about, as they were when it was opened."""
    approvers: set[str] = field(default_factory=set)
    """Who approved the open task so far."""
    approved: dict[str, dict[str, KnownFact]] = field(default_factory=dict)
    """Human state -> the facts that enough people approved there and that let nothing run yet."""
    confirmed: bool = False
    version: int = 0
    moves: int = 0
    ran: list[tuple[str, str]] = field(default_factory=list)
    """(state, tool) of every tool that was begun."""
    acted: list[tuple[str, str, str]] = field(default_factory=list)
    """(state, tool, gate) of every consequential one; the gate is empty where the table asks for none."""
    rows: set[int] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)

    def read(self, actor: Actor, events: Iterable[Any]) -> None:
        """Take the events of one decision, which `actor` caused."""
        for event in events:
            self._approvals(actor, event)
            match event.type:
                case "conversation_started":
                    self._must(event.state == self.table.initial, f"starts in {event.state!r}")
                    self.state = event.state
                case "message_received":
                    self.messages += 1
                    self.confirmed = event.disposition == "taken" and event.reading.control == "yes"
                    self._turn(event.disposition in ("taken", "forwarded"))
                case "message_taken" | "input_received":
                    self.confirmed = False
                    intervenes = event.type == "input_received" and event.name.startswith("operator_")
                    allowed = not intervenes or "operator" in actor.roles
                    self._must(allowed, "an operator's input came from somebody else")
                    self._turn(True)
                case "facts_recorded":
                    self.known |= {fact.name: fact for fact in event.facts}
                case "fact_forgotten":
                    self.known.pop(event.name, None)
                case "task_opened":
                    self.task = self.version
                case "task_decided":
                    self._must(event.task == self.task, f"task {event.task} is not open")
                    self.decided = (event.decision, actor)
                    self._turn(True)
                case "transition_taken":
                    self._moved(event)
                case "tool_requested":
                    self._tool(event)
                case "agent_requested":
                    offered = frozenset(event.tools) - self.table.tools(self.state)
                    self._must(not offered, f"offers the model {sorted(offered)}")
                case "handoff_made":
                    given = frozenset(event.handoff.constraints.allowed_actions) - self.table.tools(self.state)
                    self._must(not given, f"hands over with {sorted(given)} as allowed actions")
                case _:
                    pass
            self.version += 1

    def _must(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.violations.append(f"event {self.version} in {self.state!r}: {otherwise}")

    def _turn(self, begins: bool) -> None:
        if begins:
            self.visits = {}

    # -- transitions -----------------------------------------------------------------------------------

    def _moved(self, event: Any) -> None:
        rows = self.table.rows
        if not 0 <= event.row < len(rows):
            self._must(False, f"row {event.row} is no row of the table")
            self.state = event.target
            return
        row = rows[event.row]
        said = f"row {event.row} ({row.source}, {row.on})"
        self._must(event.source == self.state, f"leaves {event.source!r}")
        self._must(row.source in (self.state, "any") and row.on == event.on, f"{said} is not for {event.on!r}")
        self._must(row.policy == event.because, f"{said} has the clause {row.policy}, not {event.because}")
        if row.target == "return":
            self._must(bool(self.frames) and event.target == self.frames[-1], f"{said} returns to {event.target!r}")
        else:
            self._must(event.target == row.target, f"{said} leads to {row.target!r}, not {event.target!r}")
        self._must(event.move != "push" or row.push, f"{said} is no digression")
        watched = self._verdicts(event, said)
        self._gate(row, watched)
        if event.move == "push":
            self.frames.append(self.state)
        elif event.move == "return" and self.frames:
            self.frames.pop()
        elif event.move == "leave":
            self.frames.clear()
        self.state, self.task, self.decided = event.target, None, None
        self.visits[event.target] = self.visits.get(event.target, 0) + 1
        self.moves += 1
        self.rows.add(event.row)

    def _verdicts(self, event: Any, said: str) -> set[str]:
        """The recorded verdicts are those of the rows in order, and the conditions are what they say.

        Returns the facts that the taken row's condition asked for.
        """
        tried = self.table.tried(self.state, event.on)
        self._must(tuple(one.row for one in event.verdicts) == tried, f"{said}: other rows were tried than stand there")
        before = True
        asked: set[str] = set()
        for verdict in event.verdicts:
            taken = verdict.row == event.row
            wanted = ("holds",) if taken else ("fails", "error") if before else ("not_reached",)
            self._must(verdict.result in wanted, f"{said}: row {verdict.row} is recorded as {verdict.result}")
            if before and 0 <= verdict.row < len(self.table.rows):
                watched = _Watched(MappingProxyType(self.known))
                self._must(
                    self._holds(verdict.row, watched) is taken, f"{said}: the condition of row {verdict.row} is not so"
                )
                asked = watched.asked
            before = before and not taken
        return asked

    def _holds(self, row: int, known: Mapping[str, KnownFact]) -> bool:
        facts = Facts(known, len(self.frames), **self._counted())
        try:
            return self.table.rows[row].holds(facts)
        except Exception:  # a guard that raises holds for nobody
            return False

    def _counted(self) -> dict[str, Any]:
        """What guards may count, where this release lets them."""
        counted = {"visits": self.visits, "messages": self.messages}
        return {name: one for name, one in counted.items() if name in Facts.__dataclass_fields__}

    # -- approvals ---------------------------------------------------------------------------------------

    def _approvals(self, actor: Actor, event: Any) -> None:
        """Who asks, what is shown to whom, and who approves it: only of states that the table lets approve."""
        state = self.table.states.get(self.state, {})
        match event.type:
            case "conversation_started" | "message_received" | "input_received":
                self.asked.add(actor.id.casefold())
            case "task_opened" if "approves" in state:
                self.shown, self.approvers = self._now(self.state), set()
                self.approved.pop(self.state, None)
            case "task_endorsed" | "task_decided" if event.decision == state.get("approves"):
                self._approves(actor, event.type == "task_decided", int(state.get("approvals", 1)))
            case _:
                pass

    def _approves(self, actor: Actor, completes: bool, needed: int) -> None:
        person = actor.id.casefold()
        self._must(actor.kind == "human", f"{actor.kind} {person!r} approves")
        self._must(person not in self.asked, f"{person!r} approves and asked for it")
        self._must(person not in self.approvers, f"{person!r} approves twice")
        self._must(self._now(self.state) == self.shown, f"{person!r} approves other facts than were shown")
        self.approvers.add(person)
        if completes:
            given = len(self.approvers)
            self._must(given >= needed, f"approved by {given} of {needed} people")
            self.approved[self.state] = self.shown

    def _now(self, human: str) -> dict[str, KnownFact]:
        """The facts that a human state shows, as they are now."""
        shows = map(str, self.table.states[human].get("shows") or ())
        return {name: self.known[name] for name in shows if name in self.known}

    def _uses_approval(self, tool: str) -> None:
        human = self.table.states[self.state].get("approval")
        if human is None:
            return
        found = self.approved.pop(str(human), None)
        self._must(found is not None, f"{tool!r} runs, and no approval of {human!r} is left")
        self._must(found is None or found == self._now(str(human)), f"{tool!r} runs on other facts than were approved")

    # -- consequential actions -------------------------------------------------------------------------

    def _gate(self, row: Row, asked: set[str]) -> None:
        """What the row that is taken permits: a person's decision, the customer's yes, or a condition on facts that
        no model gave. Calls of tools keep what was permitted before them; everything else ends it."""
        kind = self.table.kind(self.state)
        if kind == "human" and row.on in self.table.decisions(self.state):
            self._must(self._person_decided(row.on), f"nobody with the role decided {row.on!r}")
            self.gate = f"decision:{row.on}"
        elif row.text not in _SAFE_WITHOUT_GATE:
            words = {name for name in asked if name in self.known and self.known[name].source == "agent"}
            self.gate = "" if words else f"condition:{row.text}"
        elif kind == "collect" and row.on == "complete" and self.confirmed:
            self.gate = "confirmed"
        elif kind != "call":
            self.gate = ""

    def _person_decided(self, decision: str) -> bool:
        if self.decided is None or self.decided[0] != decision:
            return False
        actor = self.decided[1]
        return actor.kind == "human" and str(self.table.states[self.state]["role"]) in actor.roles

    def _tool(self, event: Any) -> None:
        self._must(event.state == self.state, f"tool {event.tool!r} runs for {event.state!r}")
        self._must(event.tool in self.table.tools(self.state), f"tool {event.tool!r} is not allowed")
        consequential = event.tool in self.table.consequential
        self._must(event.consequential == consequential, f"tool {event.tool!r} is recorded as {event.consequential}")
        self.ran.append((self.state, event.tool))
        if consequential:
            self._uses_approval(event.tool)
            self.acted.append((self.state, event.tool, self.gate))
            needed = self.table.requires_gate(self.state)
            self._must(bool(self.gate) or not needed, f"{event.tool!r} is consequential, and nothing permitted it")
