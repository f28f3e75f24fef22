"""The words that a flow can bring about, what a name alone means in it, and words in English."""

from collections.abc import Iterator
from typing import get_args

from ...contracts.flow import (
    OPERATOR_INPUTS,
    AgentState,
    BroadcastState,
    CallState,
    CollectState,
    FinalState,
    Flow,
    HumanState,
    RouteState,
    State,
    SubflowState,
    WaitState,
)
from ...contracts.limits import LimitName
from ...contracts.policies import MESSAGE
from .automata import Meanings

REFUSABLE = ("enter", "end", "tool", "approved", "confirmed")
"""Kinds of words that stand for a step of the flow's own: one that would break a policy is not taken. Any other
comes from outside, and is there once it is observed."""


def is_refusable(word: str) -> bool:
    return word.partition(":")[0] in REFUSABLE


def words_in(flow: Flow) -> frozenset[str]:
    """Every word that some state of the flow can bring about, whether or not a conversation comes there."""
    limits = (f"limit:{name}" for name in get_args(LimitName))
    operators = (f"input:{row.on}" for row in flow.transitions if row.on in OPERATOR_INPUTS)
    return frozenset((MESSAGE, *limits, *operators, *(word for state in flow.states for word in words_of(flow, state))))


def words_of(flow: Flow, state: State) -> Iterator[str]:
    """What may happen when a state is entered and in it."""
    yield f"enter:{state.name}"
    match state:
        case WaitState():
            yield from (f"input:{name}" for name in state.inputs)
            yield "result:late"
        case CollectState():
            yield f"confirmed:{state.name}"
            yield from _labels(flow, flow.digressions or "")
        case RouteState():
            yield from _labels(flow, state.router)
            yield from ("label:unsure", "label:blocked")
        case AgentState():
            yield f"result:{state.name}"
            yield from _tools(flow, state.tools, state.approval is not None)
        case CallState():
            yield from _tools(flow, (state.tool,), state.approval is not None)
        case BroadcastState() | SubflowState():
            yield f"result:{state.name}"
        case HumanState():
            yield from (f"decided:{state.name}.{decision}" for decision in state.decisions)
        case FinalState():
            yield f"end:{state.name}"


def _labels(flow: Flow, router: str) -> Iterator[str]:
    yield from (f"label:{label}" for one in flow.routers if one.name == router for label in one.labels)


def _tools(flow: Flow, names: tuple[str, ...], approving: bool) -> Iterator[str]:
    changing = {one.name for one in flow.tools if one.consequential}
    for name in names:
        yield from (f"tool:{name}", f"done:{name}")
        if approving and name in changing:
            yield f"approved:{name}"


def meanings_of(flow: Flow) -> Meanings:
    """What words mean in a flow: a name alone is the state entered and the tool asked of that name."""
    known = words_in(flow)

    def meant(word: str) -> frozenset[str]:
        if ":" in word or word == MESSAGE:
            return frozenset({word})
        return frozenset({f"enter:{word}", f"tool:{word}"}) & known

    return meant


_SAID = {
    "enter": "entering {}",
    "end": "the end in {}",
    "tool": "asking {}",
    "done": "{} done",
    "approved": "an approved call of {}",
    "confirmed": "the customer's yes to {}",
    "result": "a result of {}",
    "label": "the label {}",
    "limit": "the limit {}",
    "input": "the input {}",
    "mark": "the mark {}",
}


def said(word: str) -> str:
    """A word in English, as a noun."""
    kind, _, name = word.partition(":")
    if not name:
        return "a message" if word == MESSAGE else word
    state, _, decision = name.partition(".")
    return f"the decision {decision} in {state}" if kind == "decided" else _SAID[kind].format(name)
