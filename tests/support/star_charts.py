"""STAR's task charts as Interlock flows: what a wizard had before them, turned into states, facts and rows.

A chart is `{"replies": {action: text}, "graph": {from: to}}`. Nothing here knows a task by name; what a node is follows
from the graph and from the words that all charts share:

- what leads on to a query is a **question**: one `collect` over the chain of them up to it, a text fact each;
- a query is a **call**; what it found is a fact, and `available`, `query_failure` and their like are rows on it;
- an open end that asks (`..._ask_...`, or a question mark) with `yes`, `no`, `done` or `correct` drawn for it is a
  `collect` of one choice, forgotten when another result is found;
- all other nodes are **statements**: a `wait` that says them, those that follow one another in one breath;
- a condition that leads back into a form asks that question anew (its fact is forgotten while the question is said);
- replies that no arrow leads to are **digressions**: flow-wide rows that say them and return.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pytest
from pydantic import create_model

from interlock.contracts.canonical import sha256_hex
from interlock.contracts.flow import (
    CallState,
    CollectState,
    FactSpec,
    FinalState,
    RouterSpec,
    RouteState,
    State,
    Transition,
    WaitState,
)
from interlock.contracts.guard import Guard, in_digression, otherwise
from interlock.contracts.limits import Limits
from interlock.contracts.tools import Tool, ToolSpec
from interlock.fsm.build import flow, row
from interlock.fsm.code import Code
from interlock.fsm.guards import is_
from interlock.fsm.program import Program, compiled
from support.conversations import DATA

AVAILABILITY, SUCCESS = ("available", "unavailable"), ("query_success", "query_failure")
MARKS = ("correct", "incorrect", "noanswer")
CONDITIONS = (*AVAILABILITY, *SUCCESS, *MARKS, "yes", "no", "done", "info_missing", "info_missing2")
NOTHING = "nothing_found"
GOODBYE, MORE, HELLO, AGAIN = "goodbye", "anything_else", "hello", "again"
HOUR, DAY = 3_600, 86_400


def action_of(label: str) -> str:
    """The action that a wizard's label stands for: the charts spell a goodbye in five ways."""
    return GOODBYE if re.fullmatch(r"goodbye_\d|\w+_bye", label) else label


@dataclass(frozen=True)
class Chart:
    """A task's chart as it is drawn."""

    task: str
    replies: Mapping[str, str]
    graph: Mapping[str, str]

    @cached_property
    def nodes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.graph, *self.graph.values())))

    @cached_property
    def calls(self) -> tuple[str, ...]:
        return tuple(node for node in self.nodes if node.startswith("query") and node not in CONDITIONS) or tuple(
            name for name in self.replies if name.startswith("query") and name not in CONDITIONS
        )

    def chain(self, node: str) -> tuple[str, ...]:
        """The questions from `node` to the next query, or nothing where no arrow leads to one."""
        found: list[str] = []
        at: str | None = node
        while at is not None and at not in self.calls and at not in found:
            found.append(at)
            at = self.graph.get(at)
        return tuple(found) if at in self.calls else ()

    def after(self, chain: Sequence[str]) -> str:
        return self.graph[chain[-1]]

    @cached_property
    def drawn(self) -> Mapping[str, tuple[str, ...]]:
        """The conditions that are drawn for an open end: the charts leave these arrows out."""
        there = [name for name in CONDITIONS if name in self.graph]
        open_calls = [call for call in sorted(self.calls, key=lambda name: "book" in name) if call not in self.graph]
        found: dict[str, tuple[str, ...]] = {}
        for pair in (AVAILABILITY, SUCCESS):
            if pair[0] in there:
                found[open_calls.pop(0) if len(open_calls) > 1 else open_calls[0]] = pair
        for node in self.nodes:
            if node in self.graph or node in self.calls or not self._asks(node):
                continue
            after_call = any(self.graph.get(call) == node for call in self.calls)
            marks = tuple(name for name in there if name in MARKS) if after_call else ()
            answers = marks or tuple(name for name in there if name in ("yes", "no", "done"))
            if answers:
                found[node] = (*answers, "go_on") if answers == ("done",) else answers
        return found

    def _asks(self, node: str) -> bool:
        asking = re.search(r"(^|_)ask(_|$)", node) or self.replies.get(node, "").endswith("?")
        return bool(asking) and NOTHING not in node and node != MORE

    @cached_property
    def aside(self) -> tuple[str, ...]:
        """Replies that no arrow leads to."""
        known = {*self.graph.values(), *self.calls, *CONDITIONS, HELLO, "query", MORE}
        return (HELLO, MORE, *(one for one in self.replies if one not in known and action_of(one) != GOODBYE))

    def follows(self, before: str, action: str) -> bool:
        """Whether an arrow leads from one action to the other, straight or through a condition drawn for it."""
        ways = [self.graph.get(before), *(self.graph.get(one) for one in self.drawn.get(before, ()))]
        main, second = self.chain(self.graph[HELLO]), self.chain(self.graph.get("info_missing", ""))
        if before in main or before in second:
            ways.append(self.graph.get("info_missing" if before in main else "info_missing2"))
        return action in {action_of(way) for way in ways if way}


