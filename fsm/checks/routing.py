"""Routers: labels that exist, rules that look for something, gates and costs that give thresholds."""

import re
from collections.abc import Iterator

from ...contracts.errors import Fault
from ...contracts.flow import NEXT_ISSUE, RouterSpec, RouteState, RuleSpec, WaitState
from ...contracts.values import listed, printable
from ..screen import ATTACK, screen_rules
from .contents import pattern_fits
from .graph import reachable
from .survey import Survey


def routers_fit(survey: Survey) -> Iterator[Fault]:
    for router in survey.flow.routers:
        path = f"routers.{router.name}"
        if not router.labels:
            what = f"The router {router.name!r} has no labels."
            yield survey.fault("S170", f"{path}.labels", what, "Write them under `labels`.")
        for key, rules in (("rules", router.rules), ("escalations", router.escalations)):
            for index, rule in enumerate(rules):
                yield from _rule(survey, router, rule, f"{path}.{key}.{index}")
        for screen in router.screen:
            if screen not in screen_rules():
                fix = f"The screens are {listed(screen_rules())}."
                yield survey.fault("S173", f"{path}.screen", f"There is no screen {printable(screen)!r}.", fix)
        yield from _gates(survey, router, path)
        yield from _costs(survey, router, path)


def _rule(survey: Survey, router: RouterSpec, rule: RuleSpec, where: str) -> Iterator[Fault]:
    if rule.label not in router.labels and router.labels:
        yield survey.fault(
            "S171",
            f"{where}.label",
            f"A rule of {router.name!r} gives {rule.label!r}, which is no label of it.",
            f"Its labels are {listed(router.labels)}.",
        )
    if (not rule.any and not rule.patterns) or not all(phrase.strip() for phrase in rule.any):
        yield survey.fault(
            "S172",
            where,
            f"A rule of {router.name!r} for {rule.label!r} looks for nothing.",
            "Give it phrases under `any`, or `patterns`.",
        )
    for pattern in rule.patterns:
        problems = tuple(pattern_fits(survey, f"{where}.patterns", pattern))
        yield from problems
        if not problems and re.compile(pattern).search(""):
            what = f"The pattern {printable(pattern, 60)!r} matches every message, even an empty one."
            yield survey.fault("S172", f"{where}.patterns", what, "Let it ask for at least one character.")


def _gates(survey: Survey, router: RouterSpec, path: str) -> Iterator[Fault]:
    named = {gate: (gate, getattr(router, gate)) for gate in ("threshold", "margin", "scope")}
    named |= {key: (key, getattr(router, key)) for key in ("screen_threshold", "notice")}
    named |= {f"thresholds.{one}": (f"threshold of {one!r}", least) for one, least in router.thresholds.items()}
    for key, (gate, written) in named.items():
        # Decimal6 has one spelling for each number, so 1 and below is read off its first digits.
        if written.startswith("-") or (int(written.partition(".")[0]) >= 1 and written != "1.000000"):
            yield survey.fault(
                "S174",
                f"{path}.{key}",
                f"The {gate} of router {router.name!r} is {written}.",
                "Write a number between 0 and 1.",
            )


def _costs(survey: Survey, router: RouterSpec, path: str) -> Iterator[Fault]:
    """Thresholds and costs are for labels that exist, and costs give a threshold."""
    costs = router.costs
    priced = costs.labels if costs is not None else {}
    for key, labels in (("thresholds", router.thresholds), ("costs.labels", priced)):
        for label in labels:
            if label not in router.labels and router.labels:
                yield survey.fault(
                    "S176",
                    f"{path}.{key}.{label}",
                    f"`{key}` of router {router.name!r} names {label!r}, which is no label of it.",
                    f"Its labels are {listed(router.labels)}.",
                )
    if costs is None:
        return
    free = [label for label, amount in costs.labels.items() if not amount]
    if free or not (costs.misroute or costs.labels):
        yield survey.fault(
            "S177",
            f"{path}.costs",
            f"In router {router.name!r} a wrong route costs nothing{f' for {listed(free)}' if free else ''}.",
            "Write what it costs under `misroute`, or for single labels under `labels`.",
        )
    elif not costs.escalation:
        yield survey.fault(
            "S177",
            f"{path}.costs.escalation",
            f"In router {router.name!r} passing a message on costs nothing, so that none would be routed.",
            "Write what a clarifying question or a person costs under `escalation`.",
        )


