"""The stages a router may add: escalations, thresholds from costs, the model, the label that holds, several issues."""

import pytest

from interlock.contracts.canonical import sha256_hex
from interlock.contracts.flow import RouterSpec, RoutingCosts, RuleSpec
from interlock.contracts.routing import ModelLabel, RoutingEvidence, RoutingPart, RuleHit, Score, ScreenVerdict
from interlock.fsm.clauses import clauses
from interlock.fsm.route import choose, evidence, taken_up

SPEC = RouterSpec(
    name="triage",
    labels={"card": "a card", "transfer": "a transfer", "refund": "a refund", "person": "a person"},
    rules=(RuleSpec(label="refund", any=("money back",)), RuleSpec(label="card", any=("my card",))),
    threshold="0.600000",
    scope="0.300000",
)
LEGAL = SPEC.changed(escalations=(RuleSpec(label="person", any=("my lawyer", "sue you"), patterns=(r"\bjudge\b",)),))


def scores(**by_label: str) -> tuple[Score, ...]:
    return tuple(Score(label=label, score=score) for label, score in by_label.items())


def part(scope: str = "0.900000", **by_label: str) -> RoutingPart:
    return RoutingPart(scores=scores(**by_label), scope=scope)


class Attack:
    """A screening classifier that looks for one word."""

    digest = sha256_hex(b"attack")
    labels: tuple[str, ...] = ("attack", "harmless")

    def score(self, text: str) -> tuple[tuple[tuple[str, float], ...], float]:
        bad = 0.95 if "obey" in text else 0.05
        return tuple(sorted((("attack", bad), ("harmless", 1 - bad)), key=lambda one: -one[1])), 1.0


# -- escalations


def test_a_legal_threat_goes_before_everything_but_the_screen():
    """Whatever the rules, the scores and the scope say, and whatever was picked."""
    taken = evidence(LEGAL, "my lawyer wants my card's money back", classifier=None, candidates=("card", "refund"))
    decision = choose(LEGAL, taken.changed(scope="0.000000", picked="card"))
    assert (decision.outcome, decision.stage) == ("person", "escalation")
    assert taken.escalations == (RuleHit(label="person", rule="my lawyer"),)
    closed = taken.changed(screen=(ScreenVerdict(rule="size", blocked=True),))
    assert choose(LEGAL, closed).outcome == "blocked"


def test_without_a_threat_the_other_stages_decide():
    """And the stage says that it found nothing."""
    decision = choose(LEGAL, evidence(LEGAL, "I want my money back", classifier=None))
    assert (decision.outcome, decision.stage) == ("refund", "rules")
    assert [verdict.said for verdict in decision.verdicts if verdict.stage == "escalation"] == ["nothing to escalate"]


# -- thresholds


@pytest.mark.parametrize(
    ("changes", "label", "routed"),
    [
        ({}, "refund", True),
        ({"thresholds": {"refund": "0.710000"}}, "refund", False),
        ({"thresholds": {"refund": "0.700000"}}, "refund", True),
        ({"thresholds": {"card": "0.990000"}}, "refund", True),
        # (1 - p) * 20 < 6 only where p is above 0.7
        ({"costs": RoutingCosts(escalation=6, misroute=20)}, "refund", False),
        ({"costs": RoutingCosts(escalation=7, misroute=20)}, "refund", True),
        ({"costs": RoutingCosts(escalation=6, misroute=20, labels={"refund": 10})}, "refund", True),
        ({"costs": RoutingCosts(escalation=6, labels={"card": 100})}, "refund", True),
        ({"costs": RoutingCosts(escalation=6, misroute=20), "thresholds": {"refund": "0.500000"}}, "refund", True),
    ],
)
def test_a_label_is_routed_to_only_above_its_own_threshold(changes: dict[str, object], label: str, routed: bool):
    """Given for the label, or from what a mistake costs, or the router's."""
    taken = RoutingEvidence(scores=scores(**{label: "0.700000"}), scope="0.900000")
    assert (choose(SPEC.changed(**changes), taken).outcome == label) is routed


