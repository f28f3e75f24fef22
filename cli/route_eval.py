"""`interlock route eval`: a router measured on messages whose labels are known."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..agents.evaluation import Outcomes, clopper_pearson, outcomes
from ..agents.evaluation import at_most as tail
from ..agents.examples import Example, read_examples
from ..agents.measuring import Judged, Measurement, SeveralFigures, judge, measured, several_measured
from ..contracts.errors import CallError
from ..contracts.routing import RoutingDecision
from ..fsm.route import choose, evidence
from ..fsm.thresholds import millionths
from . import route_report
from .route_plot import write_plot
from .route_target import Target, adjusted, target_of
from .route_train import with_outside
from .terminal import MARKS, Part, Terminal, counted, write_json

CONFIDENCE = 0.95
_OUTSIDE = "out of scope"


@dataclass(frozen=True, slots=True)
class Trial:
    """What the command line asked for."""

    router: str
    named: str
    examples: Path
    outside: Path | None
    parts: tuple[str, ...]
    threshold: str
    scope: str
    share: float | None
    embed: Path | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What the whole router did: its outcomes, which stage decided, and the error's bound among the routed."""

    outcomes: Outcomes
    stages: tuple[tuple[str, int], ...]
    queued: int
    recall: float
    """The share of all labels that were the outcome or in the queue."""
    bound: float


def evaluate(
    trial: Trial, misroute: str, escalation: str, at_most: float | None, plot: Path | None, as_json: bool
) -> int:
    """Report; 1 if the error among the routed is not bounded by `at_most`."""
    target = adjusted(target_of(trial.router, trial.named, trial.embed), trial.threshold, trial.scope)
    costs = route_report.costs_of(misroute, escalation) or _own_costs(target)
    examples = with_outside(
        read_examples(trial.examples, parts=trial.parts, prefer=("test", "val", "dev")), trial.outside
    )
    _labels_known(target, examples)
    decided = _decided(target, examples)
    judged = judge(target.classifier, examples) if target.classifier is not None else []
    found = measured(judged, scope=target.spec.scope if _gated(target) else None, share=trial.share) if judged else None
    several = None
    if found is not None and getattr(target.classifier, "independent", False):
        threshold, notice = (millionths(one) / 1_000_000 for one in (target.spec.threshold, target.spec.notice))
        several = several_measured(judged, threshold, notice)
    if plot is not None:
        if found is None:
            raise CallError("A router without a classifier has no curve.", fix="Leave out --plot.")
        write_plot(plot, route_report.curves_of(found), f"Coverage against error: {trial.examples.name}")
    kept = at_most is None or _bounded(decided, at_most)
    if as_json:
        write_json(_document(kept, target, decided, found, several, costs, judged))
    else:
        _show(target, decided, found, several, costs, judged)
        if at_most is not None:
            _say_bound(decided, at_most, kept)
    return 0 if kept else 1


def _own_costs(target: Target) -> route_report.Costs | None:
    """What the flow says mistakes cost, for labels without a cost of their own."""
    costs = target.spec.costs
    return route_report.Costs(costs.misroute, costs.escalation) if costs is not None and costs.misroute else None


def _gated(target: Target) -> bool:
    return millionths(target.spec.scope) > 0


def _labels_known(target: Target, examples: Sequence[Example]) -> None:
    strange = sorted({label for one in examples for label in one.labels} - set(target.spec.labels))
    known = {label for one in examples for label in one.labels} & set(target.spec.labels)
    if strange and not known:
        raise CallError(
            f"None of the labels in the file is one of the router's: {', '.join(strange[:5])}.",
            fix=f"Its labels are {', '.join(sorted(target.spec.labels)[:12])}.",
        )


def _decided(target: Target, examples: Sequence[Example]) -> Decided:
    pairs: list[tuple[str, str]] = []
    stages: Counter[str] = Counter()
    labels = heard = queued = 0
    for one in examples:
        made = decision_of(target, one.text)
        given = {made.outcome, *made.queue}
        pairs.append((_truth(one, made), made.outcome))
        stages[made.stage if made.outcome not in ("unsure", "blocked") else made.outcome] += 1
        labels, heard = labels + len(one.labels), heard + len(one.labels & given)
        queued += bool(made.queue)
    found = outcomes(pairs)
    bound = clopper_pearson(found.wrong, found.right + found.wrong, CONFIDENCE)
    return Decided(found, tuple(stages.most_common()), queued, heard / labels if labels else 0.0, bound)


