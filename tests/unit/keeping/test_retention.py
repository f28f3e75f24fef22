"""Retention: what is overdue goes, what is held or open stays, and a policy that deletes too early is refused."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from interlock.contracts.errors import CallError, SetupError
from interlock.contracts.keeping import TextsPruned, text_hash
from interlock.contracts.payload import PayloadAt
from interlock.contracts.retention import RetentionPolicy, RetentionRule
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.auditing import audited
from interlock.service.clock import ManualClock
from interlock.service.holding import placed
from interlock.service.retention import Retention, policy_in
from interlock.service.runtime import Runtime
from support.erasure import PROGRAM, echoing, found_in, talked
from support.runtime import check_log

HALF_A_YEAR = RetentionPolicy(rules=(RetentionRule(days=183),))


async def test_a_day_before_nothing_goes_and_a_day_after_all_of_it(tmp_path: Path) -> None:
    """Six months less a day: kept; a day more: deleted, on the record, and the log holds as before."""
    clock = ManualClock()
    store = SqliteStore(tmp_path / "log.db", in_clear=True)
    await talked(store, "anna", range(2), clock=clock)
    clock.advance(timedelta(days=182).total_seconds())
    retention = Retention(store, HALF_A_YEAR, clock)
    assert retention.prune(by="dpo").places == ()
    assert list(retention.journal.acts()) == []
    clock.advance(timedelta(days=2).total_seconds())
    expected = retention.overdue()
    assert expected.conversations == 2
    assert retention.prune(by="dpo", ground="policy 3") == expected
    (act,) = retention.journal.acts()
    assert act.act == TextsPruned(
        by="dpo",
        ground="policy 3",
        policy=HALF_A_YEAR.digest,
        conversations=2,
        payloads=len(expected.places),
        texts=tuple(sorted(text_hash(stream, at.version, at.name) for stream, at in expected.places)),
    )
    assert all(store.payloads(stream) == {} for stream in store.streams())
    assert found_in(tmp_path, range(2)) == []
    assert audited(store).ok
    check_log(store, PROGRAM)
    assert retention.prune(by="dpo").places == ()
    store.close()


async def test_what_is_open_or_held_stays() -> None:
    """However old: an open conversation needs its texts, and a hold is above the policy."""
    clock, store = ManualClock(), MemoryStore(origin="log")
    await talked(store, "anna", [1], clock=clock)
    await talked(store, "bert", [2, 3], clock=clock)
    async with Runtime(store, PROGRAM, echoing(), clock=clock) as runtime:
        await runtime.start(conversation="open", subject="carl")
        await runtime.say("open", "help")
    clock.advance(timedelta(days=400).total_seconds())
    retention = Retention(store, HALF_A_YEAR, clock)
    placed(retention.journal, subject="anna", conversation=None, by="counsel", ground="case")
    placed(retention.journal, subject=None, conversation="bert-2", by="counsel", ground="case")
    found = retention.prune(by="dpo")
    assert {stream for stream, _ in found.places} == {"bert-3"}
    assert found.held > 0
    assert {stream for stream in store.streams() if store.payloads(stream)} == {"anna-1", "bert-2", "open"}


async def test_a_hold_that_is_placed_meanwhile_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """What went before it is gone and on the record; of what it is on, nothing more goes."""
    monkeypatch.setattr("interlock.service.retention._TOGETHER", 2)
    clock, store = ManualClock(), MemoryStore(origin="log")
    for name in ("anna", "bert", "carl"):
        await talked(store, name, [1], clock=clock)
    clock.advance(timedelta(days=190).total_seconds())
    retention, prune, calls = Retention(store, HALF_A_YEAR, clock), store.prune, list[int]()
    everything = len(retention.overdue().places)

    def pruned(places: Sequence[tuple[str, PayloadAt]]) -> int:
        calls.append(len(places))
        if len(calls) == 1:
            placed(retention.journal, subject="bert", conversation=None, by="counsel", ground="case")
        return prune(places)

    monkeypatch.setattr(store, "prune", pruned)
    found = retention.prune(by="dpo")
    assert {stream for stream, _ in found.places} == {"anna-1", "carl-1"}
    assert (found.held, len(found.places) + found.held) == (len(store.payloads("bert-1")), everything)
    assert (store.payloads("anna-1"), store.payloads("carl-1")) == ({}, {})
    assert sum(found.kinds.values()) == len(found.places) == sum(calls)
    assert audited(store).ok


async def test_the_first_rule_that_matches_wins() -> None:
    """By class of payload and type of event; what no rule matches is kept."""
    policy = RetentionPolicy(
        rules=(
            RetentionRule(days=300, kind="reason"),
            RetentionRule(days=200, event="message_received"),
        )
    )
    clock, store = ManualClock(), MemoryStore(origin="log")
    await talked(store, "anna", [1], clock=clock)
    kinds = lambda: {one.kind for one in store.payloads("anna-1").values()}  # noqa: E731
    everything = kinds()
    assert {"message", "reason", "result", "fact"} <= everything
    clock.advance(timedelta(days=250).total_seconds())
    assert dict(Retention(store, policy, clock).prune(by="dpo").kinds).keys() == {"fact", "message"}
    assert {"reason", "result"} <= kinds()
    clock.advance(timedelta(days=100).total_seconds())
    Retention(store, policy, clock).prune(by="dpo")
    assert kinds() == everything - {"message", "fact", "reason"}


def test_a_record_without_names_is_written_as_it_was() -> None:
    """Records of an older release keep their bytes, and a name is the same everywhere and for ever."""
    old = TextsPruned(by="dpo", policy="ab" * 32, conversations=1, payloads=2)
    assert b"texts" not in old.canonical_bytes().replace(b"texts_pruned", b"")
    assert text_hash("talk", 3, "message") == "08848253e69ca0c7eeb3781b7de82940"


async def test_each_transaction_has_its_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are overdue, no record grows beyond what goes together; all of them name what went."""
    monkeypatch.setattr("interlock.service.retention._TOGETHER", 3)
    clock, store = ManualClock(), MemoryStore(origin="log")
    await talked(store, "anna", [1, 2], clock=clock)
    clock.advance(timedelta(days=190).total_seconds())
    retention = Retention(store, HALF_A_YEAR, clock)
    found = retention.prune(by="dpo")
    acts = [one.act for one in retention.journal.acts() if isinstance(one.act, TextsPruned)]
    assert [one.payloads for one in acts[:-1]] == [3] * (len(acts) - 1)
    assert sum(one.payloads for one in acts) == len(found.places) > 6
    named = {text for one in acts for text in one.texts}
    assert named == {text_hash(stream, at.version, at.name) for stream, at in found.places}


