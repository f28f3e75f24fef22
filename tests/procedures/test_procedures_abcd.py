"""ABCD's 29 procedures in the flow language: no faults, no guard in Python, and a conversation for every way they end.

The files beside this one were written after the company's guidelines for its agents (`../shared/data/abcd`).
"""

import json
from pathlib import Path

import pytest

from interlock.fsm.check import faults_in
from support.abcd import BUTTONS, NAMES, NOT_TOLD, Case, Held, held, program_of
from support.conversations import DATA

NO_ORACLE = {"ask_the_oracle": {"oracle_yes": False}}
STRANGER = {"verify_identity": {"verified": False}}
NO_PURCHASE = {"validate_purchase": {"valid": False}}
Cases = tuple[Case, ...]


def case(end: str, company: dict[str, dict[str, bool]] | None = None, /, **says: str) -> Case:
    return Case(end, says, company or {})


VALIDATED: Cases = (
    case("not_valid", NO_PURCHASE),
    case("not_valid", NO_PURCHASE, username=NOT_TOLD),
    case("not_verified", STRANGER, username=NOT_TOLD),
)
"""Ways that every procedure has which validates a purchase, looking the username up where the customer forgot it."""
VERIFIED: Cases = (case("not_verified", STRANGER),)
RETURNS: Cases = (
    case("returning"),
    *(case("returning", membership=level, purchase_date="2020-03-10") for level in ("silver", "bronze", "guest")),
    *(case("returning", membership=level, purchase_date="2019-01-10") for level in ("silver", "bronze", "guest")),
    case("returning", membership="bronze", purchase_date="2020-01-01", has_receipt="no"),
    case("cannot", membership="bronze", purchase_date="2020-01-01", has_receipt="no", in_packaging="no"),
    case("cannot", membership="guest", purchase_date="2020-03-01", has_receipt="no"),
    *VALIDATED,
)
ORACLE_SAYS_NO: Cases = (
    case("scam", NO_ORACLE),
    case("misheard", NO_ORACLE, heard_from="my spouse told me"),
    case("misread", NO_ORACLE, heard_from="in the news"),
)
CHANGED: Cases = (case("updated"), case("updated", zip_code=NOT_TOLD, phone="I don't know"), *VERIFIED)
CASES: dict[str, Cases] = {
    "recover_username": (case("told"), *VERIFIED),
    "recover_password": (
        case("told"),
        case("told", pin=NOT_TOLD),
        case("told", username=NOT_TOLD),
        case("not_verified", STRANGER, username=NOT_TOLD),
    ),
    "reset_2fa": (case("sent"), case("sent", email="I don't know"), case("sent", email=NOT_TOLD, pin=NOT_TOLD)),
    "status_service_added": (case("removed"), *ORACLE_SAYS_NO),
    "status_service_removed": (case("works"), case("later", service_works="no"), *ORACLE_SAYS_NO),
    "status_shipping_question": (case("free"), case("not_free", NO_ORACLE)),
    "status_credit_missing": (case("sent"), case("sent", amount=NOT_TOLD), case("there", NO_ORACLE)),
    "manage_change_address": CHANGED,
    "manage_change_name": CHANGED,
    "manage_change_phone": CHANGED,
    "manage_payment_method": CHANGED,
    "status_mystery_fee": (
        case("fee_removed"),
        case("fee_removed", NO_ORACLE, membership="silver"),
        case("fee_stays", NO_ORACLE, membership="bronze"),
        *VERIFIED,
    ),
    "status_delivery_time": (
        case("moved"),
        case("moved", NO_ORACLE, shipping_status="in transit"),
        case("too_late", NO_ORACLE, shipping_status="delivered"),
        *VERIFIED,
    ),
    "status_payment_method": (
        case("updated"),
        case("updated", shipping_status="out for delivery"),
        case("left", shipping_status="delivered", still_wanted="no"),
        *VERIFIED,
    ),
    "status_quantity": (
        case("refunded"),
        case("wait_for_it", shipping_status="in transit"),
        case("email_wrong", NO_ORACLE),
        *VERIFIED,
    ),
    "manage_upgrade": (
        case("upgraded"),
        case("upgraded", membership="guest"),
        case("not_charged", membership="silver", may_charge="no"),
        case("too_late", shipping_status="in transit"),
        *VERIFIED,
    ),
    "manage_downgrade": (
        case("delayed", membership="guest"),
        case("credited", shipping_status="delivered", membership="bronze"),
        case("nothing_to_do", shipping_status="in transit", membership="guest"),
        *VERIFIED,
    ),
    "manage_create": (
        case("added"),
        case("added", shipping_status="in transit", membership="silver"),
        case("cannot_add", shipping_status="in transit", membership="bronze"),
        *VERIFIED,
    ),
    "manage_cancel": (
        case("refunded"),
        case("refunded", shipping_status="delivered", membership="bronze"),
        case("wait_for_it", shipping_status="delivered", membership="guest"),
        *VERIFIED,
    ),
    "refund_initiate": (
        case("refunded"),
        case("refunded", refund_target="credit card"),
        case("refunded", amount=NOT_TOLD),
        *VALIDATED,
    ),
    "refund_update": (case("refunded"), *VALIDATED),
    "refund_status": (
        case("content"),
        case("escalated", satisfied="the status"),
        case("changed", satisfied="the payment method"),
        *VALIDATED,
    ),
    "return_stain": RETURNS,
    "return_color": RETURNS,
    "return_size": RETURNS,
    "shipping_status": (
        case("as_it_should"),
        case("mended", NO_ORACLE),
        *VERIFIED,
        *VALIDATED[:2],
        Case(
            "not_verified",
            {"username": NOT_TOLD},
            {"verify_identity": [{"verified": True}, STRANGER["verify_identity"]]},
        ),
    ),
    "manage_shipping": (case("updated"), *VALIDATED),
    "missing_item": (case("resent"), case("patience", days_waiting="5 days"), *VALIDATED),
    "shipping_cost": (case("waived"), case("refunded", shipping_status="delivered"), *VALIDATED),
}
EVERYWHERE: Cases = (
    case("desk", more_needed="yes"),
    case("desk", full_name=NOT_TOLD, account_id=NOT_TOLD),
    Case("desk", {}, {"pull_up_account": OSError("no answer")}),
)
"""Ways that all have: there is more, the customer says nothing of themselves, a system does not answer."""


