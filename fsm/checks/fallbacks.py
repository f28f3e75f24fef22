"""Fallbacks: agents that answer as the first would have, answers that may be given again, a person at the end."""

from collections.abc import Iterator

from ...contracts.errors import Fault
from ...contracts.flow import CACHED, AgentSpec, AgentState
from ...contracts.values import listed
from .survey import Survey

_CALLING = ("agent", "broadcast", "subflow")


def fallbacks_fit(survey: Survey) -> Iterator[Fault]:
    agents = {agent.name: agent for agent in survey.flow.agents}
    for state in survey.flow.states:
        if not isinstance(state, AgentState):
            continue
        path = f"states.{state.name}"
        yield from _in_order(survey, state, path)
        own = agents.get(state.agent)
        for name in state.fallbacks:
            other = agents.get(name)
            if own is not None and other is not None and other.contract != own.contract:
                what = (
                    f"The fallback {name!r} of {state.name!r} answers with {other.contract or 'plain text'}, its agent "
                    f"{own.name!r} with {own.contract or 'plain text'}."
                )
                yield survey.fault("S221", f"{path}.fallbacks", what, "Give both the same contract.")
        if state.backoff_seconds and state.attempts == 1 and (not state.fallbacks or state.fallback_attempts == 1):
            what = f"{state.name!r} waits between attempts, and has one."
            yield survey.fault("S222", f"{path}.backoff", what, "Write `attempts: 2`, or delete `backoff`.")
        if state.fallbacks and not survey.partial:
            yield from _ends_with_a_person(survey, state, path)
        if CACHED in state.fallbacks and own is not None:
            yield from _cacheable(survey, state, own, path)


def _in_order(survey: Survey, state: AgentState, path: str) -> Iterator[Fault]:
    names = state.fallbacks
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        what = f"{listed(twice)} stands twice in the fallbacks of {state.name!r}."
        yield survey.fault("S220", f"{path}.fallbacks", what, "Name each once.")
    if state.agent in names:
        what = f"{state.agent!r} is the agent of {state.name!r}, and a fallback for itself."
        yield survey.fault("S220", f"{path}.fallbacks", what, "Delete it, and write more `attempts`.")
    if CACHED in names and any(agent.name == CACHED for agent in survey.flow.agents):
        what = f"In the fallbacks of {state.name!r} 'cached' is the answer given before, and an agent is called so too."
        yield survey.fault("S220", f"{path}.fallbacks", what, "Rename the agent.")


def _ends_with_a_person(survey: Survey, state: AgentState, path: str) -> Iterator[Fault]:
    """A way from each `failed` row to a person or an end that calls no further agent."""
    for index, row in survey.rows_for(state.name, "failed"):
        seen, todo = {state.name}, [row.target]
        while todo:
            found = survey.states.get(todo.pop())
            if found is None or found.name in seen or found.kind in _CALLING:
                continue
            if found.kind in ("human", "final"):
                break
            seen.add(found.name)
            todo += survey.successors(found.name, survey.outcomes[found.name])
        else:
            if row.target in survey.unread:
                continue
            what = (
                f"When the fallbacks of {state.name!r} are used up, its row for 'failed' leads to {row.target!r}, from "
                "where only agents lead on."
            )
            yield survey.fault("S223", f"transitions.{index}.go to", what, "Lead it to a person, or to an end.")


def _cacheable(survey: Survey, state: AgentState, own: AgentSpec, path: str) -> Iterator[Fault]:
    sealed = [name for name in state.reads if name in survey.facts and survey.facts[name].sealed]
    reasons = [
        *([f"its agent {own.name!r} declares no `cache`"] if not own.cache_seconds else ()),
        *([f"its agent {own.name!r} is given earlier messages"] if own.history != "none" else ()),
        *(["it has tools"] if state.tools or state.agents else ()),
        *(["it is given results"] if state.results or state.judges else ()),
        *([f"it reads {listed(sealed)}, which a person wrote"] if sealed else ()),
    ]
    if reasons:
        what = f"{state.name!r} may give an earlier answer again, but {', and '.join(reasons)}."
        fix = "Give the agent `cache: 10m` and `history: none`, and the state open facts only; or delete 'cached'."
        yield survey.fault("S224", f"{path}.fallbacks", what, fix)


FALLBACKS = (fallbacks_fit,)
"""Of agent states."""