def test_the_decision_says_the_threshold_of_the_best_label():
    """So that a reader sees which one applied."""
    taken = RoutingEvidence(scores=scores(refund="0.700000"), scope="0.900000")
    costly = SPEC.changed(costs=RoutingCosts(escalation=6, misroute=20))
    assert choose(costly, taken).threshold == "0.700001"
    assert choose(SPEC, taken).threshold == "0.600000"


# -- the model, and the label that holds

UNCLEAR = RoutingEvidence(scores=scores(card="0.400000", transfer="0.300000"), scope="0.900000")
ASKING = SPEC.changed(agent="sorter")


def test_the_model_is_asked_where_the_classifier_is_unsure():
    """First the decision says so; the answer, as recorded, decides."""
    first = choose(ASKING, UNCLEAR)
    assert (first.outcome, first.stage, first.asks_model) == ("unsure", "none", True)
    second = choose(ASKING, UNCLEAR.changed(modelled=ModelLabel(label="transfer", event=7)))
    assert (second.outcome, second.stage, second.asks_model) == ("transfer", "model", False)


@pytest.mark.parametrize("answer", ["unsure", "weather"])
def test_an_answer_that_is_no_label_is_unsure(answer: str):
    """The model chooses from the labels or not at all; the candidates stay."""
    decision = choose(ASKING, UNCLEAR.changed(modelled=ModelLabel(label=answer, event=7)))
    assert (decision.outcome, decision.asks_model) == ("unsure", False)
    assert decision.candidates == ("card", "transfer")
    assert decision.verdicts[-1].said == "the model was unsure"


def test_the_model_settles_rules_that_disagree():
    """Without it, such a message is unsure."""
    torn = RoutingEvidence(rules=(RuleHit(label="card", rule="my card"), RuleHit(label="refund", rule="money back")))
    assert choose(SPEC, torn).stage == "rules"
    assert choose(ASKING, torn).asks_model
    assert choose(ASKING, torn.changed(modelled=ModelLabel(label="refund", event=1))).outcome == "refund"


def test_an_unclear_message_stays_with_the_label_that_has_the_conversation():
    """After the model; a clear one leaves; and only a label of the router holds anything."""
    sticky = SPEC.changed(sticky=True)
    held = UNCLEAR.changed(held="refund")
    assert (choose(sticky, held).outcome, choose(sticky, held).stage) == ("refund", "sticky")
    assert choose(SPEC, held).outcome == "unsure"
    assert choose(sticky, held.changed(scores=scores(card="0.900000"))).outcome == "card"
    assert choose(sticky, held.changed(held="weather")).outcome == "unsure"
    both = sticky.changed(agent="sorter")
    assert choose(both, held).asks_model
    assert choose(both, held.changed(modelled=ModelLabel(label="unsure", event=1))).stage == "sticky"
    assert evidence(SPEC, "hm", classifier=None, held="weather").held is None


# -- several issues

SEVERAL = SPEC.changed(several=True)
MONEY_BACK = RuleHit(label="refund", rule="money back")
MY_CARD = RuleHit(label="card", rule="my card")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I lost my card", ()),
        ("I lost my card. Send me the money!", ("I lost my card.", "Send me the money!")),
        ("I lost my card and I want a refund", ("I lost my card", "I want a refund")),
        ("my debit and credit card", ()),
        ("freeze my card, and also where is my transfer", ("freeze my card", "where is my transfer")),
        ("block the card but keep the account open", ("block the card", "keep the account open")),
        ("", ()),
        ("?!.,;", ()),
        (
            "one two three. " * 9,
            ("one two three.",) * 5 + ("one two three. one two three. one two three. one two three.",),
        ),
    ],
)
def test_a_message_is_cut_into_clauses(text: str, found: tuple[str, ...]):
    """Sentences, and what is joined where both sides say something; what comes after the sixth stays with it."""
    assert clauses(text) == found


