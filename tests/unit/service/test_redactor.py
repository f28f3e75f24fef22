"""What must not be kept is replaced before anything reads or stores it; what is not replaced is named."""

import json
import random
import re
import threading
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.errors import SetupError
from interlock.contracts.events import MessageReceived
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.loading import recorded
from interlock.service.presidio import PresidioTagger
from interlock.service.redaction import redacted
from interlock.service.redactor import LONG, Redacted, Redactor, redactor_named
from interlock.service.runtime import Runtime
from interlock.service.sensitive import SENSITIVE, _cards_in, found_in, luhn
from support.runtime import CLERK, mini

PROGRAM = mini()


def card(seed: int, length: int = 16) -> str:
    """A number that an issuer could have given: its check digit fits."""
    digits = str(random.Random(seed).choice("3456")) + "".join(random.Random(seed).choices("0123456789", k=length - 2))
    return next(found for last in "0123456789" if luhn(found := digits + last))


KNOWN: dict[str, tuple[str, ...]] = {
    "card": (
        "4111111111111111",
        "4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "5500.0000.0000.0004",
        "3400 000000 00009",
        "６０１１ ０００９ ９０１３ ９４２４",
        "4111\u200b1111\u200b1111\u200b1111",
        "4111\u20131111\u20131111\u20131111",  # as telephones correct it
        "4111\n1111\r\n1111\n1111",
        "4111*1111*1111*1111",
        "4\u00ad111111111111111",
        "4111\u180e1111\u180e1111\u180e1111",
    ),
    "account": ("GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "fr14 2004 1010 0505 0001 3m02 606"),
    "national_id": (
        "078-05-1120",  # United States
        "AB 12 34 56 C",  # United Kingdom
        "12345678Z",  # Spain
        "X1234567L",
        "2 55 08 14 168 025 38",  # France
        "86095742719",  # Germany
        "RSSMRA85T10A562S",  # Italy
        "44051401359",  # Poland
    ),
    "secret": (
        "sk-proj-abcdefghijklmnop1234",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "AKIAIOSFODNN7EXAMPLE",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----",
    ),
}
AROUND = ("", "my number is ", "№", "(")
BEHIND = ("", " and more", ", please", ")")


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in KNOWN.items() for text in texts])
def test_each_form_is_found(kind: str, text: str) -> None:
    """Wherever it stands in a sentence, all of it is replaced, and nothing else."""
    everything = Redactor(SENSITIVE)
    for before in AROUND[:2]:
        for behind in BEHIND:
            kept = everything.text(f"{before}{text}{behind}")
            assert (kept.text, kind in kept.tags) == (f"{before}[{kind}]{behind}", True)
            assert everything.text(kept.text).text == kept.text


def test_letters_against_a_card_hide_nothing() -> None:
    assert Redactor().text("cc4111111111111111").text == "cc[card]"
    assert Redactor().text("4111111111111111abc").text == "[card]abc"
    assert Redactor().text("pan=4111111111111111;exp=1228").text == "pan=[card];exp=1228"


def test_a_card_behind_a_long_row_of_digits_is_found() -> None:
    assert Redactor().text("1 " * 100 + "4111 1111 1111 1111").text == "1 " * 100 + "[card]"


def by_trying(text: str) -> set[tuple[int, int]]:
    """The cards of one row of digits and blanks: every stretch of whole groups, tried as the definition says."""
    groups = [match.span() for match in re.finditer(r"\d+", text)]
    return {
        (first[0], last[1])
        for at, first in enumerate(groups)
        for last in groups[at:]
        if 13 <= len(digits := text[first[0] : last[1]].replace(" ", "")) <= 19
        and digits[0] in "23456"
        and len(set(digits)) > 1
        and luhn(digits)
    }


@given(st.text(alphabet="0123456789 ", min_size=13, max_size=60).map(lambda text: re.sub(" +", " ", text)))
def test_the_sums_of_a_row_say_what_the_definition_says(text: str) -> None:
    found = {(one.start, one.end) for one in _cards_in(text)}
    assert found == by_trying(text)


