"""Routing in two steps: measure the message (`evidence`), then decide from what was measured (`choose`).

`choose` never sees the text, so a recorded message is routed again without it, and a changed threshold
is tried on all of history. Numbers are compared as whole millionths: the log holds no floats.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from ..contracts.errors import Fault, FlowError
from ..contracts.flow import RouterSpec, RuleSpec
from ..contracts.routing import (
    Classifier,
    RouteStage,
    RoutingDecision,
    RoutingEvidence,
    RuleHit,
    Score,
    StageVerdict,
)
from ..contracts.values import fixed, listed, printable
from .screen import screen_rules, screened

TOP = 5
"""How many scores stand in the evidence."""
UNSURE = "unsure"
BLOCKED = "blocked"

_NESTED_QUANTIFIER = re.compile(r"[+*}]\)[+*{]")


# -- measuring ---------------------------------------------------------------------------------------


def evidence(
    spec: RouterSpec, text: str, *, classifier: Classifier | None, candidates: tuple[str, ...] = ()
) -> RoutingEvidence:
    """Everything that deciding needs to know about `text`; total on any text.

    A message that screening blocks, or that is longer than the router reads, is measured no further.
    `candidates` are the labels of the clarifying question that `text` answers.
    """
    screen = screened(spec, text)
    if any(verdict.blocked for verdict in screen) or len(text) > spec.max_characters:
        return RoutingEvidence(screen=screen)
    hits, picked = rule_hits(spec, text), picked_from(spec, text, candidates)
    if classifier is None:
        return RoutingEvidence(screen=screen, rules=hits, picked=picked)
    ranked, scope = classifier.score(text)
    return RoutingEvidence(
        screen=screen,
        rules=hits,
        picked=picked,
        scores=tuple(Score(label=label, score=fixed(score)) for label, score in ranked[:TOP]),
        scope=fixed(scope),
        artefact=classifier.digest,
    )


def rule_hits(spec: RouterSpec, text: str) -> tuple[RuleHit, ...]:
    """The rules that match, in the flow's order; of each rule the first phrase or pattern that does."""
    folded = _folded(text)
    found = ((rule.label, _matched(rule, text, folded)) for rule in spec.rules)
    return tuple(RuleHit(label=label, rule=printable(named)) for label, named in found if named is not None)


@dataclass(frozen=True, slots=True)
class _Compiled:
    phrases: tuple[tuple[str, re.Pattern[str]], ...]
    patterns: tuple[tuple[str, re.Pattern[str]], ...]


@lru_cache(maxsize=2048)
def _compiled(rule: RuleSpec) -> _Compiled:
    try:
        return _Compiled(
            tuple((phrase, _whole_words(phrase)) for phrase in rule.any),
            tuple((pattern, re.compile(pattern, re.IGNORECASE)) for pattern in rule.patterns),
        )
    except re.error as error:
        raise FlowError(
            f"A pattern of the rule for {rule.label!r} is not a regular expression: {error}.",
            fix="Mend the pattern, or write it as a phrase under `any`.",
        ) from error


def _whole_words(phrase: str) -> re.Pattern[str]:
    words = r"\s+".join(re.escape(word) for word in _folded(phrase).split())
    return re.compile(rf"(?<!\w){words}(?!\w)")


def _matched(rule: RuleSpec, text: str, folded: str) -> str | None:
    compiled = _compiled(rule)
    for phrase, pattern in compiled.phrases:
        if pattern.search(folded):
            return phrase
    return next((written for written, pattern in compiled.patterns if pattern.search(text)), None)


def _folded(text: str) -> str:
    """Without case, and with the apostrophe that telephones write made the plain one."""
    return text.casefold().replace("\u2019", "'")


def router_faults(spec: RouterSpec) -> tuple[Fault, ...]:
    """What is wrong with a router, all of it: for whoever loads the flow."""
    return (*_screen_faults(spec), *(fault for rule in spec.rules for fault in _rule_faults(spec, rule)))


def _screen_faults(spec: RouterSpec) -> Iterable[Fault]:
    for name in spec.screen:
        if name not in screen_rules():
            yield Fault(
                "unknown_screen",
                f"Router {spec.name!r} screens with {name!r}, which does not exist.",
                f"Use one of {listed(screen_rules())}.",
                where=f"router {spec.name}",
            )
    for name, number in (("threshold", spec.threshold), ("margin", spec.margin), ("scope", spec.scope)):
        if not 0 <= _millionths(number) <= 1_000_000:
            yield Fault(
                "threshold_range",
                f"Router {spec.name!r} has the {name} {number}, and scores are between 0 and 1.",
                "Give a number from 0 to 1.",
                where=f"router {spec.name}",
            )


