"""The 22 task charts of STAR are flows, and what people did with the chart before them walks through them.

What "accepted" means stands in `support/star_walk.py` and in docs/procedures.md; the shares are printed with `-s`.
"""

from pathlib import Path

import pytest

from interlock.fsm.check import faults_in
from interlock.fsm.load import read_flow
from interlock.fsm.written import written_yaml
from support import star_report
from support.star_charts import CONDITIONS, Chart, chart_flow, charts
from support.star_dialogues import Act, Dialogue, Message, dialogues
from support.star_report import accepted, others, recorded, straight, through_another_task, with_shuffled_actions
from support.star_walk import ACCEPTED, Walk, walked

CHART = Chart(
    "table",
    {
        "hello": "Hello.",
        "ask_name": "Your name?",
        "ask_day": "Which day?",
        "inform_free": "There is a table. Shall I book it?",
        "inform_full": "There is none.",
        "inform_booked": "It is booked.",
        "anything_else": "Anything else?",
        "out_of_scope": "I only book tables.",
        "goodbye_1": "Goodbye.",
        "query_check": "Query Check",
        "query_book": "Query Book",
    },
    {
        "hello": "ask_name",
        "ask_name": "ask_day",
        "ask_day": "query_check",
        "available": "inform_free",
        "unavailable": "inform_full",
        "yes": "query_book",
        "no": "ask_day",
        "query_book": "inform_booked",
        "inform_booked": "anything_else",
    },
)
"""A chart of our own, so that the walk itself is tested where the data is absent."""
JUDGED = {
    "the arrows": (
        "hello; u; ask_name; u ask_name; ask_day; u ask_day; query_check=available; inform_free; u; query_book=found",
        "followed followed followed followed followed followed",
    ),
    "the last of them": (
        "u ask_name ask_day; query_check=available; inform_free; u; query_book=found; inform_booked; anything_else",
        "skipped followed followed followed followed",
    ),
    "given before they were asked": (
        "hello; u ask_name ask_day; query_check=unavailable; inform_full",
        "followed skipped followed",
    ),
    "asked once more": ("hello; u; ask_name; u; ask_name; u ask_name; ask_day", "followed followed repeated followed"),
    "back": ("hello; u; ask_name; u ask_name; ask_day; u; ask_name", "followed followed followed back"),
    "another day after no table": (
        "u ask_name ask_day; query_check=unavailable; inform_full; u ask_day; query_check=available; inform_free",
        "skipped followed back followed",
    ),
    "no, another day": (
        "hello; u ask_name ask_day; query_check=available; inform_free; u; ask_day; u ask_day; query_check=available",
        "followed skipped followed followed followed",
    ),
    "out of scope, and on": (
        "hello; u; ask_name; u; out_of_scope; u; ask_name; u ask_name; ask_day",
        "followed followed digression repeated followed",
    ),
    "a question left out": (
        "hello; u ask_name; query_check=available; inform_free",
        "followed NOT:left out a question that was never answered followed",
    ),
    "booked unasked": (
        "hello; u ask_name ask_day; query_check=available; u; query_book=found",
        "followed skipped NOT:did it without the confirmation",
    ),
    "said without a look": (
        "hello; u ask_name ask_day; inform_full",
        "followed NOT:did not look up what the flow looks up",
    ),
    "asked what is known": (
        "hello; u ask_name ask_day; query_check=unavailable; inform_full; u; ask_name",
        "followed skipped followed NOT:asked again what is known",
    ),
    "no pause": ("hello; u; ask_name; ask_day", "followed followed NOT:spoke again before the person did"),
}


def steps(text: str) -> tuple[Message | Act, ...]:
    """`u day` is a message that holds the day; all else is what the wizard does, `=` with what it found."""
    found: list[Message | Act] = []
    for word in text.split("; "):
        if word.split()[0] == "u":
            found.append(Message(word, dict.fromkeys(word.split()[1:], "x")))
        else:
            action, _, result = word.partition("=")
            found.append(Act(action, result))
    return tuple(found)


