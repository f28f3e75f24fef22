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