def _labels_of(survey: Survey, digest: str | None) -> tuple[str, ...]:
    """Of a classifier that is loaded; none otherwise."""
    found = survey.code.classifiers.get(digest or "") if survey.code is not None else None
    return found.labels if found is not None else ()


def classifiers_loaded(survey: Survey) -> Iterator[Fault]:
    """Each that a router names is in the flow's code, and knows the labels that it should."""
    if survey.code is None:
        return
    for router in survey.flow.routers:
        strange = [label for label in _labels_of(survey, router.classifier) if label not in router.labels]
        if strange and not survey.labels_unknown(router.name):
            yield survey.fault(
                "S121",
                f"routers.{router.name}.classifier",
                f"The classifier of router {router.name!r} knows labels that the router does not: {listed(strange)}.",
                "Declare them under `labels`, or train it again without them.",
            )
        for key, digest, file in (
            ("classifier", router.classifier, router.artefact),
            ("screen_classifier", router.screen_classifier, router.screen_artefact),
        ):
            if digest is not None and digest not in survey.code.classifiers:
                yield survey.fault(
                    "S120",
                    f"routers.{router.name}.{key}",
                    f"The {key.replace('_', ' ')} {file or digest[:12]!r} of router {router.name!r} is not loaded.",
                    "Put the trained file beside the flow and name it, or load it in the flow's code, as in "
                    "`Code.of(classifiers=[LinearTable.load(HERE / 'router.json')])`; one of vectors needs the latter.",
                )
        screening = _labels_of(survey, router.screen_classifier)
        if screening and ATTACK not in screening:
            yield survey.fault(
                "S178",
                f"routers.{router.name}.screen_classifier",
                f"The screening classifier of router {router.name!r} knows {listed(screening)}, and not {ATTACK!r}.",
                f"Train it with the label `{ATTACK}` and one for harmless messages.",
            )


def issues_taken_up(survey: Survey) -> Iterator[Fault]:
    """Where the rows for `next_issue` lead, so that nothing that waits is announced and then lost."""
    several = [router for router in survey.flow.routers if router.several]
    if several and not survey.partial and not any(_takes_up(survey, name) for name in reachable(survey)):
        for router in several:
            what = f"The router {router.name!r} keeps several issues, and no wait state that is reached takes one up."
            fix = (
                "Write `next_issue: true` in the state that follows a solved matter, and its row; or delete `several`."
            )
            yield survey.fault("S215", f"routers.{router.name}.several", what, fix)
    for state in survey.flow.states:
        if not isinstance(state, WaitState) or not state.next_issue:
            continue
        if not several and not survey.partial:
            what = f"{state.name!r} takes up the next issue, but no router keeps several issues."
            yield survey.fault("S214", f"states.{state.name}.next_issue", what, "Write `several: true` in a router.")
        for index, row in survey.rows_for(state.name, NEXT_ISSUE):
            found = survey.states.get(row.target)
            where = f"transitions.{index}.go to"
            if not isinstance(found, RouteState):
                if found is not None:
                    what = f"The next issue goes to {row.target!r}, which is no route state."
                    yield survey.fault("S214", where, what, "Go to the route state that decided for the first one.")
                continue
            taking = survey.routers.get(found.router)
            kept = [label for router in several for label in router.labels]
            strange = [label for label in kept if taking is not None and label not in taking.labels]
            if strange:
                what = f"The router of {row.target!r} does not know {listed(strange)}, which may wait."
                yield survey.fault("S214", where, what, "Go to a route state whose router has these labels.")


def _takes_up(survey: Survey, name: str) -> bool:
    state = survey.states[name]
    return isinstance(state, WaitState) and state.next_issue


ROUTING = (issues_taken_up, routers_fit, classifiers_loaded)
