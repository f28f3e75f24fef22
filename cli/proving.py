"""What `interlock check` says of what a flow can do: a verdict to each question, the way to what is wrong, the bill."""

from collections.abc import Mapping
from typing import Any

from ..contracts.flow import Flow
from ..contracts.limits import Price
from ..fsm.prove.bill import Bill
from ..fsm.prove.codes import QUESTION
from ..fsm.prove.findings import Bills, Finding, Proof, Step, rows_of
from .terminal import MARKS, Terminal
from .ways import folded

_SIGNS = {"proved": "good", "refuted": "bad", "bounded": "warn", "unknown": "warn", "noted": "warn", "accepted": "warn"}
_STYLES = {
    "proved": "green",
    "refuted": "bold red",
    "bounded": "yellow",
    "unknown": "yellow",
    "noted": "dim",
    "accepted": "yellow",
}
_UNITS = {"calls": "model calls", "tools": "tool calls", "tokens": "tokens", "nano": "", "seconds": "seconds of work"}


def proof_document(flow: Flow, proof: Proof) -> dict[str, Any]:
    """`{"holds", "complete", "configurations", "transitions", "counted", "findings": [finding], "bill": {"turn",
    "conversation", "path", "unbounded", "why"}}`, a finding being `{"code", "verdict", "says", "line", "where", "fix",
    "why", "counterexample": [step]}`.

    A step is `{"number", "state", "happened", "target", "row", "line", "changed", "in_loop"}`. Costs are in billionths
    of the currency unit; `null` is unbounded.
    """
    return {
        "holds": proof.holds,
        "complete": proof.complete,
        "configurations": proof.configurations,
        "transitions": proof.transitions,
        "counted": list(proof.counted),
        "findings": [
            {
                "code": one.code,
                "verdict": one.verdict,
                "says": one.says,
                "line": one.line or None,
                "where": one.where,
                "fix": one.fix,
                "why": QUESTION[one.code].why,
                "counterexample": [_step(flow, step) for step in one.counterexample],
            }
            for one in proof.findings
        ],
        "bill": bill_document(flow, proof.bills),
    }


def bill_document(flow: Flow, bills: Bills) -> dict[str, Any]:
    """`{"turn", "conversation", "unbounded", "why", "currency", "path": [step], "paths": {figure: [step]}, "no_price":
    [agent]}`: `path` is that of the most calls; what agents with `no_price` cost is not in `nano`."""
    return {
        "turn": _costs(bills.turn),
        "conversation": dict(bills.conversation),
        "unbounded": bool(bills.turn.cycle),
        "why": bills.why,
        "currency": flow.currency,
        "path": [_step(flow, step) for step in bills.steps],
        "paths": {name: [_step(flow, step) for step in steps] for name, steps in bills.ways.items()},
        "no_price": list(unpriced(flow)),
    }


def unpriced(flow: Flow) -> tuple[str, ...]:
    """Agents whose model has no price."""
    return tuple(one.name for one in flow.agents if one.price == Price())


def _costs(bill: Bill) -> dict[str, int | None]:
    most = bill.most
    return {
        name: None if name in bill.unbounded else getattr(most, name)
        for name in ("calls", "tools", "tokens", "nano", "seconds")
    }


def _step(flow: Flow, step: Step) -> dict[str, Any]:
    return {
        "number": step.number,
        "state": step.state,
        "happened": step.happened,
        "target": step.target,
        "row": None if step.row is None else rows_of(flow, step.row),
        "line": step.line or None,
        "changed": dict(step.changed),
        "in_loop": step.in_loop,
    }


def show_proof(terminal: Terminal, flow: Flow, proof: Proof, file: str = "") -> None:
    """Everything that a person reads at once: verdicts first, then what is wrong with its way, then the bill."""
    terminal.rule("What it can do")
    for one in proof.findings:
        _show_finding(terminal, one)
    for one in proof.findings:
        if one.counterexample and one.verdict == "refuted":
            terminal.blank()
            place = f"{file}:{one.line}" if one.line else one.where or "the flow"
            terminal.line((f"{one.code}  ", "bold red"), ("the shortest way there; mend ", "dim"), place)
            show_steps(terminal, flow, one.counterexample)
    _show_bill(terminal, flow, proof.bills)
    searched = f"{proof.configurations:,} configurations, {proof.transitions:,} transitions"
    whole = "everything" if proof.complete else "a part, up to the bound"
    terminal.hang(
        terminal.text((" searched", "dim")), f"{whole}: {searched}; counted: {', '.join(proof.counted) or '-'}"
    )