def _rule_faults(spec: RouterSpec, rule: RuleSpec) -> Iterable[Fault]:
    where = f"router {spec.name}, rule for {rule.label}"
    if rule.label not in spec.labels:
        yield Fault(
            "unknown_label",
            f"A rule routes to {rule.label!r}, which is not a label of router {spec.name!r}.",
            f"Use one of {listed(spec.labels)}, or add the label.",
            where=where,
        )
    if not rule.any and not rule.patterns:
        yield Fault("empty_rule", "A rule has neither phrases nor patterns.", "Give it one, or delete it.", where=where)
    for phrase in rule.any:
        if not phrase.strip():
            yield Fault("empty_phrase", "A phrase of a rule is empty.", "Write words, or delete it.", where=where)
    for pattern in rule.patterns:
        problem = _pattern_problem(pattern)
        if problem:
            yield Fault("bad_pattern", f"The pattern {pattern!r} {problem}.", "Mend the pattern.", where=where)


def _pattern_problem(pattern: str) -> str:
    """Why a pattern is refused. Repeats of repeats are what makes a search take for ever."""
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        return f"is not a regular expression: {error}"
    if compiled.search(""):
        return "matches the empty message, and so every message"
    return "repeats a repeat, which can take for ever" if _NESTED_QUANTIFIER.search(pattern) else ""


# -- the answer to a clarifying question -------------------------------------------------------------

_TOKEN = re.compile(r"[^\W_]+")
_FILLER_WORDS = """
the one option number answer choice choose pick take want would like please pls plz i id ill mean meant it its is
that thats think guess go with for my thanks thank you about yes yeah yep ok okay sorry just
"""
_FILLER = frozenset(_FILLER_WORDS.split())
_NEGATION = frozenset(
    {"not", "no", "neither", "none", "nor", "both", "either", "dont", "isnt", "different", "else", "other"}
)
_ORDINALS = (
    frozenset({"first", "1st", "1", "a", "former", "one"}),
    frozenset({"second", "2nd", "2", "b", "latter", "two"}),
    frozenset({"third", "3rd", "3", "c", "three"}),
    frozenset({"fourth", "4th", "4", "d", "four"}),
    frozenset({"fifth", "5th", "5", "e", "five"}),
)
_AGREED = frozenset({"yes", "yeah", "yep", "yup", "correct", "right", "exactly", "sure"})
_LONGEST_ANSWER = 10
"""In words: what is longer is a new message, which the classifier reads."""


def picked_from(spec: RouterSpec, text: str, candidates: tuple[str, ...]) -> str | None:
    """Which of `candidates` the person chose, or None where the answer does not say so plainly."""
    words = _TOKEN.findall(_folded(text[:200]).replace("'", ""))
    if not candidates or not words or len(words) > _LONGEST_ANSWER or len(text) > 200:
        return None
    if not _NEGATION.isdisjoint(words):
        return None
    position = _ordinal(words, len(candidates))
    if position is not None:
        return candidates[position] if position < len(candidates) else None
    named = [label for label in candidates if set(label.casefold().split("_")) <= set(words)]
    if named:
        return named[0] if len(named) == 1 else _most_precise(named)
    described = [label for label in candidates if _describes(words, spec.labels.get(label, ""))]
    return described[0] if len(described) == 1 else None


def _ordinal(words: list[str], count: int) -> int | None:
    """The place in the list that the answer gives; a place beyond the list is still an answer."""
    if count == 1 and _AGREED.issuperset(words):
        return 0
    left = [word for word in words if word not in _FILLER] or (["one"] if words in (["one"], ["number", "one"]) else [])
    if left == ["last"]:
        return count - 1
    if len(left) > 1 and len(words) > 2 and words[0] == "the" and words[2] in ("one", "option", "choice"):
        left = [words[1]]
    places = [place for place, spellings in enumerate(_ORDINALS) if len(left) == 1 and left[0] in spellings]
    return places[0] if places else None


def _describes(words: list[str], says: str) -> bool:
    """Whether the answer holds only words of a label's description."""
    said = {word for word in words if word not in _FILLER and len(word) > 2}
    return bool(said) and said <= set(_TOKEN.findall(_folded(says).replace("'", "")))


