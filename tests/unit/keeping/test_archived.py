"""What runs beside a log whose conversations were pruned: runtimes, forks, families, and who looks after it."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from interlock.cli.examine_keeping import keeping
from interlock.contracts.errors import ConversationArchived
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.archiving import Range, chosen
from interlock.service.auditing import audited, fork_broken
from interlock.service.forking import Wiring, forked
from interlock.service.pruning import Pruner
from interlock.service.runtime import Runtime
from support.archives import archived_to, pruned, reopened
from support.erasure import PROGRAM, echoing, talked
from support.evidence import ORIGIN, TestKey, checkpointer
from support.subflows import World, desk, family_of, helper


async def test_a_runtime_refuses_it_clearly(tmp_path: Path) -> None:
    """To say something, to repeat what was said under its key, and to begin it again; others are served."""
    with (
        closing(SqliteStore(tmp_path / "log.db", origin=ORIGIN)) as store,
        closing(SqliteStore(tmp_path / "log.db")) as other,
    ):
        signing = checkpointer(store.tree())
        async with Runtime(other, PROGRAM, echoing()) as runtime:
            await talked(store, "anna", [1])
            await runtime.start(conversation="bert-1", subject="bert")
            known = await runtime.outcome("anna-1")
            assert known.standing == "ended"
            archived_to(store, tmp_path / "old", signing)
            pruned(store, tmp_path / "old", signing)
            for attempt in (
                lambda: runtime.say("anna-1", "hello again"),
                lambda: runtime.say("anna-1", "hello again", key="c:1"),
                lambda: runtime.start(conversation="anna-1", subject="anna"),
            ):
                with pytest.raises(ConversationArchived, match="they are archived in 'old'"):
                    await attempt()
            assert (await runtime.say("bert-1", "help me")).standing == "waiting"
        assert audited(store).ok


async def test_a_fork_of_what_is_archived_verifies(tmp_path: Path) -> None:
    """Its parent's leaves stay: the fork must name the one that is there."""
    with closing(SqliteStore(tmp_path / "log.db", origin=ORIGIN)) as store:
        signing = checkpointer(store.tree())
        await talked(store, "anna", [1])
        made = await forked(store, "anna-1", 3, Wiring([PROGRAM]), alone=True)
        found = archived_to(store, tmp_path / "old", signing)
        assert [one.stream for one in found.conversations] == ["anna-1"]
        pruned(store, tmp_path / "old", signing)
        assert (fork_broken(store, made.stream), audited(store).ok) == (None, True)
        with pytest.raises(ConversationArchived):
            await forked(store, "anna-1", 3, Wiring([PROGRAM]), alone=True)


async def test_a_family_stays_or_goes_together() -> None:
    """Children that have ended stay as long as their parent is open, and the reason names it."""
    store = MemoryStore(origin=ORIGIN)
    async with Runtime(store, desk(World()), helper()) as runtime:
        await runtime.start("desk", conversation="talk", facts={"city": "Rome", "amount": 700})
        for text in ("hello", "help me", "pay it"):
            await runtime.say("talk", text)
    family = family_of(store, "talk")
    assert len(family) == 3
    checkpointer(store.tree()).checkpoint()
    found = chosen(store, Range(), in_clear=True)
    assert found.conversations == []
    whys = {one.stream: one.why for one in found.kept}
    assert whys["talk"] == "It is open."
    assert {whys[child] for child in family[1:]} == {"It belongs with talk: It is open."}


async def test_the_doctor_names_a_prune_that_was_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is run again."""

    def finding(store: Any) -> tuple[str, str]:
        (one,) = [one for one in keeping(store) if one.name == "archives"]
        return one.result, one.says

    with closing(SqliteStore(tmp_path / "log.db", origin=ORIGIN)) as store:
        signing = checkpointer(store.tree())
        await talked(store, "anna", [1])
        assert finding(store) == ("ok", "nothing was pruned from this log")
        archived_to(store, tmp_path / "old", signing)
        record = Pruner(store)._recorded(reopened(tmp_path / "old"), [TestKey()], 0, "dpo", "rule 4")
        said = f"record {record} says that something was to be pruned, and it is all still here: a crash"
        assert finding(store) == ("warn", said)
        pruned(store, tmp_path / "old", signing)
        assert finding(store) == ("ok", "Pruned from this log and archived: 1 conversation in old.")