@pytest.mark.parametrize("case", JUDGED)
def test_each_kind_of_step_is_told_from_the_others(case: str):
    """What is accepted, as what; and what is not, and why."""
    said, expected = JUDGED[case]
    walk = walked(chart_flow(CHART), Dialogue(case, "table", True, steps(said)))
    shown = [one.how if one.accepted else f"NOT:{one.how}" for one in walk.verdicts]
    assert " ".join(shown) == expected


def test_the_flow_is_moved_by_its_own_rows_alone():
    """Whatever the wizard did: every state it comes to is one that a recorded row led to."""
    walk = Walk(chart_flow(CHART))
    walk.start()
    for step in steps("u; anything_else; u; inform_booked; query_book=found; u ask_day; goodbye; ask_name"):
        before = walk.conversation
        if isinstance(step, Message):
            walk.hear(step)
        else:
            walk.act(step)
        assert walk.conversation.version >= before.version
        assert walk.conversation.state in walk.flow.program.states


@pytest.mark.parametrize("chart", [pytest.param(CHART, id="table")])
def test_a_chart_is_a_flow_of_every_kind(chart: Chart):
    """Waits, forms, routes, calls and an end; questions are facts, and each condition is a row."""
    flow = chart_flow(chart).program.flow
    assert {state.kind for state in flow.states} == {"wait", "collect", "route", "call", "final"}
    assert {"ask_name", "ask_day", "inform_free"} <= {fact.name for fact in flow.facts}
    assert [str(row.guard) for row in flow.transitions if row.source == "call_query_check"] == [
        "is_('query_check_result', 'available')",
        "otherwise",
    ]


def test_all_charts_are_flows_without_faults():
    """Each of the 22: checked, written as YAML, and read back to the same digest; no action of a chart is lost."""
    drawn = charts()
    assert len(drawn) == 22
    for chart in drawn:
        made = chart_flow(chart)
        flow, code = made.program.flow, made.program.code
        assert faults_in(flow, code) == ()
        assert read_flow(written_yaml(flow), code).flow.digest == flow.digest
        assert not code.guards, "a condition that the language cannot say"
        done = {action for says in made.says.values() for action in says} | {fact.name for fact in flow.facts}
        done |= {tool.name for tool in flow.tools}
        assert {node for node in chart.nodes if node not in CONDITIONS} - {"goodbye_1"} <= done | {"goodbye"}


def test_recorded_dialogues_walk_their_flows():
    """Far more than the arrows allow, and far more than anything else that the wizard could have done there."""
    print("\n" + "\n".join(star_report.tables()))
    real = recorded()
    assert len({dialogue.name for dialogue, _ in real.verdicts}) == 184
    assert accepted(real.all) >= 0.80
    assert accepted(real.compared) >= 0.75
    assert straight(real.compared) <= 0.16
    assert {one.how for one in real.all} >= set(ACCEPTED)


def test_the_controls_are_accepted_much_less():
    """The same places with other actions, the same actions in another order, and the flow of another task."""
    real = accepted(recorded().of_the_task)
    assert others(recorded().of_the_task) <= 0.25
    assert accepted(with_shuffled_actions().of_the_task) <= real - 0.40
    assert accepted(through_another_task().of_the_task) <= real - 0.60


def test_a_dialogue_holds_the_facts_that_were_queried():
    """Found in what the person said: most questions that the wizard passed over had been answered."""
    some = [step for one in dialogues(charts()) for step in one.steps if isinstance(step, Message)]
    assert sum(bool(one.facts) for one in some) > 500


def test_the_page_shows_what_is_measured():
    """docs/procedures.md holds the tables as they are printed today."""
    page = (Path(__file__).parents[2] / "docs" / "procedures.md").read_text("utf-8")
    assert [line for line in star_report.tables() if line not in page] == []