def test_two_clear_issues_are_queued_in_the_order_they_were_said():
    """The first is the outcome, the others wait."""
    taken = RoutingEvidence(
        scores=scores(card="0.450000", transfer="0.440000"),
        scope="0.900000",
        parts=(part(transfer="0.900000"), part(card="0.800000"), part(transfer="0.700000")),
    )
    decision = choose(SEVERAL, taken)
    assert (decision.outcome, decision.queue, decision.stage) == ("transfer", ("card",), "classifier")
    assert choose(SPEC, taken).outcome == "unsure"


def test_an_issue_that_is_not_clear_is_asked_about_at_the_end():
    """Not dropped, and not guessed: `unsure` stands last, with the labels to offer."""
    taken = RoutingEvidence(
        scores=scores(card="0.700000"),
        scope="0.900000",
        parts=(part(card="0.900000"), part(refund="0.300000", transfer="0.200000")),
    )
    decision = choose(SEVERAL, taken)
    assert (decision.outcome, decision.queue, decision.offered) == ("card", ("unsure",), ("refund", "transfer"))
    assert decision.candidates == ()


@pytest.mark.parametrize("second", [part(card="0.300000", refund="0.200000"), part(refund="0.050000")])
def test_more_of_the_same_and_chatter_are_not_asked_about(second: RoutingPart):
    """A clause whose best guess is the issue already found, or that is like nothing."""
    taken = RoutingEvidence(scores=scores(card="0.700000"), scope="0.900000", parts=(part(card="0.900000"), second))
    assert choose(SEVERAL, taken).queue == ()


def test_rules_of_different_labels_are_several_issues():
    """Where one issue a message is the rule, they would be a contradiction."""
    taken = evidence(SEVERAL, "block my card please. Then I want my money back", classifier=None)
    decision = choose(SEVERAL, taken)
    assert (decision.outcome, decision.queue, decision.stage) == ("card", ("refund",), "rules")
    assert choose(SPEC, evidence(SPEC, "my card, money back", classifier=None)).outcome == "unsure"


@pytest.mark.parametrize("ruled_first", [False, True])
def test_a_rule_and_the_classifier_share_a_message_in_either_order(ruled_first: bool):
    """The first clause is the outcome, by whichever stage gave it; the other waits."""
    by_rule, by_score = RoutingPart(rules=(MONEY_BACK,), scope="0.900000"), part(transfer="0.900000")
    clauses = (by_rule, by_score) if ruled_first else (by_score, by_rule)
    decision = choose(SEVERAL, RoutingEvidence(rules=(MONEY_BACK,), scope="0.900000", parts=clauses))
    expected = ("refund", ("transfer",), "rules") if ruled_first else ("transfer", ("refund",), "classifier")
    assert (decision.outcome, decision.queue, decision.stage) == expected


def test_rules_of_different_labels_behind_a_clear_clause_wait():
    """They are further issues, and no contradiction, where the classifier gives the first."""
    both = (MY_CARD, MONEY_BACK)
    clauses = (part(transfer="0.900000"), *(RoutingPart(rules=(one,), scope="0.900000") for one in both))
    decision = choose(SEVERAL, RoutingEvidence(rules=both, scope="0.900000", parts=clauses))
    assert (decision.outcome, decision.queue) == ("transfer", ("card", "refund"))


@pytest.mark.parametrize(("spec", "queue"), [(SEVERAL, ("transfer", "refund")), (SPEC, ())])
def test_an_escalation_keeps_the_other_issues(spec: RouterSpec, queue: tuple[str, ...]):
    """They wait behind it; what is only likely is left to whoever reads the message."""
    clauses = (part(transfer="0.900000"), RoutingPart(rules=(MONEY_BACK,)), part(card="0.300000"))
    threat = RuleHit(label="person", rule="my lawyer")
    decision = choose(spec, RoutingEvidence(escalations=(threat,), rules=(MONEY_BACK,), parts=clauses))
    assert (decision.outcome, decision.queue, decision.stage) == ("person", queue, "escalation")


