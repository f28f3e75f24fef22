"""Child flows: each one there, given and returning only what both sides know, and never too deep."""

from collections.abc import Iterator

from ...contracts.errors import Fault
from ...contracts.flow import OPERATOR_INPUTS, FactSpec, SubflowState
from ...contracts.subflow import SubflowFact, SubflowSpec
from ...contracts.values import listed
from .names import suggestion
from .survey import LIMIT, Survey


def subflows_known(survey: Survey) -> Iterator[Fault]:
    for state in survey.flow.states:
        if isinstance(state, SubflowState) and state.flow not in survey.subflows and state.flow not in survey.unread:
            yield survey.fault(
                "S190",
                f"states.{state.name}.flow",
                f"The subflow {state.flow!r} is not declared.",
                suggestion(state.flow, survey.subflows) if survey.subflows else "Write its file under `subflows`.",
            )


def facts_fit(survey: Survey) -> Iterator[Fault]:
    for state in survey.flow.states:
        spec = survey.subflows.get(state.flow) if isinstance(state, SubflowState) else None
        if spec is None or not isinstance(state, SubflowState):
            continue
        for key, names in (("reads", state.reads), ("returns", state.returns)):
            for name in names:
                yield from _fact_fits(survey, f"states.{state.name}.{key}", spec, name, gives=key == "reads")


def _fact_fits(survey: Survey, where: str, spec: SubflowSpec, name: str, *, gives: bool) -> Iterator[Fault]:
    there = {fact.name: fact for fact in spec.facts}
    ours, theirs = survey.facts.get(name), there.get(name)
    if theirs is None:
        what = f"The flow {spec.flow!r} knows no fact {name!r}."
        yield survey.fault("S192", where, what, suggestion(name, there))
    elif ours is not None and ours.type != theirs.type:
        what = f"The fact {name!r} is {ours.type!r} here and {theirs.type!r} in the flow {spec.flow!r}."
        yield survey.fault("S192", where, what, "Give both the same type.")
    elif ours is not None and ours.type == "money" and spec.currency != survey.flow.currency:
        what = f"The fact {name!r} is in {survey.flow.currency} here and in {spec.currency} in the flow {spec.flow!r}."
        yield survey.fault("S192", where, what, "Keep both flows in one currency.")
    elif ours is not None and (strange := _strange_choices(ours, theirs, gives=gives)):
        side = f"the flow {spec.flow!r}" if gives else "this flow"
        what = f"The fact {name!r} may be {listed(strange)}, which is no choice of it in {side}."
        yield survey.fault("S192", where, what, "Declare these choices on both sides.")


def _strange_choices(ours: FactSpec, theirs: SubflowFact, *, gives: bool) -> list[str]:
    """The choices that whoever receives the fact does not know."""
    given, taken = (ours.choices, theirs.choices) if gives else (theirs.choices, ours.choices)
    return [choice for choice in given if choice not in taken]


def ends_free(survey: Survey) -> Iterator[Fault]:
    for spec in survey.flow.subflows:
        for name in spec.finals:
            if name in (LIMIT, *OPERATOR_INPUTS):
                yield survey.fault(
                    "S193",
                    f"subflows.{spec.name}",
                    f"The flow {spec.flow!r} ends in {name!r}, which already is a trigger of its own.",
                    "Rename that final state.",
                )


def depth_held(survey: Survey) -> Iterator[Fault]:
    most = survey.flow.limits.subflow_depth
    for spec in survey.flow.subflows:
        if spec.levels > most:
            yield survey.fault(
                "S194",
                f"subflows.{spec.name}",
                f"The flow {spec.flow!r} stands {spec.levels} deep with its own subflows; the limit is {most}.",
                "Raise the limit `subflow_depth`, or nest fewer flows.",
            )


SUBFLOWS = (subflows_known, facts_fit, ends_free, depth_held)