def _most_precise(labels: list[str]) -> str | None:
    """`lost_card` rather than `card` where both were named; None where neither contains the other."""
    longest = max(labels, key=lambda label: label.count("_"))
    parts = set(longest.split("_"))
    return longest if all(set(label.split("_")) <= parts for label in labels) else None


# -- deciding ----------------------------------------------------------------------------------------


def choose(spec: RouterSpec, evidence: RoutingEvidence) -> RoutingDecision:
    """The label, `unsure` or `blocked`: from the evidence alone, the same today and in ten years.

    In this order: a blocked screen closes; what the person picked stands; rules that agree and pass the
    scope gate; the classifier above scope, threshold and margin; otherwise unsure.
    """
    stages: tuple[tuple[RouteStage, str, str], ...] = (
        ("screen", *_by_screen(evidence)),
        ("picked", *_by_person(spec, evidence)),
        ("rules", *_by_rules(spec, evidence)),
        ("classifier", *_by_classifier(spec, evidence)),
    )
    verdicts: list[StageVerdict] = []
    outcome = ""
    by: RouteStage = "none"
    for stage, chosen, said in stages:
        verdicts.append(StageVerdict(stage=stage, said=said if not outcome else "not reached"))
        if chosen and not outcome:
            outcome, by = chosen, stage
    measured = bool(evidence.scores) or evidence.scope is not None
    return RoutingDecision(
        outcome=outcome or UNSURE,
        stage=by,
        verdicts=tuple(verdicts),
        threshold=spec.threshold if measured else None,
        margin=spec.margin if measured else None,
        scope=spec.scope if measured else None,
        candidates=_candidates(spec, evidence) if outcome in ("", UNSURE) else (),
    )


def _by_screen(evidence: RoutingEvidence) -> tuple[str, str]:
    blocked = [verdict.rule for verdict in evidence.screen if verdict.blocked]
    if blocked:
        return BLOCKED, f"blocked by {printable(', '.join(blocked))}"
    return "", "passed" if evidence.screen else "nothing screened"


def _by_person(spec: RouterSpec, evidence: RoutingEvidence) -> tuple[str, str]:
    if evidence.picked is None:
        return "", "nothing picked"
    if evidence.picked not in spec.labels:
        return "", "what was picked is no label of this router"
    return evidence.picked, "picked by the person"


def _by_rules(spec: RouterSpec, evidence: RoutingEvidence) -> tuple[str, str]:
    labels = _distinct(hit.label for hit in evidence.rules if hit.label in spec.labels)
    if not labels:
        return "", "no rule matched"
    if len(labels) > 1:
        return UNSURE, "rules of different labels matched"
    if not _in_scope(spec, evidence):
        return UNSURE, "a rule matched a message that is out of scope"
    return labels[0], "every rule that matched agrees"


def _by_classifier(spec: RouterSpec, evidence: RoutingEvidence) -> tuple[str, str]:
    if not evidence.scores:
        return "", "no scores"
    if spec.classifier is not None and evidence.artefact is not None and evidence.artefact != spec.classifier:
        return "", "scored by another classifier than the flow's"
    if not _in_scope(spec, evidence):
        return "", "out of scope"
    first, *rest = evidence.scores
    best = _millionths(first.score)
    if first.label not in spec.labels:
        return "", "the best label is no label of this router"
    if best < _millionths(spec.threshold):
        return "", "below the threshold"
    if best - (_millionths(rest[0].score) if rest else 0) < _millionths(spec.margin):
        return "", "the two best are too close"
    return first.label, "above scope, threshold and margin"


def _in_scope(spec: RouterSpec, evidence: RoutingEvidence) -> bool:
    return evidence.scope is None or _millionths(evidence.scope) >= _millionths(spec.scope)


def _candidates(spec: RouterSpec, evidence: RoutingEvidence) -> tuple[str, ...]:
    """The two labels to ask about: what rules found first, then the best scores."""
    found = (*(hit.label for hit in evidence.rules), *(score.label for score in evidence.scores))
    return _distinct(label for label in found if label in spec.labels)[:2]


def _distinct(labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(labels))


def _millionths(number: str) -> int:
    """A `Decimal6` as a whole number of millionths: exact, unlike a float."""
    return int(number.replace(".", ""))
