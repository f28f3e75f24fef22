"""Routing is total on any text and any evidence, decided by the evidence alone, and a stricter gate never opens."""

from hypothesis import given
from hypothesis import strategies as st

from interlock.agents.classifier import LinearTable
from interlock.agents.training import train
from interlock.contracts.flow import RouterSpec, RoutingCosts, RuleSpec
from interlock.contracts.routing import ModelLabel, RoutingEvidence, RoutingPart, RuleHit, Score, ScreenVerdict
from interlock.contracts.values import fixed
from interlock.fsm.route import choose, evidence
from interlock.fsm.rules import rule_hits
from interlock.fsm.screen import screen_rules, screened
from interlock.fsm.thresholds import least_probability

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

ALWAYS = ("screen", "picked", "rules", "classifier")
ORDER = ("screen", "escalation", "picked", "queued", "rules", "classifier", "model", "sticky")
any_text = st.text(st.characters(codec=None, categories=None))
six = st.integers(0, 1_000_000).map(lambda millionths: fixed(millionths / 1_000_000))
names = st.sampled_from(["card", "transfer", "lost_card", "unknown", "unsure"])
hits = st.lists(st.builds(RuleHit, label=names, rule=st.text(max_size=5)), max_size=3).map(tuple)
scores = st.lists(st.builds(Score, label=names, score=six), max_size=5).map(
    lambda scores: tuple(sorted(scores, key=lambda one: one.score, reverse=True))
)
evidences = st.builds(
    RoutingEvidence,
    screen=st.lists(
        st.builds(ScreenVerdict, rule=st.sampled_from(screen_rules()), blocked=st.booleans(), score=st.none() | six)
    ).map(tuple),
    escalations=st.just(()) | hits,
    rules=hits,
    picked=st.none() | names,
    scores=scores,
    scope=st.none() | six,
    artefact=st.none() | st.sampled_from(["a" * 64, "b" * 64]),
    independent=st.booleans(),
    parts=st.lists(st.builds(RoutingPart, rules=hits, scores=scores, scope=st.none() | six), max_size=3).map(tuple),
    held=st.none() | names,
    queued=st.just(()) | st.lists(names, max_size=3).map(tuple),
    offered=st.lists(names, max_size=2).map(tuple),
    modelled=st.none() | st.builds(ModelLabel, label=names, event=st.integers(0, 99)),
)
specs = st.builds(
    SPEC.changed,
    escalations=st.sampled_from([(), (RuleSpec(label="card", any=("my lawyer",)),)]),
    thresholds=st.dictionaries(st.sampled_from([*SPEC.labels]), six, max_size=2),
    costs=st.none()
    | st.builds(
        RoutingCosts,
        escalation=st.integers(1, 1_000),
        misroute=st.integers(1, 1_000),
        labels=st.dictionaries(st.sampled_from([*SPEC.labels]), st.integers(1, 1_000), max_size=2),
    ),
    agent=st.none() | st.just("sorter"),
    sticky=st.booleans(),
    several=st.booleans(),
    notice=six,
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


@given(specs, evidences)
def test_any_evidence_is_decided(spec: RouterSpec, taken: RoutingEvidence):
    """Total: a label of the router, unsure or blocked, one verdict for each stage, and the stage that chose."""
    decision = choose(spec, taken)
    assert decision == choose(spec, taken)
    assert decision.outcome in {*spec.labels, "unsure", "blocked"}
    stages = [verdict.stage for verdict in decision.verdicts]
    assert [stage for stage in stages if stage in ALWAYS] == list(ALWAYS)
    assert stages == [stage for stage in ORDER if stage in stages]
    assert (decision.stage == "none") <= (decision.outcome == "unsure")
    assert len(decision.candidates) <= 2
    assert {*decision.candidates, *decision.offered} <= set(spec.labels)
    assert set(decision.queue) <= {*spec.labels, "unsure"}


@given(evidences)
def test_a_router_without_the_later_stages_says_what_it_always_said(taken: RoutingEvidence):
    """Decisions of the first release stay byte for byte: no new stage, no queue, no question to a model."""
    bare = taken.changed(
        escalations=(), independent=False, parts=(), held=None, queued=(), offered=(), modelled=None,
        screen=tuple(verdict.changed(score=None) for verdict in taken.screen),
    )  # fmt: skip
    decision = choose(SPEC, bare)
    assert [verdict.stage for verdict in decision.verdicts] == list(ALWAYS)
    assert {"queue", "offered", "asks_model"}.isdisjoint(decision.model_dump())
    assert set(bare.model_dump()) == {"screen", "rules", "picked", "scores", "scope", "artefact"}


@given(specs, evidences)
def test_a_blocked_screen_closes_whatever_else_was_measured(spec: RouterSpec, taken: RoutingEvidence):
    """A screening verdict can only close the way."""
    blocked = any(verdict.blocked for verdict in taken.screen)
    decision = choose(spec, taken)
    assert (decision.outcome == "blocked") == blocked
    assert not (blocked and (decision.queue or decision.asks_model))


@given(specs, evidences, st.booleans())
def test_a_verdict_of_screening_opens_nothing(spec: RouterSpec, taken: RoutingEvidence, blocked: bool):
    """One verdict more leaves the decision as it was, or closes it: it never leads to a label."""
    before = choose(spec, taken)
    after = choose(spec, taken.changed(screen=(*taken.screen, ScreenVerdict(rule="extra", blocked=blocked))))
    assert (after.outcome, after.queue) == (("blocked", ()) if blocked else (before.outcome, before.queue))


@given(evidences, six, six, st.sampled_from(["threshold", "margin", "scope"]))
def test_a_stricter_gate_never_routes_more(taken: RoutingEvidence, one: str, other: str, gate: str):
    """Raising a threshold turns labels into unsure, and never anything into a label."""
    low, high = sorted((one, other))
    lenient = choose(SPEC.changed(**{gate: low}), taken)
    strict = choose(SPEC.changed(**{gate: high}), taken)
    assert strict.outcome in (lenient.outcome, "unsure")


@given(specs, evidences, st.sampled_from([*SPEC.labels]), six, six)
def test_a_stricter_threshold_of_a_label_routes_no_more_to_it(
    spec: RouterSpec, taken: RoutingEvidence, label: str, one: str, other: str
):
    """And its further issues are asked about rather than queued."""
    bare = spec.changed(agent=None, sticky=False, escalations=())
    quiet = taken.changed(escalations=(), queued=())
    low, high = sorted((one, other))
    lenient = choose(bare.changed(thresholds={**spec.thresholds, label: low}), quiet)
    strict = choose(bare.changed(thresholds={**spec.thresholds, label: high}), quiet)
    assert (label in (strict.outcome, *strict.queue)) <= (label in (lenient.outcome, *lenient.queue))


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_dearer_mistakes_ask_for_more_and_dearer_escalations_for_less(one: int, other: int, cheap: int, dear: int):
    """The least probability follows the costs, and is exactly the least with `(1 - p) * misroute < escalation`."""
    least = least_probability(one, cheap)
    assert least_probability(max(one, other), cheap) >= least_probability(min(one, other), cheap)
    assert least_probability(one, max(cheap, dear)) <= least_probability(one, min(cheap, dear))
    assert least > 1_000_000 or (1_000_000 - least) * one < cheap * 1_000_000
    assert least == 0 or (1_000_001 - least) * one >= cheap * 1_000_000


@given(specs, evidences)
def test_the_model_is_asked_only_where_nothing_else_chose(spec: RouterSpec, taken: RoutingEvidence):
    """Once, and its answer is one of the labels or counts as none; what is sticky waits for it."""
    decision = choose(spec, taken)
    if decision.asks_model:
        assert spec.agent is not None
        assert taken.modelled is None
        assert (decision.outcome, decision.queue) == ("unsure", ())
        answered = choose(spec, taken.changed(modelled=ModelLabel(label="card", event=1)))
        assert (answered.outcome, answered.stage, answered.asks_model) == ("card", "model", False)


@given(specs, evidences)
def test_nothing_clear_is_dropped(spec: RouterSpec, taken: RoutingEvidence):
    """With `several`, every label that a rule in scope gives a clause is the outcome or in the queue."""
    several = spec.changed(several=True)
    decision = choose(several, taken.changed(independent=False))
    if decision.stage in ("rules", "classifier") and decision.outcome != "unsure":
        for part in taken.parts:
            if part.scope is None or part.scope >= spec.scope:
                ruled = {hit.label for hit in part.rules} & set(spec.labels)
                assert ruled <= {decision.outcome, *decision.queue}
    assert decision.outcome not in decision.queue or decision.stage == "queued"


@given(specs, evidences)
def test_what_a_clause_is_certain_of_is_taken_or_waits(spec: RouterSpec, taken: RoutingEvidence):
    """With `several`, the label that a clause would have as a message of its own is the outcome or in the queue:
    whatever the order of the clauses, whether a rule or the classifier gave it, and whatever stage decides first."""
    decision = choose(spec.changed(several=True), taken.changed(independent=False, queued=()))
    alone = spec.changed(several=False, escalations=(), agent=None, sticky=False)
    kept = {decision.outcome, *decision.queue}
    if decision.outcome != "blocked":
        for part in taken.parts:
            for rules, scores in ((part.rules, ()), ((), part.scores)):
                clause = RoutingEvidence(rules=rules, scores=scores, scope=part.scope, artefact=taken.artefact)
                assert choose(alone, clause).outcome in {*kept, "unsure"}


@given(specs, evidences)
def test_what_stage_comes_after_the_choice_is_not_reached(spec: RouterSpec, taken: RoutingEvidence):
    """Verdicts after a stage that chose a label say so; those before it never do, but after rules that disagree."""
    decision = choose(spec, taken)
    said = {verdict.stage: verdict.said for verdict in decision.verdicts}
    stages = list(said)
    if decision.stage == "none":
        late = [] if not decision.asks_model else ["sticky"]
        assert [stage for stage in stages if said[stage] == "not reached" and stage not in late] == []
        return
    after = stages[stages.index(decision.stage) + 1 :]
    reached = [stage for stage in after if said[stage] != "not reached"]
    assert reached == [] or (decision.stage == "rules" and decision.outcome == "unsure")
    before = stages[: stages.index(decision.stage)]
    assert [stage for stage in before if said[stage] == "not reached"] in ([], ["classifier"])


@given(any_text, st.permutations(screen_rules()))
def test_screen_verdicts_are_in_the_order_of_the_flow(text: str, order: list[str]):
    """One verdict for each rule that the router lists."""
    verdicts = screened(SPEC.changed(screen=tuple(order)), text)
    assert [verdict.rule for verdict in verdicts] == list(order)


@given(st.lists(st.sampled_from(["I lost my card", "my card was STOLEN", "a transfer", "hello"]), max_size=4))
def test_rule_hits_are_in_the_order_of_the_flow(parts: list[str]):
    """Whatever the order in which the words were said, and one hit for each rule."""
    order = [rule.label for rule in SPEC.rules]
    found = [hit.label for hit in rule_hits(SPEC.rules, ". ".join(parts))]
    assert found == sorted(set(found), key=order.index)


@given(any_text)
def test_scores_are_probabilities(text: str):
    """All labels, descending, between 0 and 1, together at most 1; scope between 0 and 1."""
    ranked, scope = TABLE.score(text)
    scores = [score for _, score in ranked]
    assert sorted(label for label, _ in ranked) == sorted(TABLE.labels)
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) <= 1 + 1e-9
    assert 0 <= scope <= 1
