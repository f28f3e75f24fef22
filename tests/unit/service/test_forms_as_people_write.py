"""Forms as people answer them: two answers in one message, corrections, answers that are none. On the real runtime."""

from collections.abc import Sequence

import pytest

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.events import FactsRecorded, MessageReceived, QuestionAsked
from interlock.fsm.code import Code
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.persistence.memory_store import MemoryStore
from interlock.service.outcome import TurnOutcome
from interlock.service.runtime import Runtime
from support.runtime import check_log, of_type

FLOW = """
flow: returns
version: 1
owner: tests
currency: EUR
initial: hello

facts:
  full_name: {type: text, says: your full name, ask: "Your name?"}
  account:   {type: code, says: your account number, pattern: "[0-9]{8}", ask: "Your account?", help: "Eight digits."}
  order:     {type: code, says: the order, pattern: "[A-Z][0-9]{5}", ask: "Which order?"}
  amount:    {type: money, says: the amount, ask: "How much?"}
  reason:    {type: choice, says: the reason, choices: [faulty, late], ask: "Why?"}

states:
  hello:   {kind: wait, deadline: 30m, say: "Hello."}
  form:    {kind: collect, facts: FACTS, attempts: 3, deadline: 15mCONFIRM}
  done:    {kind: final, say: "Done."}
  desk:    {kind: final, say: "A person comes."}
  private: {kind: final, say: "As you wish."}

transitions:
  - [hello, message,  otherwise, form,    P-1]
  - [form,  complete, otherwise, done,    P-1]
  - [form,  gave_up,  otherwise, desk,    P-1]
  - [form,  declined, otherwise, private, P-1]
  - [any,   expired,  otherwise, desk,    P-1]
  - [any,   limit,    otherwise, desk,    P-1]
"""
CHANGED = "Thank you, I have changed that."
CONFIRM = "Order {order}, {amount}, {reason}. Right?"


def returns(*facts: str, confirm: str = "") -> Program:
    text = FLOW.replace("FACTS", f"[{', '.join(facts)}]")
    text = text.replace("CONFIRM", f', confirm: "{confirm}"' if confirm else "")
    return compiled(read_flow(text, Code()).flow, Code())


async def talked(program: Program, *texts: str) -> tuple[MemoryStore, Sequence[TurnOutcome]]:
    """What came back for each text, after the one that opens the form."""
    store = MemoryStore()
    async with Runtime(store, program, ScriptedAgent(lambda _: gives(reply="Yes."))) as runtime:
        await runtime.start(conversation="talk")
        await runtime.say("talk", "hi")
        outcomes = [await runtime.say("talk", text) for text in texts]
    check_log(store, program)
    return store, outcomes


async def replies(program: Program, *texts: str) -> list[tuple[str, ...]]:
    return [outcome.replies for outcome in (await talked(program, *texts))[1]]


def taken(store: MemoryStore) -> list[str]:
    return [fact.name for event in of_type(store, "talk", FactsRecorded) for fact in event.facts]


def attempts(store: MemoryStore) -> list[tuple[str | None, int]]:
    return [(one.fact, one.attempt) for one in of_type(store, "talk", QuestionAsked)]


@pytest.mark.parametrize(
    "text",
    [
        "Maria Keller 12345678",
        "it's Maria Keller, account 12345678",
        "Maria Keller, 12345678",
        "maria keller 12345678",
        "12345678 Maria Keller",
        "account number 12345678, Maria Keller",
        "Maria Keller (12345678)",
    ],
)
async def test_a_name_and_a_number_in_one_message_are_both_taken(text: str) -> None:
    orders = [("full_name", "account"), ("account", "full_name")]
    for facts in orders[:1] if text.islower() else orders:
        store, (outcome,) = await talked(returns(*facts), text)
        assert outcome.state == "done", (text, facts)
        assert sorted(taken(store)) == ["account", "full_name"]
        lengths = {fact.name: fact.length for event in of_type(store, "talk", FactsRecorded) for fact in event.facts}
        assert lengths == {"full_name": len("Maria Keller"), "account": 8}


async def test_a_correction_of_another_fact_is_thanked_for_and_costs_no_attempt() -> None:
    program = returns("amount", "full_name")
    store, outcomes = await talked(program, "40", "sorry, it was €45", "sorry, I meant €46", "no, €47", "Maria Keller")
    assert [one.replies for one in outcomes[1:4]] == [(CHANGED, "Your name?")] * 3
    assert outcomes[-1].state == "done"
    assert attempts(store) == [("amount", 1), *[("full_name", 1)] * 4]


async def test_what_is_volunteered_costs_no_attempt_but_once() -> None:
    """Something new is progress; the same again is none, so nobody goes round for ever."""
    program = returns("account", "full_name", "amount")
    store, outcomes = await talked(
        program, "my name is Maria Keller", "it was €40", "it was €40", "it was €40", "it was €40"
    )
    assert [one.replies for one in outcomes[:2]] == [("Your account?",)] * 2
    assert [one.state for one in outcomes] == ["form"] * 4 + ["desk"]
    assert attempts(store) == [*[("account", 1)] * 3, ("account", 2), ("account", 3)]