def test_all_procedures_of_the_data_are_written():
    """Twenty-nine, each with its cases."""
    assert len(NAMES) == 29
    assert set(NAMES) == set(CASES)


@pytest.mark.parametrize("name", NAMES)
def test_a_procedure_needs_no_guard_in_python(name: str):
    """No faults, and every condition is one of the language's own."""
    program = program_of(name)
    assert faults_in(program.flow, program.code) == ()
    assert not program.code.guards


@pytest.mark.parametrize("name", NAMES)
async def test_conversations_end_where_the_guideline_says(name: str):
    """The last state before the conversation is closed."""
    talks = [(one, await held(name, one)) for one in (*CASES[name], *EVERYWHERE)]
    assert [talk.states for one, talk in talks if talk.states[-2:] != (one.end, "closed")] == []


@pytest.mark.parametrize("name", NAMES)
async def test_every_way_of_a_procedure_is_walked(name: str):
    """Every state but silence, and every row of a state's own, in one of the conversations."""
    talks = [await held(name, one) for one in (*CASES[name], *EVERYWHERE)]
    flow = talks[0].program.flow
    came = {state for talk in talks for state in talk.states}
    taken = {row for talk in talks for row in talk.rows}
    assert {state.name for state in flow.states} - came == {"silent"}
    assert [row for index, row in enumerate(flow.transitions) if row.source != "any" and index not in taken] == []


