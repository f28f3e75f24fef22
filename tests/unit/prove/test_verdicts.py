"""What is said of rows and states that can never be taken: which they are, and the true cause."""

import pytest

from interlock.fsm.prove.findings import Finding
from interlock.fsm.prove.proof import proved
from support.broken import MENDED, loaded, program_of

DONE = '  - [asking,   done,     "is_(next, billing)",  invoices, OR-2]\n'


def answer(text: str, code: str) -> list[Finding]:
    return [one for one in proved(program_of(text), loaded(text).lines).findings if one.code == code]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param(
            [
                (
                    "states:\n",
                    "policies:\n  a: {says: A desk., never: 'tool:pay_back', unless_before: 'enter:desk'}\nstates:\n",
                ),
                (
                    "  - [any, limit,       otherwise, desk,   OR-6]\n",
                    "  - [any, limit,       otherwise, desk,   OR-6]\n  - [any, policy, otherwise, desk, OR-6]\n",
                ),
            ],
            "The row [paying, done, otherwise, more] is never taken: the policy 'a' refuses before it, always.",
            id="a policy",
        ),
        pytest.param(
            [("limits: {agent_calls: 6, handoffs: 3}", "limits: {agent_calls: 1, handoffs: 1}")],
            "The row [invoices, done, is_('next', 'orders'), asking] is never taken: the limit agent_calls: 1 always "
            "stands before it.",
            id="a limit",
        ),
        pytest.param(
            [("is_(next, billing)", "all_of(is_(next, billing), not_(visits_at_most(asking, 9)))")],
            "The row [asking, done, all_of(is_('next', 'billing'), not_(visits_at_most('asking', 9))), invoices] is "
            "never taken: no turn comes to so many visits as all_of(is_('next', 'billing'), "
            "not_(visits_at_most('asking', 9))) counts.",
            id="a count",
        ),
        pytest.param(
            [("is_(next, billing)", "all_of(is_(next, billing), is_(next, orders))")],
            "The row [asking, done, all_of(is_('next', 'billing'), is_('next', 'orders')), invoices] is never taken: "
            "its guard can never hold.",
            id="its guard",
        ),
        pytest.param(
            [(DONE, f"  - [asking, done, known(next), more, OR-2]\n{DONE}")],
            "The row [asking, done, is_('next', 'billing'), invoices] is never taken: whenever its guard holds, a row "
            "above it does too.",
            id="a row above",
        ),
    ],
)
def test_the_true_cause_is_named(changes: list[tuple[str, str]], says: str) -> None:
    """Why a row is never taken, for each cause there is."""
    text = MENDED
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    assert says in [one.says for one in answer(text, "P302") if one.verdict == "refuted"]


COMPLETE = "  - [details,  complete, otherwise,             paying,   OR-5]\n"


@pytest.mark.parametrize(
    ("old", "new", "code", "verdict", "says"),
    [
        pytest.param(
            COMPLETE,
            f"  - [details, complete, \"at_least(amount, '600.00')\", desk, OR-5]\n{COMPLETE}",
            "P302",
            "refuted",
            "The row [details, complete, at_least('amount', '600.00'), desk] is never taken: no value that its facts "
            "may have lets its guard hold.",
            id="above the maximum",
        ),
        pytest.param(
            COMPLETE,
            "  - [details, complete, \"at_most(amount, '500.00')\", paying, OR-5]\n"
            "  - [details, complete, otherwise, more, OR-5]\n",
            "P302",
            "noted",
            "The row [details, complete, otherwise, more] is never needed: the rows above it hold whatever the facts "
            "are.",
            id="all up to the maximum",
        ),
        pytest.param(
            COMPLETE,
            "  - [details, complete, \"at_least(amount, '0.01')\", paying, OR-5]\n"
            "  - [details, complete, otherwise, more, OR-5]\n",
            "P302",
            "noted",
            "The row [details, complete, otherwise, more] is never needed: the rows above it hold whatever the facts "
            "are.",
            id="all from the minimum",
        ),
        pytest.param(
            "  - [asking,   done,     otherwise,             more,     OR-4]\n",
            '  - [asking, done, "is_(next, orders)", more, OR-4]\n'
            "  - [asking, done, known(next), desk, OR-4]\n  - [asking, done, otherwise, more, OR-4]\n",
            "P302",
            "refuted",
            "The row [asking, done, known('next'), desk] is never taken: for every value that its facts may have, a "
            "row above it holds.",
            id="every choice above",
        ),
        pytest.param(
            "  - [greeting, message,  otherwise, ",
            '  - [greeting, message, "is_(next, billing)", vip, OR-1]\n'
            "  - [vip, message, otherwise, asking, OR-1]\n  - [greeting, message,  otherwise, ",
            "P302",
            "noted",
            "The row [greeting, message, is_('next', 'billing'), vip] is taken only where whoever starts the "
            "conversation gives the facts: by itself nothing makes them known before it.",
            id="not known yet",
        ),
        pytest.param(
            "  - [greeting, message,  otherwise, ",
            '  - [greeting, message, "is_(next, billing)", vip, OR-1]\n'
            "  - [vip, message, otherwise, asking, OR-1]\n  - [greeting, message,  otherwise, ",
            "P301",
            "noted",
            "A conversation comes to 'vip' only by facts that whoever starts it gives.",
            id="a state behind it",
        ),
    ],
)
def test_what_facts_may_be_decides_what_can_be_taken(old: str, new: str, code: str, verdict: str, says: str) -> None:
    """Declared bounds and choices, and what can be known where a guard asks for it."""
    text = MENDED.replace(old, new, 1)
    if "vip" in text:
        text = text.replace("  closed:   {", "  vip: {kind: wait, deadline: 1h}\n  closed:   {")
    assert text != MENDED
    assert (verdict, says) in [(one.verdict, one.says) for one in answer(text, code)]


def test_a_guard_of_the_flows_own_code_stays_free() -> None:
    """The mended flow, in which every row is taken by some value, has nothing to note."""
    assert [(one.code, one.verdict) for code in ("P301", "P302") for one in answer(MENDED, code)] == [
        ("P301", "proved"),
        ("P302", "proved"),
    ]
