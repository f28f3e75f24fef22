"""The example audits: each rule breaks on a conversation made to break it, and holds on one that keeps it."""

import json
from pathlib import Path
from typing import Any

import pytest

from interlock.fsm.mark_file import read_marks
from interlock.fsm.policies.alone import read_policies
from interlock.persistence.memory_store import MemoryStore
from interlock.service.importing import import_files
from interlock.service.policing import Judge, audited_policies

AUDITS = Path(__file__).parents[3] / "examples" / "audits"
FLIGHT = {"flight_number": "HAT001", "date": "2024-05-20"}
OTHER = {"flight_number": "HAT002", "date": "2024-05-20"}


class Chat:
    """A conversation being written: who says what, and what tools give back."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = [{"role": "assistant", "content": "How can I help you?"}]
        self.calls = 0

    def user(self, text: str) -> "Chat":
        self.messages.append({"role": "user", "content": text})
        return self

    def agent(self, text: str) -> "Chat":
        self.messages.append({"role": "assistant", "content": text})
        return self

    def call(self, tool: str, gives: Any = "done", *, saying: str | None = None, **arguments: Any) -> "Chat":
        return self.calling([(tool, arguments, gives)], saying)

    def calling(self, calls: list[tuple[str, dict[str, Any], Any]], saying: str | None = None) -> "Chat":
        made = []
        for tool, arguments, _ in calls:
            self.calls += 1
            made.append({"id": f"c{self.calls}", "function": {"name": tool, "arguments": json.dumps(arguments)}})
        self.messages.append({"role": "assistant", "content": saying, "tool_calls": made})
        for call, (_, _, gives) in zip(made, calls, strict=True):
            text = gives if isinstance(gives, str) else json.dumps(gives)
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": text})
        return self


def broken(tmp_path: Path, domain: str, chat: Chat) -> set[str]:
    path = tmp_path / "one.json"
    path.write_text(json.dumps([{"traj": chat.messages}]), "utf-8")
    store = MemoryStore()
    import_files(store, [path], "tau", marks=read_marks((AUDITS / f"{domain}_marks.yaml").read_bytes()))
    judge = Judge(read_policies((AUDITS / f"{domain}_policies.yaml").read_bytes()))
    return {one.policy for one in audited_policies(store, store.streams(), lambda _: judge).breaches}


def reservation(cabin: str = "economy", insurance: str = "no", created: str = "2024-05-01T10:00:00") -> dict[str, Any]:
    return {
        "reservation_id": "R1", "user_id": "mia", "cabin": cabin, "insurance": insurance, "created_at": created,
        "flights": [FLIGHT], "payment_history": [{"payment_id": "credit_card_1", "amount": 9}],
    }  # fmt: skip


def airline() -> Chat:
    chat = Chat().user("I am mia.").call("get_user_details", {"payment_methods": {"a": {"id": "gift_card_1"}}})
    return chat.call("get_reservation_details", reservation(), reservation_id="R1")


def booked(*payments: str) -> dict[str, Any]:
    return {"passengers": [{"first_name": "M"}], "payment_methods": [{"payment_id": one} for one in payments]}


CHANGE = {"reservation_id": "R1", "cabin": "economy", "payment_id": "gift_card_1"}
SURE = "Shall I proceed?"
AIRLINE: list[tuple[Chat, set[str]]] = [
    (airline().agent(SURE).user("Yes, please.").call("update_reservation_flights", flights=[OTHER], **CHANGE), set()),
    (airline().agent(SURE).user("Let’s use the gift card.")
     .call("update_reservation_flights", flights=[OTHER], **CHANGE), set()),
    (airline().agent(SURE).user("The cheaper one.").call("update_reservation_flights", flights=[OTHER], **CHANGE),
     {"yes_before_write", "a_yes_for_each_write"}),
    (airline().agent(SURE).user("yes").agent("Which bag?").user("The red one.")
     .call("update_reservation_baggages", **CHANGE),
     {"yes_before_write"}),
    (airline().user("yes").call("update_reservation_passengers", reservation_id="R2"), {"read_before_write"}),
    (airline().user("yes").call("cancel_reservation", reservation_id="R1"), {"cancel_only_what_may_be"}),
    (Chat().call("get_reservation_details", reservation(insurance="yes"), reservation_id="R1").user("yes")
     .call("cancel_reservation", reservation_id="R1"), set()),
    (Chat().call("get_reservation_details", reservation(created="2024-05-14T18:00:00"), reservation_id="R1").user("yes")
     .call("cancel_reservation", reservation_id="R1"), set()),
    (airline().user("yes").call("update_reservation_flights", reservation("business"), flights=[FLIGHT], **CHANGE)
     .user("yes").call("cancel_reservation", reservation_id="R1"), set()),
    (Chat().call("get_reservation_details", reservation("basic_economy"), reservation_id="R1").user("yes")
     .call("update_reservation_flights", flights=[OTHER], reservation_id="R1", payment_id="credit_card_1"),
     {"basic_economy_stays"}),
    (Chat().call("get_reservation_details", reservation("basic_economy"), reservation_id="R1").user("yes")
     .call("update_reservation_flights", flights=[FLIGHT], reservation_id="R1", payment_id="credit_card_1"), set()),
    (airline().user("yes").call("book_reservation", **booked("gift_card_1")), set()),
    (airline().user("yes").call("book_reservation", **booked("gift_card_9")), {"payment_of_the_profile"}),
    (airline().user("yes").call("update_reservation_baggages", reservation_id="R1", payment_id="gift_card_9"),
     {"payment_of_the_profile"}),
    (airline().user("yes").call("book_reservation", **booked("certificate_1", "certificate_2")),
     {"payment_mix", "payment_of_the_profile"}),
    (airline().user("yes").call("book_reservation", passengers=[{"first_name": "M"}] * 6, payment_methods=[]),
     {"five_passengers"}),
    (airline().call("transfer_to_human_agents").call("calculate"), {"nothing_after_transfer"}),
    (airline().calling([("calculate", {}, "1"), ("calculate", {}, "2")]), {"one_call_at_a_time"}),
    (airline().call("calculate", saying="One moment."), {"no_talk_with_a_call"}),
    (airline().user("yes").call("update_reservation_baggages", **CHANGE).call("update_reservation_baggages", **CHANGE),
     {"a_yes_for_each_write"}),
]  # fmt: skip


@pytest.mark.parametrize(("chat", "breaks"), AIRLINE, ids=range(len(AIRLINE)))
def test_the_rules_of_an_airline(tmp_path: Path, chat: Chat, breaks: set[str]) -> None:
    """Each breach and nothing else."""
    assert broken(tmp_path, "airline", chat) == breaks


def order(status: str = "pending", user: str = "mia") -> dict[str, Any]:
    return {"order_id": "#1", "user_id": user, "status": status, "payment_history": [{"payment_method_id": "paypal_1"}]}


def shop(status: str = "pending") -> Chat:
    chat = Chat().user("I am m@x.com").call("find_user_id_by_email", "mia", email="m@x.com")
    return chat.call("get_order_details", order(status), order_id="#1")


ITEMS = {"order_id": "#1", "payment_method_id": "paypal_1"}
RETAIL: list[tuple[Chat, set[str]]] = [
    (shop().user("yes").call("cancel_pending_order", order_id="#1", reason="no longer needed"), set()),
    (shop().agent(SURE).user("Please cancel it.")
     .call("cancel_pending_order", order_id="#1", reason="no longer needed"), set()),
    (shop().user("no longer needed").call("cancel_pending_order", order_id="#1", reason="no longer needed"),
     {"yes_before_write"}),
    (shop().user("yes").call("cancel_pending_order", order_id="#1", reason="too dear"), {"reason_to_cancel"}),
    (shop().user("yes").call("cancel_pending_order", order_id="#2", reason="no longer needed"),
     {"pending_before_change"}),
    (shop().user("yes").call("return_delivered_order_items", **ITEMS), {"delivered_before_return"}),
    (shop("delivered").user("yes").call("return_delivered_order_items", **ITEMS), set()),
    (shop("delivered").user("yes").call("return_delivered_order_items", order_id="#1", payment_method_id="card_9"),
     {"one_refund_path", "payment_of_the_customer"}),
    (shop("delivered").user("yes").call("return_delivered_order_items", order_id="#1", payment_method_id="gift_card_0"),
     {"payment_of_the_customer"}),
    (shop().user("yes").call("modify_pending_order_items", order("pending (items modified)"), **ITEMS)
     .user("yes").call("modify_pending_order_items", **ITEMS), {"items_once"}),
    (shop().user("yes").call("modify_pending_order_items", "Error: no such item", **ITEMS)
     .user("yes").call("modify_pending_order_items", order(), **ITEMS), set()),
    (Chat().user("I am mia").call("get_order_details", order(), order_id="#1"),
     {"authentication_first", "own_account_only"}),
    (Chat().call("find_user_id_by_email", "Error: not found").call("get_user_details", user_id="mia"),
     {"authentication_first", "own_account_only"}),
    (shop().call("get_order_details", order(user="tom"), order_id="#3"), {"own_account_only"}),
    (shop().call("get_user_details", user_id="tom"), {"own_account_only"}),
    (shop().call("transfer_to_human_agents").call("calculate"), {"nothing_after_transfer"}),
    (shop().calling([("calculate", {}, "1"), ("calculate", {}, "2")], "Adding up."),
     {"one_call_at_a_time", "no_talk_with_a_call"}),
]  # fmt: skip


@pytest.mark.parametrize(("chat", "breaks"), RETAIL, ids=range(len(RETAIL)))
def test_the_rules_of_a_shop(tmp_path: Path, chat: Chat, breaks: set[str]) -> None:
    """Each breach and nothing else."""
    assert broken(tmp_path, "retail", chat) == breaks