async def test_a_long_message_is_read_in_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a short one where it came, for a change of threads costs more than the reading."""
    threads, read = dict[int, bool](), Redactor.text

    def noting(self: Redactor, text: str) -> Redacted:
        threads[len(text)] = threading.current_thread() is threading.main_thread()
        return read(self, text)

    monkeypatch.setattr(Redactor, "text", noting)
    async with Runtime(MemoryStore(), PROGRAM, ScriptedAgent(lambda _: gives(reply="n" * (LONG + 1)))) as runtime:
        await runtime.start(conversation="talk")
        await runtime.say("talk", "help")
        await runtime.say("talk", "4 " * LONG)
    assert (threads[4], threads[2 * LONG], threads[LONG + 1]) == (True, False, False)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # one digit is wrong
        "order 1234567890123456",
        "call me at +44 20 7946 0958",
        "0000000000000000",
        "GB82 WEST 1234 5698 7654 33",
        "12345678A",
        "000-12-3456",
        "666-12-3456",
        "the part sk-12",
        "2026-11-21 09:00:00",
        "amount 1200.50 of 3",
    ],
)
def test_what_only_looks_alike_stays(text: str) -> None:
    """A check digit that does not fit, an area that is never given, a date: no one's secret."""
    assert Redactor(SENSITIVE).text(text).text == text


@given(st.text(max_size=200))
def test_any_text_is_redacted_once(text: str) -> None:
    """Total, and doing it again changes nothing; what has nothing in it is the same object's text."""
    kept = Redactor(SENSITIVE).text(text)
    assert Redactor(SENSITIVE).text(kept.text).text == kept.text
    if not found_in(text):
        assert kept.text == text


def test_json_stays_json() -> None:
    """A card that a model wrote as a number, or under a name, is replaced; everything else is as it was."""
    redactor = Redactor()
    text = '{"card": 4111111111111111, "say": ["4111 1111 1111 1111", 5], "4111111111111111": true}'
    assert json.loads(redactor.written(text)) == {"card": "[card]", "say": ["[card]", 5], "[card]": True}
    untouched = '{"amount" : 12,"at":1763715600000000}'
    assert redactor.written(untouched) == untouched
    assert redactor.written("{4111111111111111") == "{[card]"


def test_what_is_replaced_is_chosen() -> None:
    """Cards and secrets by default; an account is named, for a bank's flow may need it."""
    account = KNOWN["account"][0]
    assert Redactor().text(account) == Redactor().text(account).__class__(account, ("account",))
    assert redactor_named("account").text(f"{account} 4111111111111111").text == "[account] 4111111111111111"
    assert redactor_named("none").replaced == frozenset()
    assert redactor_named("").replaced == {"card", "secret"}
    with pytest.raises(SetupError, match="There is nothing called 'cards' to replace"):
        redactor_named("cards")


def test_previews_find_the_same() -> None:
    """One home: what the writer replaces, a preview replaces too."""
    for text in (*KNOWN["card"][:5], *KNOWN["secret"]):
        assert text not in redacted(f"it is {text} ok")


class _Engine:
    def analyze(self, text: str, language: str) -> list[Any]:
        assert language == "en"
        return [
            SimpleNamespace(entity_type="PERSON", score=0.9),
            SimpleNamespace(entity_type="US-X", score=0.6),
            SimpleNamespace(entity_type="LOCATION", score=0.2),
        ]


def test_a_tagger_only_adds() -> None:
    """Presidio's entities are named beside ours; finding nothing takes nothing away."""
    tagger = PresidioTagger(_Engine())
    kept = Redactor(taggers=[tagger]).text("Anna pays with 4111111111111111")
    assert (kept.text, kept.tags) == ("Anna pays with [card]", ("card", "person", "us_x"))

    class Nothing:
        def tags(self, text: str) -> tuple[str, ...]:
            return ()

    assert Redactor(taggers=[Nothing()]).text("4111111111111111").tags == ("card",)


