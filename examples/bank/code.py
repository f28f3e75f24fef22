"""The Python that the bank's flow names: guards, tools and contracts. The banking systems are imitated here."""

from datetime import date
from pathlib import Path
from typing import Any

from interlock import AgentResult, Code, Facts, ToolContext, guard, tool
from interlock.agents.classifier import LinearTable

HERE = Path(__file__).parent


@guard(says="the amount is at most €{limit}")
def amount_at_most(facts: Facts, limit: int) -> bool:
    amount = facts.integer("amount")
    return amount is not None and amount <= limit * 100


@guard(says="the customer is verified")
def customer_is_verified(facts: Facts) -> bool:
    return facts.true("verified")


@guard(says="the payment was found")
def payment_was_found(facts: Facts) -> bool:
    return facts.true("payment_found")


@guard(says="the customer agreed to block the card")
def customer_agreed_to_block(facts: Facts) -> bool:
    return facts.true("block_confirmed")


@guard(says="the adviser asks for a person")
def agent_asks_for_a_person(facts: Facts) -> bool:
    return facts.true("needs_person")


class Advice(AgentResult):
    """An adviser's answer. `needs_person` asks for a colleague; code decides what follows."""

    needs_person: bool = False


class Ledger:
    """The imitated core banking system: customers, payments, and what was paid back or blocked, by key."""

    def __init__(self) -> None:
        self.customers = {"12345678": "Maria Keller", "87654321": "Tom Okafor", "11112222": "Priya Shah"}
        self.payments = {("12345678", 4250), ("12345678", 25000), ("87654321", 1999), ("11112222", 89900)}
        self.refunds: dict[str, tuple[str, int]] = {}
        self.blocked: dict[str, str] = {}

    def may_be_refunded(self, account_number: str, amount: int) -> bool:
        """There was such a payment, and it was not paid back yet."""
        return (account_number, amount) in self.payments and (account_number, amount) not in self.refunds.values()

    def start_over(self) -> None:
        """As on the first day: what was paid back or blocked is forgotten."""
        self.refunds.clear()
        self.blocked.clear()


LEDGER = Ledger()


@tool(says="Compares the name with the account's holder.")
def verify_customer(full_name: str, account_number: str) -> dict[str, Any]:
    holder = LEDGER.customers.get(account_number)
    return {"verified": holder is not None and holder.casefold() == " ".join(full_name.split()).casefold()}


@tool(says="Looks for a card payment of this amount, in cents, that was not paid back yet.")
def find_payment(account_number: str, amount: int) -> dict[str, Any]:
    return {"payment_found": LEDGER.may_be_refunded(account_number, amount)}


@tool(consequential=True, says="Pays the amount, in cents, back to the account; the same key pays once.")
def pay_refund(account_number: str, amount: int, context: ToolContext) -> dict[str, Any]:
    if context.idempotency_key not in LEDGER.refunds and not LEDGER.may_be_refunded(account_number, amount):
        raise LookupError("This payment was paid back already.")  # by another conversation, while this one waited
    LEDGER.refunds[context.idempotency_key] = (account_number, amount)
    return {"paid": True}


@tool(consequential=True, says="Blocks the customer's card; the same key blocks once.")
def block_card(context: ToolContext, account_number: str = "") -> dict[str, Any]:
    LEDGER.blocked.setdefault(context.idempotency_key, account_number or context.conversation)
    return {"blocked": True}


@tool(says="Says where an ordered card is, or whether a card is active.")
def card_status(context: ToolContext) -> dict[str, Any]:
    return {"status": "sent", "expected": date(2026, 11, 27).isoformat()}


@tool(says="Opening hours of the branches.")
def branch_hours(city: str = "") -> dict[str, Any]:
    return {"hours": "Monday to Friday, 9 to 17", "city": city}


code = Code.of(
    guards=[amount_at_most, customer_is_verified, payment_was_found, customer_agreed_to_block, agent_asks_for_a_person],
    tools=[verify_customer, find_payment, pay_refund, block_card, card_status, branch_hours],
    contracts=[Advice],
    classifiers=[LinearTable.load(HERE / "router.json")],
)
