"""Guards that every flow has: what they say, when they hold, and that no flow changes its meaning by them."""

import pytest

from interlock.contracts.errors import FlowError
from interlock.contracts.facts import Facts, KnownFact
from interlock.contracts.guard import Guard
from interlock.fsm.build import row
from interlock.fsm.code import Code
from interlock.fsm.describe import sentence_of
from interlock.fsm.expression import read_guard
from interlock.fsm.guards import (
    BUILT_IN,
    as_guard,
    at_least,
    at_most,
    guard,
    is_,
    is_true,
    known,
    messages_at_least,
    not_,
    verdict_of,
    visits_at_most,
)
from interlock.fsm.load import read_flow
from interlock.fsm.program import compiled
from interlock.fsm.written import written_yaml

FLOW = """
flow: credit
version: 1
owner: us
initial: asking
facts:
  amount: {type: money, ask: "How much?"}
  days:   {type: integer, ask: "How long?"}
  level:  {type: choice, ask: "Which level?", choices: [guest, gold]}
  agreed: {type: yes_no, ask: "Agreed?"}
  name:   {type: text, ask: "Who?"}
states:
  asking: {kind: collect, facts: [amount], deadline: 1h}
  gold:   {kind: final}
  closed: {kind: final}
transitions:
  - [asking, complete, "all_of(is_(level, gold), known(name), not_(is_true(agreed)))", gold, A-1]
  - [asking, complete, "any_of(at_most(amount, '100.00'), at_least(days, 7))", gold, A-2]
  - [asking, complete, otherwise, closed, A-3]
  - [any, gave_up, otherwise, closed, A-4]
  - [any, declined, otherwise, closed, A-4]
  - [any, expired, otherwise, closed, A-4]
  - [any, limit, otherwise, closed, A-4]
"""


def knowing(**values: bool | int | str) -> Facts:
    return Facts({name: KnownFact(name=name, value=value) for name, value in values.items()})


def holds(one: Guard, facts: Facts) -> str:
    return verdict_of(one, facts, {name: maker.function for name, maker in BUILT_IN.items()})


@pytest.mark.parametrize(
    ("one", "holding", "failing"),
    [
        (known("name"), knowing(name=False), knowing()),
        (is_true("agreed"), knowing(agreed=True), knowing(agreed=False)),
        (is_("level", "gold"), knowing(level="gold"), knowing(level="guest")),
        (at_most("days", 7), knowing(days=7), knowing(days=8)),
        (at_most("amount", "100.00"), knowing(amount=10_000), knowing(amount=10_001)),
        (at_least("days", -7), knowing(days=-7), knowing(days=-8)),
        (at_least("amount", "-0.50"), knowing(amount=-50), knowing(amount=-51)),
    ],
)
def test_each_holds_where_it_says_and_never_of_what_is_unknown(one: Guard, holding: Facts, failing: Facts):
    """At the bound, past it, and where the fact is not known."""
    assert [holds(one, facts) for facts in (holding, failing, knowing())] == ["holds", "fails", "fails"]


def test_what_is_not_known_to_be_true_may_be_unknown():
    """`not_` turns the verdict round, also where nothing is known."""
    assert holds(not_(is_true("agreed")), knowing()) == "holds"


def test_a_number_is_no_yes():
    """1 is not true, and true is not 1."""
    assert holds(is_true("agreed"), knowing(agreed=1)) == "fails"
    assert holds(at_most("days", 3), knowing(days=True)) == "fails"


def test_a_flow_needs_no_code_for_them():
    """The guards' declarations are part of the digest, and the file that is written reads back the same."""
    read = read_flow(FLOW, Code()).flow
    assert [one.name for one in read.guards] == ["at_least", "at_most", "is_", "is_true", "known"]
    assert read_flow(written_yaml(read), Code()).flow == read
    assert compiled(read, Code()).tried("asking", "complete", knowing(amount=9_900))[0][0] == 1  # type: ignore[index]


def test_each_row_is_a_sentence():
    """With the facts' names and the values in their places."""
    read = read_flow(FLOW, Code()).flow
    assert [sentence_of(read, one) for one in read.transitions[:2]] == [
        (
            "In asking, on complete: if level is gold and name is known and (it is not so that agreed is true), "
            "go to gold (A-1)."
        ),
        "In asking, on complete: if amount is at most 100.00 or days is at least 7, go to gold (A-2).",
    ]


@pytest.mark.parametrize("text", ["known(name)", "known('name')"])
def test_names_may_stand_as_bare_words(text: str):
    """Both ways give the same guard, which is written with quotes."""
    assert read_guard(text) == known("name")
    assert str(read_guard(text)) == "known('name')"


def test_a_declared_guard_of_the_same_name_goes_first():
    """A flow that declared `known` before there was a built-in one keeps its meaning and its digest."""

    @guard(says="somebody is known")
    def known(facts: Facts) -> bool:
        return True

    code = Code.of(guards=[known])
    text = FLOW.replace("all_of(is_(level, gold), known(name), not_(is_true(agreed)))", "known")
    read = read_flow(text, code).flow
    assert known.spec in read.guards
    assert compiled(read, code).tried("asking", "complete", knowing())[0][0] == 0  # type: ignore[index]
    with pytest.raises(FlowError, match="takes 1 arguments, not 0"):
        compiled(read, Code())


def test_arguments_are_counted_in_python_too():
    """With the call as it should be."""
    with pytest.raises(FlowError, match=r"takes 2 arguments, not 1.*Call it as is_\(fact, choice\)\."):
        row("asking", "complete", is_("level"), "gold", "A-1")
    with pytest.raises(FlowError, match=r"takes 1 arguments, not 0.*Call it as known\(fact\)\."):
        as_guard(known)


def test_what_counts_holds_up_to_its_number_and_no_further():
    """Entries within the turn, and the customer's messages; what never was entered was entered 0 times."""
    counts = Facts(visits={"asking": 2}, messages=5)
    assert [holds(visits_at_most("asking", most), counts) for most in (1, 2, 3)] == ["fails", "holds", "holds"]
    assert holds(visits_at_most("gold", 0), counts) == "holds"
    assert [holds(messages_at_least(least), counts) for least in (4, 5, 6)] == ["holds", "holds", "fails"]


def test_counting_guards_are_said_and_covered_by_the_digest():
    """As any other guard."""
    text = FLOW.replace("is_(level, gold)", "visits_at_most(asking, 2), messages_at_least(20)")
    read = read_flow(text, Code()).flow
    assert sentence_of(read, read.transitions[0]).startswith(
        "In asking, on complete: if asking was entered at most 2 times in this turn and the customer has written at "
        "least 20 messages and"
    )
    assert {"visits_at_most", "messages_at_least"} <= {one.name for one in read.guards}
    assert read_flow(written_yaml(read), Code()).flow == read
