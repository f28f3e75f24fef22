"""Conversations on the procedures in `tests/procedures/abcd`: a customer who knows every answer, and says otherwise
where a case wants it."""

import importlib.util
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from interlock.agents.scripted import ScriptedAgent
from interlock.contracts.commands import Actor
from interlock.contracts.events import QuestionAsked, TransitionTaken
from interlock.fsm.program import Program, compiled
from interlock.persistence.memory_store import MemoryStore
from interlock.service.project import read_file
from interlock.service.runtime import Runtime
from support.runtime import check_log, of_type

FOLDER = Path(__file__).parents[1] / "procedures" / "abcd"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
ANSWERS = {
    "full_name": "Crystal Minh",
    "account_id": "8BKZ2YGZ8X",
    "username": "cminh730",
    "email": "cminh730@email.com",
    "order_id": "3348917502",
    "zip_code": "91207",
    "phone": "(977) 625-2661",
    "pin": "498271",
    "password": "correct horse",
    "security_answer": "Alexander",
    "full_address": "7221 Florshim Drive, San Carlos, CA",
    "street_address": "7221 Florshim Drive",
    "new_address": "7226 Florshim Drive",
    "new_name": "Jerry Seinfeld",
    "present_phone": "(977) 625-2661",
    "new_phone": "(977) 625-2662",
    "payment_method": "credit card",
    "new_payment_method": "paypal",
    "membership": "gold",
    "shipping_status": "order received",
    "refund_reason": "It is broken",
    "refund_target": "gift card",
    "amount": "$30.00",
    "previous_amount": "$100.00",
    "product": "Guess Jeans",
    "satisfied": "satisfied",
    "purchase_date": "2020-03-20",
    "has_receipt": "yes",
    "in_packaging": "yes",
    "return_how": "by mail",
    "heard_from": "by email",
    "credit_from": "previous purchase",
    "service_works": "yes",
    "still_wanted": "yes",
    "may_charge": "yes",
    "change_option": "change order",
    "remedy": "change date",
    "question": "Will it come on Monday",
    "days_waiting": "9 days",
    "more_needed": "no",
}
MANAGER = Actor(kind="human", id="manager-1", roles=("manager",))
NOT_TOLD = "I'd rather not say"


@dataclass(frozen=True)
class Case:
    """What the customer and the systems say otherwise than usual, and the last state before the end."""

    end: str
    says: Mapping[str, str]
    company: Mapping[str, Any]


@dataclass(frozen=True)
class Held:
    """One conversation: the rows it took, the states it came to, and the buttons that were pressed."""

    program: Program
    rows: tuple[int, ...]
    states: tuple[str, ...]
    pressed: tuple[tuple[str, dict[str, Any]], ...]

    @property
    def buttons(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.pressed)


def buttons_module() -> ModuleType:
    """The code beside the procedures."""
    spec = importlib.util.spec_from_file_location("abcd_buttons", FOLDER / "code.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BUTTONS = buttons_module()


@cache
def program_of(name: str) -> Program:
    return compiled(read_file(FOLDER / f"{name}.yaml", BUTTONS.code).flow, BUTTONS.code)


async def held(name: str, case: Case) -> Held:
    """The whole conversation on the runtime, to its end; its log verifies and decides the same again. Held once."""
    at = f"{name} {case}"
    if at not in _HELD:
        _HELD[at] = await _held(name, case)
    return _HELD[at]


_HELD: dict[str, Held] = {}


async def _held(name: str, case: Case) -> Held:
    company = BUTTONS.COMPANY
    company.start_over(deepcopy(dict(case.company)))
    program, store = program_of(name), MemoryStore()
    async with Runtime(store, program, ScriptedAgent([])) as runtime:
        outcome = await runtime.start(conversation="talk")
        for _ in range(40):
            if outcome.standing == "ended":
                break
            if outcome.task is not None:
                outcome = await runtime.decide_task(
                    "talk", outcome.task.number, outcome.task.decisions[0], actor=MANAGER
                )
                continue
            asked = of_type(store, "talk", QuestionAsked)[-1].fact
            outcome = await runtime.say("talk", {**ANSWERS, **case.says}[asked] if asked else "yes")
    check_log(store, program)
    taken = of_type(store, "talk", TransitionTaken)
    states = (program.flow.initial, *(event.target for event in taken))
    return Held(program, tuple(event.row for event in taken), states, tuple(company.pressed))
