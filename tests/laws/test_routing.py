"""Routing is total on any text and any evidence, decided by the evidence alone, and a stricter gate never opens."""

from hypothesis import given
from hypothesis import strategies as st

from interlock.agents.classifier import LinearTable
from interlock.agents.training import train
from interlock.contracts.flow import RouterSpec, RuleSpec
from interlock.contracts.routing import RoutingEvidence, RuleHit, Score, ScreenVerdict
from interlock.contracts.values import fixed
from interlock.fsm.route import choose, evidence, rule_hits
from interlock.fsm.screen import screen_rules, screened

SPEC = RouterSpec(
    name="triage",
    labels={"card": "a card", "transfer": "a transfer", "lost_card": "a lost card"},
    rules=(
        RuleSpec(label="lost_card", any=("lost my card", "stolen"), patterns=(r"nick(ed|t)",)),
        RuleSpec(label="transfer", any=("transfer",)),
    ),
    threshold="0.500000",
    margin="0.100000",
    scope="0.200000",
)
EXAMPLES = [(f"{verb} my card {n}", "card") for n in "abc" for verb in ("use", "pay with", "activate")]
EXAMPLES += [(f"{verb} money to {n}", "transfer") for n in "abc" for verb in ("send", "wire", "transfer")]
ARTEFACT = train(EXAMPLES, seed=1, out_of_scope=["what a day", "tell a joke", "rain"], folds=3).artefact
TABLE = LinearTable.from_bytes(ARTEFACT)

any_text = st.text(st.characters(codec=None, categories=None))
six = st.integers(0, 1_000_000).map(lambda millionths: fixed(millionths / 1_000_000))
names = st.sampled_from(["card", "transfer", "lost_card", "unknown", "unsure"])
evidences = st.builds(
    RoutingEvidence,
    screen=st.lists(st.builds(ScreenVerdict, rule=st.sampled_from(screen_rules()), blocked=st.booleans())).map(tuple),
    rules=st.lists(st.builds(RuleHit, label=names, rule=st.text(max_size=5)), max_size=3).map(tuple),
    picked=st.none() | names,
    scores=st.lists(st.builds(Score, label=names, score=six), max_size=5).map(
        lambda scores: tuple(sorted(scores, key=lambda one: one.score, reverse=True))
    ),
    scope=st.none() | six,
    artefact=st.none() | st.sampled_from(["a" * 64, "b" * 64]),
)


@given(any_text)
def test_evidence_is_taken_of_any_text(text: str):
    """NUL, lone surrogates, anything: measured, and decided to a label, unsure or blocked."""
    taken = evidence(SPEC, text, classifier=TABLE, candidates=("card", "transfer"))
    assert choose(SPEC, taken).outcome in {*SPEC.labels, "unsure", "blocked"}


@given(any_text)
def test_evidence_without_screening_is_taken_of_any_text(text: str):
    """Screening is not what keeps the rest from failing."""
    bare = SPEC.changed(screen=())
    assert choose(bare, evidence(bare, text, classifier=TABLE)).outcome in {*SPEC.labels, "unsure"}


@given(any_text)
def test_the_same_text_gives_the_same_evidence(text: str):
    """Also from a table that has just been read, and from one that has scored much before."""
    fresh = LinearTable.from_bytes(ARTEFACT)
    assert evidence(SPEC, text, classifier=fresh) == evidence(SPEC, text, classifier=TABLE)


@given(evidences)
def test_any_evidence_is_decided(taken: RoutingEvidence):
    """Total: a label of the router, unsure or blocked, one verdict for each stage, and the stage that chose."""
    decision = choose(SPEC, taken)
    assert decision.outcome in {*SPEC.labels, "unsure", "blocked"}
    assert [verdict.stage for verdict in decision.verdicts] == ["screen", "picked", "rules", "classifier"]
    assert (decision.stage == "none") <= (decision.outcome == "unsure")
    assert len(decision.candidates) <= 2
    assert set(decision.candidates) <= set(SPEC.labels)


@given(evidences)
def test_a_blocked_screen_closes_whatever_else_was_measured(taken: RoutingEvidence):
    """A screening verdict can only close the way."""
    blocked = any(verdict.blocked for verdict in taken.screen)
    assert (choose(SPEC, taken).outcome == "blocked") == blocked


@given(evidences, six, six, st.sampled_from(["threshold", "margin", "scope"]))
def test_a_stricter_gate_never_routes_more(taken: RoutingEvidence, one: str, other: str, gate: str):
    """Raising a threshold turns labels into unsure, and never anything into a label."""
    low, high = sorted((one, other))
    lenient = choose(SPEC.changed(**{gate: low}), taken)
    strict = choose(SPEC.changed(**{gate: high}), taken)
    assert strict.outcome in (lenient.outcome, "unsure")


@given(evidences)
def test_what_stage_comes_after_the_choice_is_not_reached(taken: RoutingEvidence):
    """Verdicts after the stage that chose say so; those before never do."""
    decision = choose(SPEC, taken)
    said = [verdict.said for verdict in decision.verdicts]
    stages = [verdict.stage for verdict in decision.verdicts]
    after = stages.index(decision.stage) + 1 if decision.stage != "none" else len(stages)
    assert [words == "not reached" for words in said] == [place >= after for place in range(len(said))]


@given(any_text, st.permutations(screen_rules()))
def test_screen_verdicts_are_in_the_order_of_the_flow(text: str, order: list[str]):
    """One verdict for each rule that the router lists."""
    verdicts = screened(SPEC.changed(screen=tuple(order)), text)
    assert [verdict.rule for verdict in verdicts] == list(order)


@given(st.lists(st.sampled_from(["I lost my card", "my card was STOLEN", "a transfer", "hello"]), max_size=4))
def test_rule_hits_are_in_the_order_of_the_flow(parts: list[str]):
    """Whatever the order in which the words were said, and one hit for each rule."""
    order = [rule.label for rule in SPEC.rules]
    hits = [hit.label for hit in rule_hits(SPEC, ". ".join(parts))]
    assert hits == sorted(set(hits), key=order.index)


@given(any_text)
def test_scores_are_probabilities(text: str):
    """All labels, descending, between 0 and 1, together 1; scope between 0 and 1."""
    ranked, scope = TABLE.score(text)
    scores = [score for _, score in ranked]
    assert sorted(label for label, _ in ranked) == sorted(TABLE.labels)
    assert scores == sorted(scores, reverse=True)
    assert abs(sum(scores) - 1) < 1e-9
    assert 0 <= scope <= 1
