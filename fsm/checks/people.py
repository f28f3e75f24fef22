"""People: approvals that can be given, and tools that wait for one that covers all they are given."""

from collections.abc import Iterator

from ...contracts.errors import Fault
from ...contracts.flow import AgentState, CallState, HumanState
from ...contracts.values import listed
from .names import suggestion
from .survey import Survey


def approvals_given(survey: Survey) -> Iterator[Fault]:
    """Which decision approves, and how many people must give it."""
    for state in survey.flow.states:
        if not isinstance(state, HumanState):
            continue
        path = f"states.{state.name}"
        if state.approves is not None and state.approves not in state.decisions:
            what = f"{state.name!r} approves with {state.approves!r}, which is none of its decisions."
            yield survey.fault("S210", f"{path}.approves", what, suggestion(state.approves, state.decisions))
        if state.approves is None and state.approvals > 1:
            yield survey.fault(
                "S210",
                f"{path}.approvals",
                f"{state.name!r} needs {state.approvals} approvals, and does not say which decision is one.",
                "Write it under `approves`.",
            )


def approvals_cover(survey: Survey) -> Iterator[Fault]:
    """Each approval that is asked for can be given, and covers everything that the tool is given."""
    approving = sorted(one.name for one in survey.flow.states if isinstance(one, HumanState) and one.approves)
    for state in survey.flow.states:
        if not isinstance(state, AgentState | CallState) or state.approval is None or state.approval in survey.unread:
            continue
        path = f"states.{state.name}.approval"
        found = survey.states.get(state.approval)
        if not isinstance(found, HumanState) or found.approves is None:
            what = f"{state.name!r} needs the approval of {state.approval!r}, which gives none."
            fix = suggestion(state.approval, approving) if approving else "Name a human state that has `approves`."
            yield survey.fault("S211", path, what, fix)
            continue
        changing = _changing(survey, state)
        if not changing and survey.code is not None:
            what = f"{state.name!r} needs the approval of {found.name!r} for no tool that changes anything."
            yield survey.fault("S212", path, what, "Delete `approval`, or declare the tool as consequential.")
        given = state.reads if isinstance(state, CallState) else _arguments(survey, changing)
        hidden = [name for name in dict.fromkeys(given) if name not in found.shows]
        if hidden:
            what = f"{found.name!r} does not show {listed(hidden)}, with which {state.name!r} would act."
            fix = f"Name them under `shows` of {found.name!r}: an approval holds for what was shown."
            yield survey.fault("S213", path, what, fix)


def _changing(survey: Survey, state: AgentState | CallState) -> tuple[str, ...]:
    """The state's tools that change something outside."""
    code = survey.code
    names = (state.tool,) if isinstance(state, CallState) else state.tools
    specs = survey.flow.tools if code is None else tuple(tool.spec for tool in code.tools.values())
    return tuple(name for name in names if any(one.name == name and one.consequential for one in specs))


def _arguments(survey: Survey, tools: tuple[str, ...]) -> tuple[str, ...]:
    """What a model could choose freely if it were not approved."""
    code = survey.code
    if code is None:
        return ()
    return tuple(name for tool in tools if tool in code.tools for name in code.tools[tool].arguments.model_fields)


def several_approve(survey: Survey) -> Iterator[Fault]:
    """What needs four eyes is there; that every way to it has them is proved of what the flow can do."""
    tools = {one.name for one in survey.flow.tools}
    for name in survey.flow.four_eyes:
        if name not in tools and not survey.knows_state(name) and not survey.partial:
            what = f"Several people must approve {name!r}, which is no state and no tool that any state runs."
            yield survey.fault("S241", f"four_eyes.{name}", what, suggestion(name, (*sorted(tools), *survey.states)))


PEOPLE = (approvals_given, approvals_cover, several_approve)