def test_there_is_a_conversation_for_every_ending():
    """The control: how many there are, and that each ending of a procedure is one of its cases'."""
    assert sum(len(cases) for cases in CASES.values()) >= 100
    for name in NAMES:
        endings = {
            state.name
            for state in program_of(name).flow.states
            if state.kind == "collect" and state.facts == ("more_needed",)
        }
        assert endings <= {one.end for one in CASES[name]}


KB_NAMES = {
    "shipping_status": "status",
    "manage_shipping": "manage",
    "missing_item": "missing",
    "shipping_cost": "cost",
}
KB_BUTTONS = {
    "pull-up-account": ("pull_up_account",),
    "verify-identity": ("verify_identity",),
    "validate-purchase": ("validate_purchase",),
    "ask-the-oracle": ("ask_the_oracle",),
    "membership": ("membership_privileges",),
    "enter-details": ("enter_details",),
    "record-reason": ("record_reason",),
    "shipping-status": ("record_shipping_status",),
    "make-password": ("make_password",),
    "make-purchase": ("make_purchase",),
    "send-link": ("send_link",),
    "notify-team": ("notify_team",),
    "promo-code": ("make_promo_code",),
    "offer-refund": ("offer_refund",),
    "update-account": ("update_account",),
    "update-order": (
        *(f"update_order_{what}" for what in ("amount", "payment", "return", "remedy", "change", "address")),
        "update_order",
    ),
}


def in_kb(talk: Held) -> list[str]:
    """The buttons as the company's knowledge base calls them, without repetitions."""
    named = {tool: button for button, tools in KB_BUTTONS.items() for tool in tools}
    return list(dict.fromkeys(named[tool] for tool in talk.buttons if tool in named))


@pytest.mark.parametrize("name", NAMES)
async def test_buttons_are_pressed_in_the_order_of_the_knowledge_base(name: str):
    """All that it lists for the procedure, over the conversations, and never in another order."""
    path = DATA / "abcd" / "kb.json"
    if not path.is_file():
        pytest.skip(f"no knowledge base at {path}; set INTERLOCK_DATA")
    order = json.loads(path.read_text("utf-8"))[KB_NAMES.get(name, name)]
    talks = [in_kb(await held(name, one)) for one in CASES[name]]
    assert {button for talk in talks for button in talk} >= set(order)
    for talk in talks:
        places = [order.index(button) for button in talk if button in order]
        assert places == sorted(places), talk


def test_the_page_counts_what_is_only_in_python():
    """docs/procedures.md: how large the procedures are, and the tools that say what the language cannot."""
    page = " ".join((Path(__file__).parents[2] / "docs" / "procedures.md").read_text("utf-8").split())
    flows = [program_of(name).flow for name in NAMES]
    rows = [row for flow in flows for row in flow.transitions]
    talks = sum(len(CASES[name]) + len(EVERYWHERE) for name in NAMES)
    assert f"{sum(len(flow.states) for flow in flows)} states and {len(rows)} rows. {talks} conversations" in page
    assert f"The {sum(row.guard.op != 'otherwise' for row in rows)} conditions of the 29" in page
    company = BUTTONS.Company()
    given = [state for flow in flows for state in flow.states if state.kind == "call" and state.gives]
    assert f"{len(given)} call states give" in page
    for kind, tools in (("something worked out", company.computing()),):
        names = {tool.name for tool in tools}
        calls = [
            (flow.name, state.tool)
            for flow in flows
            for state in flow.states
            if state.kind == "call" and state.tool in names
        ]
        line = page[page.index(f"| {kind}") :].split("|")
        assert [cell.strip() for cell in line[2:5]] == [
            str(count) for count in (len(names), len(calls), len({flow for flow, _ in calls}))
        ]
    some = {flow.name for flow in flows for state in flow.states if state.kind == "collect" and state.enough == 3}
    assert f"{len(some)} of the procedures need" in page
