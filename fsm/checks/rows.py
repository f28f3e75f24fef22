"""Rows: every outcome goes somewhere, no row is dead, and what is special stands where it may."""

from collections.abc import Iterator

from ...contracts.errors import Fault
from ...contracts.flow import ANY, RETURN
from ...contracts.values import listed
from .names import suggestion
from .survey import LIMIT, Survey, asks, shown_row

_CALLS_NOTHING = ("human", "wait", "final")


def outcomes_covered(survey: Survey) -> Iterator[Fault]:
    """Needs the whole table."""
    for name in survey.states:
        outcomes = survey.outcomes[name]
        missing = [outcome for outcome in outcomes if not survey.rows_for(name, outcome)]
        where = f"states.{name}"
        if missing and not any((name, outcome) in survey.groups for outcome in outcomes):
            yield survey.fault(
                "S141",
                where,
                f"The state {name!r} is a dead end: it has no rows, and can end with {listed(missing)}.",
                "Write rows for these, or make it `kind: final`.",
            )
        elif missing:
            yield survey.fault(
                "S130",
                where,
                f"The state {name!r} can end with {listed(missing)}, and no row says where to go.",
                f"Write [{name}, {missing[0]}, otherwise, …], or for the whole flow [any, {missing[0]}, otherwise, …].",
            )


def rows_total(survey: Survey) -> Iterator[Fault]:
    for (source, on), rows in survey.groups.items():
        last = next((position for position, (_, row) in enumerate(rows) if row.guard.op == "otherwise"), None)
        if last is None:
            index, row = rows[-1]
            yield survey.fault(
                "S131",
                f"transitions.{index}",
                f"The rows for {source!r} on {on!r} do not end with 'otherwise'.",
                f"Add [{source}, {on}, otherwise, …] as their last row.",
            )
            last = len(rows)
        for index, row in rows[last + 1 :]:
            yield survey.fault(
                "S132",
                f"transitions.{index}",
                f"The row {shown_row(row)} is never reached: 'otherwise' stands above it.",
                "Move it above the row with `otherwise`, or delete it.",
            )
        seen: set[str] = set()
        for index, row in rows[:last]:
            written = str(row.guard)
            if written in seen:
                yield survey.fault(
                    "S134",
                    f"transitions.{index}",
                    f"The row {shown_row(row)} is never reached: the same guard stands above it.",
                    "Delete one of the two rows.",
                )
            seen.add(written)


def triggers_possible(survey: Survey) -> Iterator[Fault]:
    given = {outcome for outcomes in survey.outcomes.values() for outcome in outcomes} | survey.interventions
    for index, row in survey.rows:
        where = f"transitions.{index}.on"
        if row.source == ANY:
            if row.on not in given and not survey.partial and not row.push:
                yield survey.fault(
                    "S135",
                    where,
                    f"No state can end with {row.on!r}, so the row {shown_row(row)} is never used.",
                    suggestion(row.on, sorted(given)),
                )
        elif row.source in survey.states:
            possible = survey.outcomes[row.source]
            interventions = () if not possible else (survey.interventions - set(survey.digression_labels))
            if row.on not in possible and row.on not in interventions and not _outcomes_unknown(survey, row.source):
                kind = survey.states[row.source].kind
                fix = suggestion(row.on, possible) if possible else "Delete the row: a conversation ends there."
                yield survey.fault("S135", where, f"The state {row.source!r} ({kind}) cannot end with {row.on!r}.", fix)


def _outcomes_unknown(survey: Survey, name: str) -> bool:
    state = survey.states[name]
    return (
        name in survey.unread
        or (state.kind == "route" and survey.labels_unknown(state.router))
        or (state.kind == "subflow" and state.flow not in survey.subflows)
    )


def flow_wide_used(survey: Survey) -> Iterator[Fault]:
    """Needs the whole table."""
    for (source, on), rows in survey.groups.items():
        if source != ANY or on in survey.interventions or rows[0][1].push:
            continue
        givers = [name for name, outcomes in survey.outcomes.items() if on in outcomes]
        if givers and all((name, on) in survey.groups for name in givers):
            index, row = rows[0]
            yield survey.fault(
                "S137",
                f"transitions.{index}",
                f"The row {shown_row(row)} is never used: every state that can end with {on!r} has rows of its own.",
                "Delete it, or the states' own rows.",
            )


def limit_handled(survey: Survey) -> Iterator[Fault]:
    if (ANY, LIMIT) not in survey.groups and not survey.partial:
        yield survey.fault(
            "S144",
            "transitions",
            "No row says where to go when a limit is reached.",
            "Write [any, limit, otherwise, …] to a human, wait or final state.",
        )
    for index, row in survey.rows:
        target = survey.states.get(row.target)
        if row.on == LIMIT and (row.target == RETURN or (target and target.kind not in _CALLS_NOTHING)):
            where = "back" if target is None else f"to {row.target!r} ({target.kind})"
            yield survey.fault(
                "S145",
                f"transitions.{index}.go to",
                f"A limit leads {where}, where more would be called.",
                "Go to a human, wait or final state.",
            )


def digressions_return(survey: Survey) -> Iterator[Fault]:
    for index, row in survey.rows:
        if row.target == RETURN and not row.push and not asks(row.guard, "in_digression"):
            yield survey.fault(
                "S146",
                f"transitions.{index}.only if",
                f"The row {shown_row(row)} returns without asking in_digression.",
                "Write in_digression, or all_of(in_digression, …).",
            )
        if not row.push:
            continue
        if row.source != ANY:
            yield survey.fault(
                "S147",
                f"transitions.{index}.from",
                f"The row {shown_row(row)} pushes from one state; a digression may leave any.",
                "Write `any` in the first column, or go there without `push`.",
            )
        named = survey.flow.digressions
        if row.on not in survey.digression_labels and (named is None or not survey.labels_unknown(named)):
            labels = survey.digression_labels
            fix = suggestion(row.on, labels) if labels else "Write `digressions:` with the router that hears them."
            yield survey.fault(
                "S148",
                f"transitions.{index}.on",
                f"The row {shown_row(row)} pushes on {row.on!r}, which is no label of the digressions router.",
                fix,
            )


ROWS = (rows_total, triggers_possible, limit_handled, digressions_return)
WHOLE_ROWS = (outcomes_covered, flow_wide_used)
