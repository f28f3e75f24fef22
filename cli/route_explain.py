"""`interlock route explain`: for one message, which stage decided, why, and which words weighed."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts.errors import CallError
from ..contracts.routing import RoutingDecision, RoutingEvidence
from ..fsm.clauses import clauses
from ..fsm.route import choose, evidence
from ..fsm.thresholds import millionths, six, threshold_of
from .route_target import Target, adjusted, target_of
from .terminal import MARKS, Part, Terminal, safe, write_json

_MOST_WORDS = 8
_BAR = 20
_NO_GATES = (
    "no gates given: the best label wins, whatever its score, even of a message that is none of yours. Give "
    "--threshold and --scope, which training suggests, or the flow that has them."
)


@dataclass(frozen=True, slots=True)
class Question:
    """What the command line asked for."""

    router: str
    named: str
    message: str
    held: str
    threshold: str
    scope: str
    embed: Path | None = None


def explain(asked: Question, as_json: bool) -> None:
    """Print the explanation. Raises `CallError` for a held label that the router has not."""
    text = sys.stdin.read().rstrip("\n") if asked.message == "-" else asked.message
    target = adjusted(target_of(asked.router, asked.named, asked.embed), asked.threshold, asked.scope)
    held = asked.held
    if held and held not in target.spec.labels:
        raise CallError(f"{held!r} is no label of the router.", fix=f"Its labels: {', '.join(target.spec.labels)}.")
    taken = evidence(target.spec, text, classifier=target.classifier, screener=target.screener, held=held or None)
    made = choose(target.spec, taken)
    if as_json:
        write_json(_document(target, text, taken, made))
    else:
        _show(Terminal(), target, text, taken, made)


def _document(target: Target, text: str, taken: RoutingEvidence, made: RoutingDecision) -> dict[str, Any]:
    return {
        "outcome": made.outcome,
        "stage": made.stage,
        "gated": target.gated,
        "decision": made.model_dump(mode="json", exclude_none=True),
        "evidence": taken.model_dump(mode="json", exclude_none=True),
        "thresholds": {one.label: six(threshold_of(target.spec, one.label)) for one in taken.scores},
        "words": [
            {"word": word, "weight": round(weight, 6), "for": first, "against": second}
            for first, second, weighed in _weighed(target, text, taken)
            for word, weight in weighed
        ],
    }


def _weighed(target: Target, text: str, taken: RoutingEvidence) -> list[tuple[str, str, tuple[tuple[str, float], ...]]]:
    """The two best labels and what spoke for the first against the second."""
    if target.table is None or len(taken.scores) < 2:
        return []
    first, second = taken.scores[0].label, taken.scores[1].label
    return [(first, second, target.table.weighed(text, first, second)[:_MOST_WORDS])]


def _show(terminal: Terminal, target: Target, text: str, taken: RoutingEvidence, made: RoutingDecision) -> None:
    terminal.line(("“" + safe(text, 400) + "”", "italic"))
    terminal.blank()
    by_default = made.stage == "classifier" and not target.gated
    good = made.outcome not in ("unsure", "blocked") and not by_default
    by = "nothing decided" if made.stage == "none" else f"decided by {made.stage}"
    terminal.hang(
        terminal.text((MARKS.good, "bold green") if good else (MARKS.warn, "bold yellow")),
        (made.outcome, "bold"),
        f"  {by}",
    )
    if by_default:
        terminal.line((_NO_GATES, "yellow"), indent=2)
    if made.queue:
        terminal.line(f"then {', then '.join(made.queue)}", indent=2)
    if made.asks_model:
        terminal.line(f"the agent {target.spec.agent} is asked for a label first", indent=2)
    if made.candidates or made.offered:
        words = " or ".join(target.spec.labels[one] or one for one in made.candidates or made.offered)
        terminal.line(f"the clarifying question would offer: {words}", indent=2)
    terminal.rule("Stage by stage")
    rows: list[list[Part]] = []
    for verdict in made.verdicts:
        style = "bold" if verdict.stage == made.stage else "dim" if verdict.said == "not reached" else ""
        rows.append([(verdict.stage, style), (verdict.said, style)])
    terminal.table(["stage", "said"], rows, whole=(0,))
    _screens(terminal, taken)
    for hit in (*taken.escalations, *taken.rules):
        terminal.line((f"the rule {hit.rule!r} gives {hit.label}", "dim"))
    _scores(terminal, target, taken)
    _words(terminal, target, text, taken)
    _parts(terminal, text, taken)


def _screens(terminal: Terminal, taken: RoutingEvidence) -> None:
    words = ", ".join(
        f"{one.rule} {'blocked' if one.blocked else 'passed'}{f' ({one.score[:5]})' if one.score else ''}"
        for one in taken.screen
    )
    if words:
        terminal.line((f"screens: {words}", "dim"))


def _scores(terminal: Terminal, target: Target, taken: RoutingEvidence) -> None:
    if not taken.scores:
        return
    terminal.rule("Scores against their thresholds")
    full, empty = ("█", "·") if terminal.unicode else ("#", ".")
    rows: list[list[Part]] = []
    for one in taken.scores:
        least = threshold_of(target.spec, one.label)
        filled = round(millionths(one.score) / 1_000_000 * _BAR)
        above = millionths(one.score) >= least
        bar = (full * filled + empty * (_BAR - filled), "green" if above else "yellow")
        rows.append([one.label, bar, one.score[:5], f"{'≥' if above else '<'} {six(least)[:5]}"])
    terminal.table(["label", "", "score", "threshold"], rows, right=(2,))
    if taken.scope is not None:
        inside = millionths(taken.scope) >= millionths(target.spec.scope)
        sign = "≥" if inside else "<"
        words = "it may be ours" if inside else "it is none of ours"
        terminal.line(f"scope {taken.scope[:5]} {sign} {target.spec.scope[:5]}: {words}")
    if millionths(target.spec.margin) and len(taken.scores) > 1:
        gap = millionths(taken.scores[0].score) - millionths(taken.scores[1].score)
        sign = "≥" if gap >= millionths(target.spec.margin) else "<"
        terminal.line(f"margin {six(max(0, gap))[:5]} {sign} {target.spec.margin[:5]}")


def _words(terminal: Terminal, target: Target, text: str, taken: RoutingEvidence) -> None:
    for first, second, weighed in _weighed(target, text, taken):
        if not weighed:
            continue
        terminal.rule(f"What weighed for {first}, against {second}")
        most = max(abs(weight) for _, weight in weighed) or 1.0
        full = "█" if terminal.unicode else "#"
        rows: list[list[Part]] = [
            [safe(word, 30), f"{weight:+.2f}", (full * max(1, round(abs(weight) / most * _BAR)),
             "green" if weight > 0 else "red")]
            for word, weight in weighed
        ]  # fmt: skip
        terminal.table(["word", "weight", ""], rows, right=(1,))


def _parts(terminal: Terminal, text: str, taken: RoutingEvidence) -> None:
    if not taken.parts:
        return
    terminal.rule("Clause by clause")
    rows: list[list[Part]] = []
    for clause, part in zip(clauses(text), taken.parts, strict=False):
        best = f"{part.scores[0].label} {part.scores[0].score[:5]}" if part.scores else "-"
        rules = ", ".join(f"rule {hit.rule!r}" for hit in part.rules)
        rows.append([safe(clause, 50), best, rules])
    terminal.table(["clause", "best", "rules"], rows)
