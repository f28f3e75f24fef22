"""What is a control, and what only looks like one."""

import csv
import json
import os
from collections import Counter
from pathlib import Path

import pytest

from interlock.fsm.controls import control_in, corrects, yes_no_in

DATA = Path(os.environ.get("INTERLOCK_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data")
needs_data = pytest.mark.skipif(not (DATA / "star").is_dir(), reason=f"no recorded conversations in {DATA}")


@pytest.mark.parametrize(
    ("control", "texts"),
    [
        (
            "yes",
            (
                "yes",
                "Yes please!",
                "yep",
                "that's right",
                "yes that's right thanks",
                "Go ahead",
                "👍",
                "Oh, okay. That's fine then",
                "ok thanks",
                "Yes, please proceed.",
            ),
        ),
        ("no", ("no", "No thanks.", "nope", "No it isn't", "that's wrong", "no, that is not correct", "no no no")),
        (
            "repeat",
            (
                "what?",
                "Sorry?",
                "can you repeat",
                "Can you repeat that please?",
                "say that again",
                "pardon?",
                "come again?",
                "Sorry, I don't understand",
                "what do you mean?",
                "I didn't catch that",
                "Huh?",
                "?",
                "what was the question",
                "What? Could you say that again?",
            ),
        ),
        (
            "back",
            (
                "go back",
                "can we go back?",
                "previous question",
                "back",
                "I made a mistake in the last one",
                "I made a mistake",
                "go back one step please",
                "can I change my last answer",
                "undo",
            ),
        ),
        (
            "decline",
            (
                "I don't want to say",
                "I'd rather not say",
                "rather not",
                "prefer not to",
                "I prefer not to say",
                "no, I'd rather not",
                "skip",
                "none of your business",
                "I won't tell you that",
                "that's private",
                "I don't want to give you my date of birth",
                "I\u2019d rather not say",
            ),
        ),
        (
            "cancel",
            (
                "never mind",
                "Nevermind",
                "forget it",
                "cancel",
                "stop this",
                "stop",
                "No, never mind.",
                "ok forget it",
                "I changed my mind",
                "I give up",
                "cancel that please",
            ),
        ),
    ],
)
def test_a_message_that_is_a_control(control: str, texts: tuple[str, ...]) -> None:
    assert {text: control_in(text) for text in texts} == dict.fromkeys(texts, control)


@pytest.mark.parametrize(
    "text",
    [
        "cancel my card",
        "stop my card please",
        "no, the amount is 45",
        "I want to go back to London",
        "I forgot my PIN",
        "what is my balance?",
        "yes but the amount is 45",
        "never received it",
        "I don't know",
        "yes no",
        "no idea",
        "hello",
        "thanks",
        "I'd rather have a refund",
        "pass the message on",
        "cancel my reservation and refund me",
        "previous charge was wrong",
        "I prefer window seats",
        "don't mind",
        "",
        " ",
        "\x00",
        "\ud800",
        "nö",
        "right now",
        "what a day",
        "40",
        "Ana Back",
        "yes " * 1000,
        "stop " * 100_000,
    ],
)
def test_a_message_with_something_else_in_it_is_no_control(text: str) -> None:
    assert control_in(text) is None


@pytest.mark.parametrize(
    ("message", "start", "says_so"),
    [
        ("no, it was 45", 11, True),
        ("sorry, I meant 45", 15, True),
        ("actually the amount is 45", 23, True),
        ("it should be 45", 13, True),
        ("sorry for the delay, I was charged 12", 35, False),
        ("I was charged 12", 14, False),
        ("no problem, I was charged 12", 26, False),
    ],
)
def test_a_correction_is_said_right_before_the_value(message: str, start: int, says_so: bool) -> None:
    assert corrects(message, start) is says_so


def test_a_long_message_is_no_answer_to_yes_or_no() -> None:
    assert yes_no_in("I was told that no refund would come and that is fine by me, yes it is strange " * 300) is None


def _customer_turns() -> dict[str, list[str]]:
    star = json.loads((DATA / "star" / "dialogues.json").read_text())
    tau = json.loads(next((DATA / "tau_airline").glob("*.json")).read_text())
    with (DATA / "banking77" / "train.csv").open(newline="") as file:
        banking = [row["text"] for row in csv.DictReader(file)]
    return {
        "star": [
            event["Text"] for one in star for event in one["Events"] if event["Agent"] == "User" and event.get("Text")
        ],
        "tau_airline": [
            turn["content"] for one in tau for turn in one["traj"] if turn["role"] == "user" and turn["content"]
        ],
        "banking77": banking,
    }


@needs_data
def test_controls_are_rare_in_what_customers_write() -> None:
    """No request of Banking77 is a control; in conversations, hardly anything but yes and no."""
    turns = _customer_turns()
    counts = {name: Counter(map(control_in, texts)) for name, texts in turns.items()}
    assert set(counts["banking77"]) == {None}
    assert set(counts["tau_airline"]) <= {None, "yes", "no", "cancel"}
    assert all("STOP" in text for text in turns["tau_airline"] if control_in(text) == "cancel")
    for name in ("star", "tau_airline"):
        others = sum(count for kind, count in counts[name].items() if kind in ("repeat", "back", "decline"))
        assert others <= len(turns[name]) // 200, counts[name]