async def test_progress_does_not_give_back_the_attempts_that_are_gone() -> None:
    store, outcomes = await talked(returns("account", "full_name"), "hm", "my name is Maria Keller", "hm", "hm")
    assert attempts(store) == [("account", 1), ("account", 2), ("account", 2), ("account", 3)]
    assert outcomes[-1].state == "desk"


@pytest.mark.parametrize("text", ["what?", "go back"])
async def test_asking_again_and_going_back_where_there_is_nothing_end_too(text: str) -> None:
    store, outcomes = await talked(returns("account"), *[text] * 3)
    assert [one.state for one in outcomes] == ["form", "form", "desk"]
    assert outcomes[0].replies == ("Your account?",)
    assert attempts(store) == [("account", 1), ("account", 2), ("account", 3)]


FILLED = ("A10000", "40", "late")


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        ("B20000", "Order B20000, €40.00, late. Right?"),
        ("b20000", "Order B20000, €40.00, late. Right?"),
        ("45", "Order A10000, €45.00, late. Right?"),
        ("faulty", "Order A10000, €40.00, faulty. Right?"),
        ("it's faulty", "Order A10000, €40.00, faulty. Right?"),
        ("the amount is 45", "Order A10000, €45.00, late. Right?"),
        ("change it to 45 please", "Order A10000, €45.00, late. Right?"),
    ],
)
async def test_a_bare_value_corrects_the_summary(text: str, summary: str) -> None:
    """After "no", with the "no", or at once."""
    program = returns("order", "amount", "reason", confirm=CONFIRM)
    for said in (("no", text), (f"no, {text}",), (text,)):
        _, outcomes = await talked(program, *FILLED, *said, "yes")
        assert outcomes[-2].replies == (summary,), said
        assert outcomes[-1].state == "done"


async def test_what_fits_no_fact_or_two_is_asked_again() -> None:
    program = returns("order", "amount", "reason", confirm=CONFIRM)
    summary = "Order A10000, €40.00, late. Right?"
    _, outcomes = await talked(program, *FILLED, "no", "1")
    assert outcomes[-2].replies == ("What should I change?", summary)
    assert outcomes[-1].replies == (summary,), "1 is an amount, and the first of the reasons"
    store, outcomes = await talked(program, *FILLED, "no", "something else", "I was also charged a €12 fee")
    assert outcomes[-2].replies == (summary,)
    assert outcomes[-1].state == "desk"
    assert taken(store) == ["order", "amount", "reason"]


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("40", "done"),
        ("its 24,50€", "done"),
        ("about 40 I think", "done"),
        ("roughly 40 euro", "done"),
        ("none of your business", "private"),
        ("it's none of your business!", "private"),
        ("about 40 quid", "form"),
        ("mind your own business", "private"),
        ("idk", "form"),
        ("what do you need that for?", "form"),
        ("twenty-four fifty", "form"),
    ],
)
async def test_how_people_answer_how_much(text: str, state: str) -> None:
    store, (outcome,) = await talked(returns("amount"), text)
    assert outcome.state == state
    reading = of_type(store, "talk", MessageReceived)[-1].reading
    reasons = {"about 40 quid": "other_currency", "idk": "unknown"}
    if text in reasons:
        assert [one.reason for one in reading.unreadable] == [reasons[text]]


@pytest.mark.parametrize(
    "text",
    [
        "what do you need that for?",
        "what do you need that for",
        "can I speak to someone",
        "can i talk to a human please",
        "let me speak to a person",
        "idk",
        "i don't remember",
        "why",
        "speak to an agent",
        "human please",
        "I want a person",
        "agent",
        "help me",
        "is this a bot",
        "who are you?",
        "do I have to?",
        "are you a real person",
        "get me a human",
        "put me through to someone",
        "how long does this take",
        "give me a real person",
    ],
)
async def test_a_question_or_a_wish_is_no_name(text: str) -> None:
    store, (outcome,) = await talked(returns("full_name"), text)
    assert taken(store) == [], text
    assert outcome.state in ("form", "desk", "private")


@pytest.mark.parametrize(
    "text",
    [
        "Will Smith",
        "Art Garfunkel",
        "Mark Human-Jones",
        "Can Yilmaz",
        "May Wong",
        "Do Kim",
        "Bill",
        "Ana Agentis",
        "Maria",
        "van der Berg",
        "keller, maria",
        "My name is Will",
        "Sure, Maria Keller",
        "Mercy Help",
    ],
)
async def test_names_that_look_like_words_are_names(text: str) -> None:
    store, (outcome,) = await talked(returns("full_name"), text)
    assert (outcome.state, taken(store)) == ("done", ["full_name"]), text