@dataclass(frozen=True)
class ChartFlow:
    """A chart's flow, and what its states say and its tools do in the words of the chart."""

    chart: Chart
    program: Program
    says: Mapping[str, tuple[str, ...]]
    """By state: the actions that are its text, in their order."""
    labels: tuple[str, ...]
    """What the router of the flow knows: the replies aside, `again` and `goodbye`."""


@dataclass
class _Writing:
    """A flow being written: states by name, rows, and facts."""

    chart: Chart
    states: dict[str, State] = field(default_factory=dict)
    rows: list[Transition] = field(default_factory=list)
    facts: dict[str, FactSpec] = field(default_factory=dict)
    says: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def main(self) -> str:
        return self.chart.graph[HELLO]

    def write(self) -> ChartFlow:
        """The whole flow: the form first, what it leads to, then what holds everywhere."""
        chart = self.chart
        labels = (*chart.aside, AGAIN, GOODBYE)
        self.wait("opening", (HELLO,), self.entered(self.main))
        self.wait("more", (MORE,), None)
        self.wait("farewell", (GOODBYE,), None)
        for reply in chart.aside:
            self.wait(f"aside_{reply}", (reply,), None)
            self.rows.append(row("any", reply, otherwise, f"push aside_{reply}", "aside"))
        self.rows += [
            row("any", AGAIN, otherwise, self.entered(self.main), "drawn"),
            row("any", GOODBYE, otherwise, "farewell", "aside"),
            *(row("any", on, otherwise, "more", "aside") for on in ("blocked", "gave_up", "failed", "timeout")),
            *([row("any", "declined", otherwise, "more", "aside")] if self.some_may_decline() else []),
            row("any", "expired", otherwise, "silent", "aside"),
            row("any", "limit", otherwise, "farewell", "aside"),
        ]
        self.states["silent"] = FinalState(name="silent")
        router = RouterSpec(name="heard", labels={label: label.replace("_", " ") for label in labels})
        code = Code.of(tools=[self.tool(call) for call in chart.calls])
        built = flow(
            name=chart.task,
            version=1,
            owner="tests",
            initial="opening",
            facts=self.facts.values(),
            routers=[router],
            digressions="heard",
            states=self.states.values(),
            transitions=self.rows,
            limits=Limits(digression_depth=5),
            code=code,
        )
        return ChartFlow(chart, compiled(built, code), self.says, labels)

    def some_may_decline(self) -> bool:
        own = {one.source for one in self.rows if one.on == "declined"}
        return any(state.kind == "collect" and name not in own for name, state in self.states.items())

    def entered(self, node: str, said: tuple[str, ...] = (), *, condition: str = "") -> str:
        """The state that begins at a node, written if it is not there yet; `said` is said before it."""
        chart = self.chart
        if node in chart.calls:
            return self.call(node)
        chain = chart.chain(node)
        if chain and condition and node in chart.chain(self.main):
            return self.anew(node, self.entered(self.main))
        if chain:
            return self.form(chain, said)
        if node in chart.drawn:
            return self.anew(node, f"ask_{node}") if condition in chart.drawn[node] else self.choice(node, said)
        following = chart.graph.get(node)
        if following is None or action_of(following) == GOODBYE:
            told = (*said, action_of(node))
            return "farewell" if told == (GOODBYE,) else self.wait(f"say_{told[0]}", told, None)
        return self.entered(following, (*said, node))

    def form(self, chain: tuple[str, ...], said: tuple[str, ...]) -> str:
        name = f"form_{chain[0]}"
        if name not in self.states:
            self.facts |= {node: FactSpec(name=node, type="text", ask=self.text(node)) for node in chain}
            self.collect(name, chain, said)
            missing = "info_missing" if chain[0] == self.main else "info_missing2"
            self.rows.append(row(name, "complete", otherwise, self.entered(self.chart.after(chain)), "drawn"))
            if missing in self.chart.graph:
                target = self.entered(self.chart.graph[missing], condition=missing)
                self.rows.append(row(name, "declined", otherwise, target, "drawn"))
        return name

    def choice(self, node: str, said: tuple[str, ...]) -> str:
        """A question with the answers that the chart draws for it, each leading its way."""
        name, answers = f"ask_{node}", self.chart.drawn[node]
        if name not in self.states:
            found = tuple(f"{call}_number" for call in self.chart.calls)
            self.facts[node] = FactSpec(
                name=node,
                type="choice",
                choices=answers,
                ask=self.text(node),
                volunteered=False,
                depends_on=found,
            )
            self.collect(name, (node,), said)
            for answer in answers:
                guard: Guard = otherwise if answer == answers[-1] else is_(node, answer)
                target = self.chart.graph.get(answer, self.main)
                if answer == "go_on":
                    self.rows.append(row(name, "complete", guard, self.entered(self.main), "drawn"))
                else:
                    self.rows.append(row(name, "complete", guard, self.entered(target, condition=answer), "drawn"))
        return name

    def call(self, node: str) -> str:
        """The query, with a row for each thing that it may find."""
        name = f"call_{node}"
        if name in self.states:
            return name
        nothing = [reply for reply in self.chart.replies if NOTHING in reply]
        results = (*self.chart.drawn.get(node, ("found",)), *nothing[:1])
        self.facts |= {
            f"{node}_number": FactSpec(name=f"{node}_number", type="integer", volunteered=False),
            f"{node}_result": FactSpec(name=f"{node}_result", type="choice", choices=results, volunteered=False),
        }
        self.states[name] = CallState(name=name, tool=node, reads=self.chart.chain(self.main))
        for result in nothing[:1]:
            target = f"aside_{result}" if result in self.chart.aside else self.entered(result)
            self.rows.append(row(name, "done", is_(f"{node}_result", result), target, "aside"))
        ways = self.chart.drawn.get(node, (node,))
        for way in ways:
            guard: Guard = otherwise if way == ways[-1] else is_(f"{node}_result", way)
            target = self.entered(self.chart.graph[way], condition=way)
            self.rows.append(row(name, "done", guard, target, "drawn"))
        return name

    def anew(self, node: str, then: str) -> str:
        """Says a question that was answered before, forgets the answer, and goes on with what is said to it."""
        return self.wait(f"anew_{node}", (node,), then, forgets=(node,))

    def wait(self, name: str, said: tuple[str, ...], then: str | None, forgets: tuple[str, ...] = ()) -> str:
        """Says something; what is said to it is routed, and goes to `then` where it is nothing else."""
        if name not in self.states:
            self.says[f"state.{name}"] = said
            text = " ".join(self.text(action) for action in said)
            self.states[name] = WaitState(name=name, say=text, forgets=forgets, deadline_seconds=DAY)
            self.states[f"{name}_heard"] = RouteState(name=f"{name}_heard", router="heard")
            self.rows.append(row(name, "message", otherwise, f"{name}_heard", "heard"))
            if then is None:
                self.rows.append(row(f"{name}_heard", "unsure", in_digression, "return", "aside"))
            self.rows.append(row(f"{name}_heard", "unsure", otherwise, then or "more", "heard"))
        return name

    def collect(self, name: str, facts: tuple[str, ...], said: tuple[str, ...]) -> None:
        self.says[f"state.{name}"] = said
        say = " ".join(self.text(action) for action in said)
        self.states[name] = CollectState(name=name, facts=facts, say=say, attempts=9, deadline_seconds=HOUR)

    def text(self, action: str) -> str:
        """The action's words as a template without places: the charts' places name items of a database."""
        words = self.chart.replies.get(action) or action.replace("_", " ")
        return words.replace("{", "{{").replace("}", "}}")

    def tool(self, call: str) -> Tool:
        fields: dict[str, Any] = dict.fromkeys(self.chart.chain(self.main), (str, ""))
        model = create_model(call, **fields)
        schema = json.dumps(model.model_json_schema(), sort_keys=True).encode()
        spec = ToolSpec(
            name=call,
            says=self.chart.replies.get(call, call),
            consequential="book" in call,
            arguments=sha256_hex(schema),
            argument_bytes=len(schema),
        )
        return Tool(spec, model, lambda **given: given, takes_context=False)


def charts() -> tuple[Chart, ...]:
    """All charts, by task. Skips the test where the data is absent."""
    folder = DATA / "star" / "tasks"
    if not folder.is_dir():
        pytest.skip(f"no task charts at {folder}; set INTERLOCK_DATA")
    found = []
    for path in sorted(folder.glob("*/*.json")):
        if path.stem == path.parent.name:
            drawn = json.loads(path.read_text(encoding="utf-8"))
            found.append(Chart(path.stem, drawn["replies"], drawn["graph"]))
    return tuple(found)


def chart_flow(chart: Chart) -> ChartFlow:
    """The chart's flow. Raises `FlowError` where it has a fault."""
    return _Writing(chart).write()