def _show_finding(terminal: Terminal, one: Finding) -> None:
    sign = getattr(MARKS, _SIGNS[one.verdict])
    words = "" if one.verdict in ("proved", "refuted") else f"{one.verdict}: "
    place = f" (line {one.line})" if one.line else ""
    terminal.hang(
        terminal.text((f"{sign} {one.code}", _STYLES[one.verdict])), (f"{words}{one.says}{place}", ""), indent=1
    )
    if one.fix and one.verdict == "refuted":
        terminal.hang(terminal.text(("   why  ", "dim")), QUESTION[one.code].why, indent=1, style="dim")
        terminal.hang(terminal.text(("   fix  ", "dim")), one.fix, indent=1, style="green")


def show_steps(terminal: Terminal, flow: Flow, steps: tuple[Step, ...]) -> None:
    """A way through the flow as a table; only what changed is shown, each against its limit, and the loop is marked."""
    sign = "↻" if terminal.unicode else "@"
    terminal.table(
        ("", "state", "what happens", "goes to", "line", "row", "what changed"),
        (
            (
                f"{sign if one.in_loop else ' '}{one.number}",
                one.state,
                one.happened,
                one.target,
                str(one.line or ""),
                "" if one.row is None else rows_of(flow, one.row),
                _changed(flow, one),
            )
            for one in steps
        ),
        right=(0,),
    )
    if rounds := [one.number for one in steps if one.in_loop]:
        words = f"step {rounds[0]} repeats" if len(rounds) == 1 else f"steps {rounds[0]} to {rounds[-1]} repeat"
        clock = any(one.on == "expired" for one in steps if one.in_loop)
        how = "each time the deadline passes" if clock else "for as long as the agents like"
        terminal.line((f"{sign} {words} {how}", "red"), indent=1)


def _changed(flow: Flow, step: Step) -> str:
    """The counters that moved: `agent calls 2 of 6`; where a new turn begins, those that begin anew are not listed.
    Rows are counted by the table itself: their number shows where it is at its limit."""
    told = [(name, value) for name, value in step.changed if value and (name != "steps" or value == flow.limits.steps)]
    moved = [_counter(flow, name, value) for name, value in told]
    anew = any(value == 0 for _, value in step.changed)
    return ", ".join([*(["a new turn"] if anew else []), *moved])


def _counter(flow: Flow, name: str, value: int) -> str:
    kind, _, what = name.partition(":")
    if kind == "visits":
        return f"{what} visited {value} times" if value > 1 else f"{what} visited once"
    limit = getattr(flow.limits, "same_pair" if kind == "pair" else kind)
    words = f"{what.replace('>', ' to ')}" if kind == "pair" else kind.replace("_", " ")
    return f"{words} {value} of {limit}"


def _show_bill(terminal: Terminal, flow: Flow, bills: Bills) -> None:
    terminal.rule("What it costs at worst")
    terminal.table(
        ("", "between two inputs", "in a whole conversation"),
        ((name, *both) for name, both in amounts(flow, bills).items()),
        right=(1, 2),
    )
    terminal.hang(terminal.text(("    bound", "dim")), bills.why)
    _show_ways(terminal, flow, bills)
    if missing := unpriced(flow):
        names = ", ".join(map(repr, missing))
        says = f"no price known for {names}: give `price:` in the flow, or --prices with a table of models"
        terminal.hang(terminal.text(("    price", "yellow")), says)


def _show_ways(terminal: Terminal, flow: Flow, bills: Bills) -> None:
    """The way to the most of each figure; one line where it is the same of all."""
    ways: dict[str, list[str]] = {}
    most = _costs(bills.turn)
    for name, steps in bills.ways.items():
        if steps and most[name]:
            way = " > ".join(folded((steps[0].state, *(one.target for one in steps))))
            ways.setdefault(way, []).append(_UNITS[name] or flow.currency)
    for way, names in ways.items() if not bills.turn.cycle else ():
        of = f"{', '.join(names)}: " if len(ways) > 1 else ""
        terminal.hang(terminal.text(("      way", "dim")), (of, "dim"), way)


def amounts(flow: Flow, bills: Bills) -> dict[str, tuple[str, str]]:
    """What is counted, between two inputs and in a whole conversation, in words."""
    turn = _costs(bills.turn)
    return {
        words or flow.currency: (_amount(name, turn, flow), _amount(name, bills.conversation, flow))
        for name, words in _UNITS.items()
    }


def _money(nano: int, flow: Flow) -> str:
    """An amount; where some model has no price, what is known of it, and where none has, that nothing is."""
    missing = unpriced(flow)
    if missing and len(missing) == len(flow.agents):
        return "no price known"
    return f"{nano / 1_000_000_000:,.2f}{' and more' if missing else ''}"


def _amount(name: str, costs: Mapping[str, int | None], flow: Flow) -> str:
    value = costs[name]
    if value is None:
        return "unbounded"
    return _money(value, flow) if name == "nano" else f"{value:,}"
