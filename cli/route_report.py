"""What a router is worth, for a person at a terminal: the same report after training and after measuring."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..agents.evaluation import Promise
from ..agents.measuring import Judged, Measurement, SeveralFigures, weights_of
from ..agents.training import SHARE_OUTSIDE
from ..contracts.errors import CallError
from ..fsm.thresholds import MILLION, least_probability, six
from .route_plot import Curve, in_letters, thinned
from .terminal import MARKS, Part, Terminal, counted

_MOST_ROWS = 8
_STEPS = tuple(step / 20 for step in range(20))
_OURS, _ALL = "#0969da", "#cf222e"


@dataclass(frozen=True, slots=True)
class Costs:
    """What a wrong route and what passing on costs, in any one unit of money, in its hundredths."""

    misroute: int
    escalation: int

    @property
    def threshold(self) -> str:
        """The least score at which routing costs less than passing on."""
        return six(min(MILLION, least_probability(self.misroute, self.escalation)))


def costs_of(misroute: str, escalation: str) -> Costs | None:
    """None where neither is given. Raises `CallError` where one is missing or is no amount above 0."""
    if not misroute and not escalation:
        return None
    return Costs(_hundredths("--misroute", misroute), _hundredths("--escalation", escalation))


def _hundredths(option: str, written: str) -> int:
    whole, _, part = written.partition(".")
    found = int(whole + part.ljust(2, "0")) if (whole + part).isdecimal() and whole and len(part) <= 2 else 0
    if not 0 < found <= 10**12:
        raise CallError(
            f"{option} is {written!r}, and costs need an amount above 0.",
            fix="Give both --misroute and --escalation, as in --misroute 20 --escalation 4.50.",
        )
    return found


def curves_of(found: Measurement) -> list[Curve]:
    """Of what is ours, and of all messages where some are not."""
    ours = Curve("messages that are ours", "●", _OURS, found.curve)
    return [ours, Curve("all messages, out of scope too", "○", _ALL, found.mixed)] if found.outside else [ours]


def show(terminal: Terminal, found: Measurement, costs: Costs | None, judged: Sequence[Judged]) -> None:
    """Every figure, the most asked for first."""
    _headline(terminal, found)
    terminal.rule("How much can be routed, and how wrong it is")
    _coverage(terminal, found)
    terminal.blank()
    for line in in_letters(curves_of(found)):
        terminal.line(line, indent=2)
    if found.outside:
        terminal.line((f"{'':9}● {curves_of(found)[0].name}   ○ {curves_of(found)[1].name}", "dim"))
    _meaning(terminal, found)
    _scope(terminal, found)
    _confusion(terminal, found)
    if costs is not None:
        _costs(terminal, costs, judged, found.share)


def _headline(terminal: Terminal, found: Measurement) -> None:
    others = f" and {counted(found.outside, 'message')} out of scope" if found.outside else ""
    terminal.hang(
        terminal.text((MARKS.good, "bold green")),
        (f"{found.accuracy:.1%} right", "bold"),
        f" of {counted(found.inside, 'message')} of {counted(len(found.labels), 'label')}{others}; "
        f"the right label is among the two best for {found.top_two:.1%}",
    )


def _coverage(terminal: Terminal, found: Measurement) -> None:
    promises = dict(found.promises)
    mixed, apart = bool(found.outside), found.share is not None
    headings = [
        "error at most",
        "best: of ours",
        *(["best: of traffic"] if mixed else []),
        "promised from score",
        "routed of traffic" if mixed else "routed of ours",
        "wrong of ours" if apart or not mixed else "wrong of routed",
        *(["others routed"] if apart else []),
        "bound 95 %",
    ]
    rows: list[list[Part]] = []
    for error, ours, everything in found.coverage:
        promise = promises.get(error)
        best = [f"{ours:.1%}", *([f"{everything:.1%}"] if mixed else [])]
        rows.append([f"{error:.0%}", *best, *_promised(promise, found, len(headings) - len(best) - 1)])
    terminal.table(headings, rows, right=tuple(range(len(headings))), whole=tuple(range(4, len(headings))))
    terminal.line((f"{_explained(found)}", "dim"))


def _promised(promise: Promise | None, found: Measurement, columns: int) -> tuple[Part, ...]:
    if promise is None:
        return (("none", "dim"), *("" for _ in range(columns - 1)))
    wrong = f"{promise.wrong:,} of {promise.routed:,}"
    bound = f"{promise.bound:.2%}"
    if promise.traffic is None:
        return ((promise.threshold[:6], "bold"), f"{promise.coverage:.1%}", wrong, *([""] * (columns - 4)), bound)
    others = f"{promise.leaked:,} of {found.outside:,}"
    return ((promise.threshold[:6], "bold"), f"{promise.traffic:.1%}", wrong, others, bound)


def _explained(found: Measurement) -> str:
    if found.share is not None:
        mixed = f"traffic of which {found.share:.0%} is out of scope, whatever share of these messages is"
    else:
        mixed = "messages mixed as these are" if found.outside else "messages that are ours"
    own = (
        f" Training assumes {SHARE_OUTSIDE:.0%} out of scope unless told; "
        f"--outside-share {SHARE_OUTSIDE} measures the same here."
    )
    return (
        f"A promise is for {mixed}, n = {found.inside + found.outside:,}: its score is where the Clopper-Pearson bound "
        "of the error among all that is routed still keeps it; each that is out of scope and routed is wrong. The "
        "columns `best` say what a perfect choice would route of the same traffic."
        + (own if found.outside and found.share is None else "")
    )


def _meaning(terminal: Terminal, found: Measurement) -> None:
    terminal.rule("What a score means")
    rows: list[list[Part]] = []
    for one in found.reliability.bins:
        bar = "█" * round(one.right * 24) if terminal.unicode else "#" * round(one.right * 24)
        rows.append([f"{one.score:.2f}", f"{one.right:.2f}", f"{one.count:,}", (bar, "blue")])
    terminal.table(["mean score", "right", "messages", ""], rows, right=(0, 1, 2))
    terminal.line(
        (f"A score is off by {found.reliability.error:.3f} on average (expected calibration error, ten bins).", "dim")
    )


def _scope(terminal: Terminal, found: Measurement) -> None:
    if found.scope_auroc is None or found.scope_recall is None:
        return
    terminal.rule("Is it ours at all?")
    terminal.line(
        f"The scope gate at {found.scope[:5]} recognises ",
        (f"{found.scope_recall:.1%}", "bold"),
        f" of what is out of scope; scope tells ours from others {found.scope_auroc:.1%} of the time (AUROC).",
    )


def _confusion(terminal: Terminal, found: Measurement) -> None:
    if not found.confusion:
        return
    terminal.rule("What is taken for what")
    rows = [[label, given, f"{count}"] for label, given, count in found.confusion[:_MOST_ROWS]]
    terminal.table(["label", "taken for", "messages"], rows, right=(2,))
    weakest = sorted((one for one in found.labels if one.examples), key=lambda one: (one.recall, one.label))[:5]
    words = ", ".join(f"{one.label} {one.recall:.0%} of {one.examples}" for one in weakest)
    terminal.line((f"Recognised least: {words}.", "dim"))


def _costs(terminal: Terminal, costs: Costs, judged: Sequence[Judged], share: float | None) -> None:
    of = "" if share is None else f" of which {share:.0%} are out of scope"
    terminal.rule(f"What each threshold costs, per 100 messages{of}")
    table = cost_table(judged, costs, share)
    cheapest = min(table, key=lambda one: one["cost"])
    best = cheapest["threshold"]
    rows: list[list[Part]] = []
    for one in table:
        follows = one["threshold"] == costs.threshold
        notes = [
            *(["follows from the costs"] if follows else []),
            *(["cheapest here"] if one["threshold"] == best else []),
        ]
        style = "bold" if follows else ""
        cells = [
            f"{float(one['threshold']):.3f}",
            f"{one['routed']:.1%}",
            f"{one['wrong']:.1%}",
            f"{one['cost'] / 100:,.2f}",
            ", ".join(notes),
        ]
        rows.append([(cell, style) for cell in cells])
    terminal.table(["threshold", "routed", "wrong", "cost", ""], rows, right=(0, 1, 2, 3))
    if best != costs.threshold:
        own = next(one["cost"] for one in table if one["threshold"] == costs.threshold)
        terminal.line((why_not_cheapest(costs, cheapest, own), "dim"))


def why_not_cheapest(costs: Costs, cheapest: dict[str, Any], own: float) -> str:
    """Why the threshold that follows from the costs is suggested, and not the one that cost least here."""
    return (
        f"The threshold {costs.threshold[:5]} follows from (1 - score) × misroute < escalation, which takes a score at "
        f"its word and holds for other messages too; {cheapest['threshold'][:5]} was "
        f"{(own - cheapest['cost']) / 100:,.2f} cheaper on these, where it was picked with hindsight. Where it "
        "stays cheaper in `route eval` on fresh messages, write that one."
    )


def cost_table(judged: Sequence[Judged], costs: Costs, share: float | None) -> list[dict[str, Any]]:
    """For thresholds from 0 up: the share routed, the share of all that is wrong, and the cost of 100 messages.

    Of messages as they are given, or of traffic of which `share` is out of scope.
    """
    found = []
    weights = weights_of(judged, share) or [1 / len(judged)] * len(judged)
    scored = [(*one.scored, weight) for one, weight in zip(judged, weights, strict=True)]
    own = float(costs.threshold)
    steps = [six(round(step * MILLION)) for step in _STEPS if abs(step - own) > 0.01]
    for threshold in sorted((*steps, costs.threshold), key=float):
        least = float(threshold)
        routed = math.fsum(weight for score, _, weight in scored if score >= least)
        wrong = math.fsum(weight for score, right, weight in scored if score >= least and not right)
        cost = (wrong * costs.misroute + max(0.0, 1 - routed) * costs.escalation) * 100
        found.append(
            {
                "threshold": threshold,
                "routed": round(routed, 6),
                "wrong": round(wrong, 6),
                "cost": round(cost, 6),
            }
        )
    return found


def show_several(terminal: Terminal, found: SeveralFigures, threshold: str, notice: str) -> None:
    """Of messages with several labels: what is queued, asked about, and left."""
    terminal.rule("Several issues in one message")
    terminal.line(
        f"At threshold {threshold[:5]} ",
        (f"{found.recall:.1%}", "bold"),
        f" of {counted(found.labels, 'label')} in {counted(found.messages, 'message')} are queued "
        f"({found.precision:.1%} of what is queued is right). From {notice[:5]} on, {counted(found.asked, 'label')} "
        f"more are asked about, {found.alone:,} are in messages that are unsure as a whole, and ",
        (f"{found.silent:.1%}", "bold"),
        " are left in silence.",
    )


def document(found: Measurement, costs: Costs | None, judged: Sequence[Judged]) -> dict[str, Any]:
    """The report as JSON data. Shares are between 0 and 1; a promise is null where no threshold keeps it."""
    return {
        "messages": found.inside,
        "out_of_scope": found.outside,
        "accuracy": round(found.accuracy, 6),
        "top_two": round(found.top_two, 6),
        "coverage": [
            {"error": error, "ours": round(ours, 6), "all": round(everything, 6)}
            for error, ours, everything in found.coverage
        ],
        "promises": [{"error": error, "promise": _promise_document(promise)} for error, promise in found.promises],
        "outside_share": found.share,
        "calibration_error": round(found.reliability.error, 6),
        "reliability": [
            {"messages": one.count, "score": round(one.score, 6), "right": round(one.right, 6)}
            for one in found.reliability.bins
        ],
        "scope": {
            "threshold": found.scope,
            "auroc": found.scope_auroc if found.scope_auroc is None else round(found.scope_auroc, 6),
            "recall": found.scope_recall if found.scope_recall is None else round(found.scope_recall, 6),
        },
        "labels": [
            {"label": one.label, "messages": one.examples, "recognised": one.recognised, "wrongly": one.wrongly_given}
            for one in found.labels
        ],
        "confusion": [
            {"label": label, "taken_for": given, "messages": count} for label, given, count in found.confusion
        ],
        "curve": [_point(one) for one in thinned(found.curve, 200)],
        "mixed": [_point(one) for one in thinned(found.mixed, 200)],
        "costs": None
        if costs is None
        else {"threshold": costs.threshold, "table": cost_table(judged, costs, found.share)},
    }


def _point(one: Any) -> dict[str, float]:
    return {"threshold": round(one.threshold, 6), "coverage": round(one.coverage, 6), "error": round(one.error, 6)}


def _promise_document(promise: Promise | None) -> dict[str, Any] | None:
    if promise is None:
        return None
    return {
        "threshold": promise.threshold,
        "coverage": round(promise.coverage, 6),
        "routed": promise.routed,
        "wrong": promise.wrong,
        "n": promise.n,
        "bound": round(promise.bound, 6),
        "leaked": promise.leaked,
        "traffic": None if promise.traffic is None else round(promise.traffic, 6),
        "confidence": promise.confidence,
    }