def test_without_the_extra_presidio_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, with the command."""
    monkeypatch.setitem(__import__("sys").modules, "presidio_analyzer", None)
    with pytest.raises(SetupError, match=r"Presidio is not installed\. Fix: Run `pip install 'interlock\[pii\]'`"):
        PresidioTagger()


# -- in the log ----------------------------------------------------------------------------------------


async def planted(folder: Path, many: int) -> tuple[list[str], list[str]]:
    """Conversations full of cards and keys, in every place a text comes from; the plants, and what the agent saw."""
    plants, seen = [card(seed) for seed in range(many)], list[str]()
    secrets = [f"sk-live-{seed:024d}abc" for seed in range(many)]

    def answer(request: AgentRequest) -> AgentReply:
        seen.append(" ".join(message.content for message in request.messages))
        number = len(seen) % many
        return gives(reply=f"I repeat {plants[number]} and {secrets[number]}")

    with closing(SqliteStore(folder / "log.db", in_clear=True)) as store:
        async with Runtime(store, PROGRAM, ScriptedAgent(answer)) as runtime:
            for number, (plant, secret) in enumerate(zip(plants, secrets, strict=True)):
                name = f"talk-{number}"
                await runtime.start(conversation=name, facts={"city": f"at {plant}"})
                await runtime.say(name, f"help, my card is {plant} and the key {secret}")
                spaced = " ".join(plant[at : at + 4] for at in range(0, 16, 4))
                outcome = await runtime.say(name, f"a person, please: {spaced}")
                assert outcome.task
                await runtime.decide_task(name, outcome.task.number, "close", actor=CLERK, reason=f"saw {plant}")
                first = next(one.event for one in recorded(store.read(name)) if isinstance(one.event, MessageReceived))
                assert first.reading.sensitive == ("card", "secret")
        assert plants_in(folder, [*plants, *secrets]) == []  # while it is open: the write-ahead log, too
    return [*plants, *secrets], seen


def plants_in(folder: Path, plants: list[str]) -> list[str]:
    """Those that stand in any file; one pass over each, for there are many."""
    wanted, found = {one.encode() for one in plants}, set[bytes]()
    for file in (one for one in folder.rglob("*") if one.is_file()):
        for run in re.finditer(rb"[0-9]{16,}|sk-live-[0-9]{24}abc", file.read_bytes()):
            text = run[0]
            found |= {text[at : at + size] for size in (16, len(text)) for at in range(len(text) - size + 1)} & wanted
    assert all(re.fullmatch(r"[0-9]{16}|sk-live-[0-9]{24}abc", one) for one in plants)
    return sorted(one.decode() for one in found)


async def test_planted_cards_and_keys_reach_neither_the_log_nor_the_agent(tmp_path: Path, capfd: Any) -> None:
    """100 cards and keys in messages, facts, answers and reasons: 0 in the files, in what agents saw, or printed."""
    plants, seen = await planted(tmp_path, 100)
    printed = capfd.readouterr()
    assert plants_in(tmp_path, plants) == []
    assert [one for one in plants if any(one in text for text in (*seen, printed.out, printed.err))] == []


@pytest.mark.full
async def test_ten_thousand_planted_cards_reach_nothing(tmp_path: Path) -> None:
    """The target of the requirement table: 0 of 10,000."""
    plants, _ = await planted(tmp_path, 10_000)
    assert plants_in(tmp_path, plants) == []


async def test_control_without_the_redactor_they_are_found(tmp_path: Path) -> None:
    """The same search finds a card that was let through."""
    with closing(SqliteStore(tmp_path / "log.db", in_clear=True)) as store:
        agent = ScriptedAgent(lambda _: gives(reply="Yes."))
        async with Runtime(store, PROGRAM, agent, redactor=redactor_named("none")) as runtime:
            await runtime.start(conversation="talk")
            await runtime.say("talk", f"help, {card(1)}")
    assert plants_in(tmp_path, [card(1)]) == [card(1)]
