"""Teams: broadcasts that can be asked and can end, results that exist, judges that can only stop."""

from collections.abc import Iterator

from ...contracts.agents import Judgement, Plan
from ...contracts.errors import Fault
from ...contracts.flow import AgentState, BroadcastState
from ...contracts.values import listed
from .names import suggestion
from .survey import Survey


def broadcasts_asked(survey: Survey) -> Iterator[Fault]:
    for state in survey.flow.states:
        if not isinstance(state, BroadcastState):
            continue
        path = f"states.{state.name}"
        if bool(state.members) == (state.plan is not None):
            both = "members and a plan" if state.members else "neither members nor a plan"
            yield survey.fault(
                "S180",
                f"{path}.members",
                f"The broadcast {state.name!r} has {both}.",
                "Write `members:`, or `plan:` and `workers:`.",
            )
        if state.plan is not None and not state.workers:
            what = f"The plan of {state.name!r} has no workers that a subtask could name."
            yield survey.fault("S180", f"{path}.workers", what, "List agents under `workers`.")
        names = [one.name for one in state.members]
        for name in sorted({one for one in names if names.count(one) > 1}):
            what = f"Two members of {state.name!r} are called {name!r}."
            yield survey.fault("S180", f"{path}.members", what, "Rename one of them.")
        yield from _can_end(survey, state, path)


def _can_end(survey: Survey, state: BroadcastState, path: str) -> Iterator[Fault]:
    most = len(state.members) if state.plan is None else state.most
    if state.quorum > most:
        what = f"{state.name!r} waits for {state.quorum} valid results of at most {most}."
        yield survey.fault("S181", f"{path}.quorum", what, f"Write at most {most}, or 0 for all.")
    if state.fail_fast and state.quorum:
        what = f"{state.name!r} ends with the first failure, and waits for a quorum: only one of them can hold."
        yield survey.fault("S181", f"{path}.fail_fast", what, "Delete `fail_fast` or `quorum`.")
    slow = [one.name for one in state.members if one.timeout_seconds > state.deadline_seconds]
    if slow or (state.plan is not None and state.timeout_seconds > state.deadline_seconds):
        who = f"of {listed(slow)} " if slow else ""
        what = f"The timeout {who}is longer than the deadline of {state.name!r}."
        yield survey.fault("S185", f"{path}.deadline", what, "Shorten the timeout, or lengthen the deadline.")
    calls = survey.flow.limits.agent_calls
    if most > calls:
        what = f"{state.name!r} asks up to {most} agents at once, but a turn makes at most {calls} model calls."
        fix = "Raise the limit `agent_calls`, or ask fewer."
        yield survey.fault("S186", path, what, fix)


def plans_and_results(survey: Survey) -> Iterator[Fault]:
    agents = {agent.name: agent for agent in survey.flow.agents}
    for state in survey.flow.states:
        path = f"states.{state.name}"
        if isinstance(state, BroadcastState) and state.plan is not None and state.plan not in survey.unread:
            planner = survey.states.get(state.plan)
            contract = _contract(survey, planner)
            if not isinstance(planner, AgentState) or not contract or not issubclass(contract, Plan):
                what = f"{state.name!r} takes its plan from {state.plan!r}, which makes none."
                fix = "Name an agent state whose agent's contract extends `Plan`."
                if survey.code is not None or not isinstance(planner, AgentState):
                    yield survey.fault("S182", f"{path}.plan", what, fix)
        if isinstance(state, AgentState):
            for key, names in (("results", state.results), ("judges", (state.judges,) if state.judges else ())):
                having = sorted(one.name for one in survey.flow.states if one.kind in ("agent", "broadcast"))
                for name in names:
                    if name not in having and name not in survey.unread:
                        what = f"{state.name!r} reads the results of {name!r}, which has none."
                        yield survey.fault("S183", f"{path}.{key}", what, suggestion(name, having))
            if state.judges is not None and state.agent in agents:
                yield from _judge(survey, state, path)


def _judge(survey: Survey, state: AgentState, path: str) -> Iterator[Fault]:
    if not state.criterion.strip():
        what = f"The judge {state.name!r} has no criterion."
        yield survey.fault("S184", f"{path}.criterion", what, "Write under `criterion` what is judged.")
    if state.tools:
        what = f"The judge {state.name!r} may use {listed(state.tools)}."
        yield survey.fault("S184", f"{path}.tools", what, "Delete `tools`: a judge only says pass or fail.")
    contract = _contract(survey, state)
    if survey.code is not None and (contract is None or not issubclass(contract, Judgement)):
        what = f"The agent of the judge {state.name!r} answers with no Judgement."
        yield survey.fault("S184", f"{path}.agent", what, "Give the agent a contract that extends `Judgement`.")


def _contract(survey: Survey, state: object) -> type | None:
    if survey.code is None or not isinstance(state, AgentState):
        return None
    agent = next((one for one in survey.flow.agents if one.name == state.agent), None)
    return survey.code.contracts.get(agent.contract or "") if agent else None


TEAMS = (broadcasts_asked, plans_and_results)