def _truth(one: Example, made: RoutingDecision) -> str:
    """The label that the outcome is compared with; one of several if the outcome is among them."""
    if one.outside:
        return _OUTSIDE
    return made.outcome if made.outcome in one.labels else min(one.labels, default=_OUTSIDE)


def decision_of(target: Target, text: str, held: str | None = None) -> RoutingDecision:
    taken = evidence(target.spec, text, classifier=target.classifier, screener=target.screener, held=held)
    return choose(target.spec, taken)


def _bounded(decided: Decided, error: float) -> bool:
    routed = decided.outcomes.right + decided.outcomes.wrong
    return routed > 0 and tail(decided.outcomes.wrong, routed, error) <= 1 - CONFIDENCE


def _show(
    target: Target,
    decided: Decided,
    found: Measurement | None,
    several: SeveralFigures | None,
    costs: route_report.Costs | None,
    judged: Sequence[Judged],
) -> None:
    terminal = Terminal()
    of = f"of {target.flow}" if target.flow else "by itself, with no gates but those given"
    terminal.line((f"Router {target.spec.name} ", "bold"), of)
    if found is not None:
        route_report.show(terminal, found, costs, judged)
    if several is not None:
        route_report.show_several(terminal, several, target.spec.threshold, target.spec.notice)
    terminal.rule("What the router decides")
    made = decided.outcomes
    rows: list[list[Part]] = [
        [name, f"{count:,}", f"{count / made.total:.1%}", note]
        for name, count, note in (
            ("right", made.right, ""),
            ("wrong", made.wrong, f"{made.error:.2%} of what is routed, at most {decided.bound:.2%} at 95 %"),
            ("unsure", made.abstained, "asked to clarify, or passed to a person"),
            ("blocked", made.blocked, "closed by screening"),
        )
    ]
    terminal.table(["outcome", "messages", "", ""], rows, right=(1, 2))
    stages = ", ".join(f"{stage} {count:,}" for stage, count in decided.stages)
    terminal.line((f"Decided by: {stages}.", "dim"))
    if target.spec.several:
        terminal.line(
            f"{counted(decided.queued, 'message')} with more than one issue; {decided.recall:.1%} of all labels are "
            "the outcome or in the queue."
        )


def _say_bound(decided: Decided, error: float, kept: bool) -> None:
    terminal = Terminal()
    terminal.blank()
    mark = terminal.text((MARKS.good, "bold green")) if kept else terminal.text((MARKS.bad, "bold red"))
    routed = decided.outcomes.right + decided.outcomes.wrong
    verdict = "holds" if kept else "does not hold"
    terminal.hang(
        mark,
        f"At most {error:.1%} wrong {verdict}: {decided.outcomes.wrong:,} of {routed:,} routed are wrong, "
        f"and the bound at 95 % is {decided.bound:.2%}.",
    )


def _document(
    kept: bool,
    target: Target,
    decided: Decided,
    found: Measurement | None,
    several: SeveralFigures | None,
    costs: route_report.Costs | None,
    judged: Sequence[Judged],
) -> dict[str, Any]:
    made = decided.outcomes
    return {
        "ok": kept,
        "router": target.spec.name,
        "flow": target.flow,
        "artefact": target.classifier.digest if target.classifier is not None else None,
        "decided": {
            "messages": made.total,
            "right": made.right,
            "wrong": made.wrong,
            "unsure": made.abstained,
            "blocked": made.blocked,
            "error": round(made.error, 6),
            "bound": round(decided.bound, 6),
            "confidence": CONFIDENCE,
            "stages": dict(decided.stages),
            "queued": decided.queued,
            "label_recall": round(decided.recall, 6),
        },
        "several": None
        if several is None
        else {
            "recall": round(several.recall, 6),
            "precision": round(several.precision, 6),
            "silent": round(several.silent, 6),
        },
        "measured": route_report.document(found, costs, judged) if found is not None else None,
    }