@pytest.mark.parametrize(("spec", "queue"), [(SEVERAL, ("refund",)), (SPEC, ())])
def test_what_was_said_besides_a_choice_waits(spec: RouterSpec, queue: tuple[str, ...]):
    """`the card, and I want my money back` answers the question and asks for more."""
    decision = choose(spec, RoutingEvidence(picked="card", rules=(MONEY_BACK,)))
    assert (decision.outcome, decision.queue, decision.stage) == ("card", queue, "picked")


def test_escalations_of_different_labels_are_several_issues():
    """The first is the outcome, as ever."""
    threats = (RuleHit(label="person", rule="my lawyer"), RuleHit(label="card", rule="stolen"))
    assert choose(SEVERAL, RoutingEvidence(escalations=threats)).queue == ("card",)
    assert choose(SPEC, RoutingEvidence(escalations=threats)).queue == ()


def test_independent_scores_give_every_label_above_its_threshold():
    """And what is above `notice` is asked about."""
    taken = RoutingEvidence(
        scores=scores(card="0.900000", refund="0.700000", transfer="0.200000", person="0.010000"),
        scope="0.900000",
        independent=True,
    )
    decision = choose(SEVERAL, taken)
    assert (decision.outcome, decision.queue, decision.offered) == ("card", ("refund", "unsure"), ("transfer",))


def test_a_queued_label_is_taken_up_without_measuring_anew():
    """One after the other, and the question last."""
    first = choose(SEVERAL, RoutingEvidence(
        scores=scores(card="0.900000", refund="0.700000", transfer="0.200000"), scope="0.900000", independent=True
    ))  # fmt: skip
    second = choose(SEVERAL, taken_up(first))
    assert (second.outcome, second.queue, second.stage) == ("refund", ("unsure",), "queued")
    third = choose(SEVERAL.changed(agent="sorter", sticky=True), taken_up(second))
    assert (third.outcome, third.queue, third.stage) == ("unsure", (), "queued")
    assert (third.candidates, third.asks_model) == (("transfer",), False)


# -- the screening classifier

GUARDED = SPEC.changed(screen_classifier=Attack.digest)


def test_a_screening_classifier_closes_and_its_score_is_kept():
    """From its threshold on; below it, it only says its score."""
    passed = evidence(GUARDED, "my card", classifier=None, screener=Attack())
    assert passed.screen[-1] == ScreenVerdict(rule="classifier", blocked=False, score="0.050000")
    assert choose(GUARDED, passed).outcome == "card"
    closed = evidence(GUARDED, "obey: my card", classifier=None, screener=Attack())
    assert closed == RoutingEvidence(screen=closed.screen)
    assert closed.screen[-1] == ScreenVerdict(rule="classifier", blocked=True, score="0.950000")
    lenient = GUARDED.changed(screen_threshold="0.960000")
    assert choose(lenient, evidence(lenient, "obey: my card", classifier=None, screener=Attack())).outcome == "card"


class Broken(Attack):
    def score(self, text: str) -> tuple[tuple[tuple[str, float], ...], float]:
        raise RuntimeError("no memory")


class Other(Attack):
    digest = sha256_hex(b"other")


class Blind(Attack):
    def score(self, text: str) -> tuple[tuple[tuple[str, float], ...], float]:
        return (("harmless", 1.0),), 1.0


@pytest.mark.parametrize("screener", [None, Broken(), Other(), Blind()])
def test_a_screening_classifier_that_cannot_say_closes(screener: Attack | None):
    """It is not there, raises, is another one, or does not know attacks: nothing passes."""
    taken = evidence(GUARDED, "my card", classifier=None, screener=screener)
    assert taken.screen[-1] == ScreenVerdict(rule="classifier", blocked=True)
    assert choose(GUARDED, taken).outcome == "blocked"
