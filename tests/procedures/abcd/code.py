"""The company's buttons as tools, which is all the Python that the procedures need: no guard is declared here.

`Company` stands in for the systems behind the buttons: what they answer, and what was pressed with which facts.
What a button is always given (`waive fee`) stands in the flows, under `gives`; the last few tools compute what the
language does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from interlock import Code, ToolContext, tool
from interlock.contracts.tools import Tool

TODAY = date(2020, 4, 1)


@dataclass
class Company:
    """What the systems answer, and what was done in them."""

    answers: dict[str, Any] = field(default_factory=dict)
    pressed: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def start_over(self, answers: dict[str, Any]) -> None:
        """As on another day, with other answers; nothing is done yet."""
        self.answers, self.pressed = answers, []

    def press(self, button: str, **fields: Any) -> dict[str, Any]:
        """Record the button with the fields that were filled; what it shows is an answer, or the next of a list."""
        self.pressed.append((button, {name: value for name, value in fields.items() if value not in ("", 0)}))
        found = self.answers.get(button, {})
        if isinstance(found, list):
            found = found.pop(0)
        if isinstance(found, Exception):
            raise found
        return dict(found)

    def buttons(self) -> tuple[Tool, ...]:
        return (*self.looking(), *self.filled(), *self.computing())

    def looking(self) -> Iterator[Tool]:
        """Buttons that look something up."""

        @tool(says="Pulls up the customer's account.")
        def pull_up_account(full_name: str = "", account_id: str = "") -> dict[str, Any]:
            return self.press("pull_up_account", full_name=full_name, account_id=account_id)

        @tool(says="Compares what the customer says with their account.")
        def verify_identity(
            full_name: str = "",
            account_id: str = "",
            order_id: str = "",
            zip_code: str = "",
            phone: str = "",
            pin: str = "",
            username: str = "",
            password: str = "",
            email: str = "",
        ) -> dict[str, Any]:
            fields = {name: value for name, value in locals().items() if name != "self"}
            return {"verified": True, **self.press("verify_identity", **fields)}

        @tool(says="Looks for the purchase.")
        def validate_purchase(username: str, email: str, order_id: str) -> dict[str, Any]:
            return {"valid": True, **self.press("validate_purchase", username=username, email=email, order_id=order_id)}

        @tool(says="Says whether the company made an error, or whether the customer is right.")
        def ask_the_oracle(question: str = "") -> dict[str, Any]:
            return {"oracle_yes": True, **self.press("ask_the_oracle", question=question)}

        @tool(says="Shows what a membership level entitles to.")
        def membership_privileges(membership: str) -> dict[str, Any]:
            return self.press("membership_privileges", membership=membership)

        @tool(says="Looks up how a refund stands.")
        def look_up_refund(order_id: str) -> dict[str, Any]:
            found = self.press("look_up_refund", order_id=order_id)
            return {"refund_state": "in_progress", "refund_by": "online", **found}

        yield from (
            pull_up_account,
            verify_identity,
            validate_purchase,
            ask_the_oracle,
            membership_privileges,
            look_up_refund,
        )

    def filled(self) -> Iterator[Tool]:
        """Buttons whose field gets a fact."""
        for name, says in (
            ("record_reason", "Records a reason."),
            ("enter_details", "Enters details."),
            ("record_shipping_status", "Records the shipping status."),
            ("update_account", "Updates the account."),
            ("update_order_amount", "Takes an amount off the order."),
            ("update_order_payment", "Changes the payment method of the order."),
            ("update_order_return", "Arranges a return."),
            ("update_order_remedy", "Mends the order."),
            ("update_order_change", "Changes the order."),
            ("update_order_address", "Sends the order again to an address."),
            ("offer_refund", "Refunds an amount."),
            ("make_purchase", "Orders a product."),
            ("send_link", "Sends a link."),
            ("update_order", "Changes how the order is sent or paid."),
            ("credit_account", "Credits an amount."),
            ("charge_account", "Charges an amount."),
            ("notify_team", "Notifies a team."),
        ):
            yield self.field_button(name, says)

        @tool(consequential=True, says="Makes a promo code for an amount.")
        def make_promo_code(amount: int, context: ToolContext) -> dict[str, Any]:
            return {"promo_code": "HELP25", **self.press("make_promo_code", amount=amount)}

        @tool(consequential=True, says="Makes a new password.")
        def make_password(context: ToolContext, pin: str = "", security_answer: str = "") -> dict[str, Any]:
            found = self.press("make_password", pin=pin, security_answer=security_answer)
            return {"new_password": "x4k9qp2m7t", **found}

        yield from (make_promo_code, make_password)

    def field_button(self, name: str, says: str) -> Tool:
        @tool(consequential=True, says=says, name=name)
        def pressed(
            context: ToolContext,
            full_name: str = "",
            account_id: str = "",
            order_id: str = "",
            username: str = "",
            email: str = "",
            pin: str = "",
            security_answer: str = "",
            full_address: str = "",
            street_address: str = "",
            new_address: str = "",
            new_name: str = "",
            present_phone: str = "",
            new_phone: str = "",
            payment_method: str = "",
            new_payment_method: str = "",
            heard_from: str = "",
            credit_from: str = "",
            refund_target: str = "",
            product: str = "",
            shipping_status: str = "",
            return_how: str = "",
            remedy: str = "",
            change_option: str = "",
            days_waiting: int = 0,
            amount: int = 0,
            total: int = 0,
            change: str = "",
            team: str = "",
        ) -> dict[str, Any]:
            fields = {key: value for key, value in locals().items() if key not in ("self", "context", "name")}
            return self.press(name, **fields)

        return pressed

    def computing(self) -> Iterator[Tool]:
        """No buttons: what a wizard works out in the head, and the language does not say."""

        @tool(says="The first letter of the first name, the last name, and a 1.")
        def make_username(full_name: str = "") -> dict[str, Any]:
            first, _, last = full_name.strip().lower().partition(" ")
            self.press("make_username", full_name=full_name)
            return {"username": f"{first[:1]}{last.replace(' ', '')}1" if last else "customer1"}

        @tool(says="The two amounts together.")
        def add_amounts(previous_amount: int, amount: int) -> dict[str, Any]:
            self.press("add_amounts", previous_amount=previous_amount, amount=amount)
            return {"total": previous_amount + amount}

        @tool(says="How many days ago a day was.")
        def days_since_purchase(purchase_date: str) -> dict[str, Any]:
            self.press("days_since_purchase", purchase_date=purchase_date)
            return {"days_ago": (TODAY - date.fromisoformat(purchase_date)).days}

        yield from (make_username, add_amounts, days_since_purchase)


COMPANY = Company()
code = Code.of(tools=COMPANY.buttons())