def test_a_rule_that_deletes_too_early_is_refused() -> None:
    """Six months is the least unless the policy itself says less."""
    with pytest.raises(CallError) as refused:
        RetentionPolicy(rules=(RetentionRule(days=182),)).checked()
    assert refused.value.what == "Rule 1 deletes after 182 days; the least is 183."
    allowed = RetentionPolicy(rules=(RetentionRule(days=182),), least_days=30)
    assert allowed.checked() == allowed


def test_the_policy_of_the_documentation_is_one(tmp_path: Path) -> None:
    """Copied from the page, it loads."""
    page = (Path(__file__).parents[3] / "docs" / "privacy.md").read_text("utf-8")
    (tmp_path / "retention.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0], "utf-8")
    found = policy_in(tmp_path / "retention.yaml")
    assert (len(found.rules), found.least_days) == (3, 183)


def test_a_rule_for_an_event_that_is_none_is_refused() -> None:
    """It would keep for ever what somebody wanted to go."""
    with pytest.raises(CallError) as refused:
        RetentionPolicy(rules=(RetentionRule(days=200, event="mesage_received"),)).checked()
    assert refused.value.what == "Rule 1 is for texts that 'mesage_received' brought, and no event is called so."
    assert refused.value.fix == "Did you mean 'message_received'?"
    with pytest.raises(CallError) as refused:
        RetentionPolicy(rules=(RetentionRule(days=200), RetentionRule(days=200, event="qqq"))).checked()
    assert refused.value.fix == "`interlock log ID --json` shows the types."


def test_a_rule_that_can_never_match_is_refused() -> None:
    """It stands below one that takes everything that it would."""
    with pytest.raises(CallError, match="Rule 2 can never match"):
        RetentionPolicy(rules=(RetentionRule(days=200), RetentionRule(days=300, kind="reason"))).checked()
    with pytest.raises(CallError, match="The retention policy has no rule"):
        RetentionPolicy(rules=()).checked()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [", "The policy is no YAML"),
        ("- 1", "In the policy: "),
        ("rules: [{days: soon}]", r"In rules\.0\.days: "),
        ("rules: [{days: 200, kind: gossip}]", r"In rules\.0\.kind: "),
        ("rules: [{days: 200}]\nmore: 1", "In more: "),
    ],
)
def test_a_policy_file_that_is_wrong_says_where(tmp_path: Path, text: str, says: str) -> None:
    """With the place and what belongs there."""
    file = tmp_path / "retention.yaml"
    file.write_text(text)
    with pytest.raises(CallError, match=says):
        policy_in(file)
    with pytest.raises(SetupError, match="The policy cannot be read: No such file or directory"):
        policy_in(tmp_path / "none.yaml")


def test_a_policy_file_is_read(tmp_path: Path) -> None:
    """The rules in their order."""
    file = tmp_path / "retention.yaml"
    file.write_text("least_days: 90\nrules:\n  - {kind: reason, days: 365}\n  - {event: message_received, days: 90}\n")
    assert policy_in(file) == RetentionPolicy(
        rules=(RetentionRule(days=365, kind="reason"), RetentionRule(days=90, event="message_received")), least_days=90
    )
