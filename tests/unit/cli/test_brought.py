"""What an auditor brings along: what of it vouches for a bundle, and what is of another log and says nothing."""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts.tree import TreeStore
from interlock.persistence.evidence import verify_bundle as alone
from interlock.persistence.evidence.anchors import FolderAnchor
from interlock.persistence.evidence.checking import Outside, attested
from interlock.persistence.evidence.keys import cosigned
from interlock.persistence.evidence.notes import COSIGNATURE
from interlock.persistence.evidence.policy import policy_of
from interlock.persistence.evidence.receipts import receipt
from interlock.persistence.memory_store import MemoryStore
from support.evidence import ORIGIN, TestKey, checkpointer, filled
from support.tampering import bundle_of, resigned

OTHER = "other.example/log"
WITNESS = TestKey("w.example/1", 21, COSIGNATURE)
SEEN = f"witness W {WITNESS.verifier()}\nquorum W\n"
LOGS = f"log {TestKey().verifier()}\n"
NO_ONE = (
    "Everything fits together by the bundle's own key, which does not show whose it is: give the log's key (--key, or "
)


def made(origin: str = ORIGIN) -> tuple[MemoryStore, str, str]:
    """A log, an earlier checkpoint of it, and its newest, which the witness has signed."""
    store = MemoryStore(origin=origin)
    key, tree = TestKey(origin), store.tree()
    filled(store, 3)
    signing = checkpointer(tree, signer=key)
    earlier = signing.checkpoint()
    filled(store, 1, seed=4)
    newest = signing.checkpoint()
    seen(tree)
    return store, str(earlier.note), str(newest.note)


def seen(tree: TreeStore) -> None:
    size, text = tree.checkpoints()[-1]
    tree.add_cosignature(size, str(cosigned(alone.Note(text.encode()).text, WITNESS, 1_790_000_000)))


def trusting(policy: str = "", heads: tuple[str, ...] = (), keys: tuple[TestKey, ...] = ()) -> alone.Trust:
    return alone.Trust(
        keys=[alone.Key(str(one.verifier())) for one in keys],
        policy=alone.Policy(policy) if policy else None,
        heads=[(f"head {n}", one.encode()) for n, one in enumerate(heads)],
    )


def test_what_the_auditor_names_vouches_for_a_bundle() -> None:
    """A key, a checkpoint from elsewhere, a quorum of witnesses; nothing that is in the bundle alone."""
    store, earlier, newest = made()
    files, nobody = bundle_of(store), f"{LOGS}quorum none\n"
    no_key = f"You gave no key of the log {ORIGIN!r}: "
    by_that = "it was checked with the one that signed the checkpoint which you got elsewhere"
    for trust, verdict, said in (
        (trusting(), "NOT SHOWN", ""),
        (trusting("quorum none\n"), "NOT SHOWN", ""),
        (trusting(keys=(TestKey(),)), "SELF-ATTESTED", ""),
        (trusting(nobody), "SELF-ATTESTED", ""),
        (trusting(SEEN), "WITNESSED(1 of 1)", f"{no_key}the witnesses that you named vouch for its head."),
        (trusting(LOGS + SEEN), "WITNESSED(1 of 1)", ""),
        (trusting(heads=(newest,)), "ANCHORED", f"{no_key}the checkpoint that you got elsewhere vouches for its head."),
        (trusting(heads=(earlier,)), "SELF-ATTESTED", f"{no_key}{by_that}."),
        (trusting(heads=(newest,), keys=(TestKey(),)), "ANCHORED", ""),
    ):  # fmt: skip
        report = alone.check(files, trust)
        assert (str(report), [one for one in report.says if "You gave no key" in one]) == (verdict, [said] * bool(said))
        assert [one.startswith(NO_ONE) for one in report.missing] == [True] * (verdict == "NOT SHOWN")
        assert report.faults == []


def test_a_key_that_somebody_put_beside_the_logs_own_is_not_vouched_for() -> None:
    """A checkpoint from elsewhere vouches for the key under it, and for no other that the bundle calls the log's."""
    store, earlier, _ = made()
    with_another = bundle_of(store, signers=[TestKey(seed=7)])
    with_another["policy"] = f"log {TestKey().verifier()}\nlog {TestKey(seed=7).verifier()}\nquorum none\n".encode()
    report = alone.check(with_another, trusting(heads=(earlier,)))
    assert report.verdict == "BROKEN"
    assert alone.check(bundle_of(store), trusting(heads=(earlier,))).verdict == "SELF-ATTESTED"


def test_what_is_of_another_log_is_the_readers_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], run: Any
) -> None:
    """No verdict, exit code 2, and which log is which; of `verify_bundle.py` and of `verify --bundle`."""
    store, _, _ = made()
    other, _, head = made(OTHER)
    for name, data in bundle_of(store).items():
        (tmp_path / "b" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "b" / name).write_bytes(data)
    ours, theirs = str(TestKey().verifier()), str(TestKey(OTHER).verifier())
    brought = {
        "head": head,
        "policy": f"log {theirs}\nquorum none\n",
        "receipt": str(receipt(other, [TestKey(OTHER)], other.streams()[0], 0)),
        "text": "hello\n",
    }
    for name, text in brought.items():
        (tmp_path / name).write_text(text, "utf-8")
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "x.checkpoint").write_text("hello\n", "utf-8")
    mine = f"and the bundle is of the log {ORIGIN!r}"
    for words, said in (
        (["--key", theirs], f"the key that you gave is for the log {OTHER!r}, {mine}"),
        (["--policy", tmp_path / "policy"], f"the policy that you gave is for the log {OTHER!r}, {mine}"),
        (["--key", ours, "--receipt", tmp_path / "receipt"], f"receipt is a receipt of the log {OTHER!r}, {mine}"),
        (["--key", ours, "--receipt", tmp_path / "text"], "text is no receipt"),
        (["--key", ours, "--head", tmp_path / "head"], f"head is a checkpoint of the log {OTHER!r}, {mine}"),
        (["--key", ours, "--head", tmp_path / "text"], "text is no checkpoint: it is no signed note"),
        (["--key", ours, "--anchors", tmp_path / "kept"], "x.checkpoint is no checkpoint: it is no signed note"),
    ):
        assert alone.main([str(tmp_path / "b"), *map(str, words)]) == 2
        found = capsys.readouterr()
        assert (found.out, said in found.err) == ("", True), found.err
        assert run("verify", "--bundle", tmp_path / "b", *["--vkey" if w == "--key" else w for w in words]).code == 2
    assert alone.main([str(tmp_path / "b"), "--key", ours, "--key", theirs]) == 20
    with pytest.raises(alone.WrongCall, match=f"head 0 is a checkpoint of the log {OTHER!r}"):
        alone.check(bundle_of(store), trusting(keys=(TestKey(),), heads=(head, str(made()[2]))))
    two = trusting(keys=(TestKey(),))
    two.anchors = [("a", head.encode()), ("b", made()[2].encode())]
    assert "1 anchor of other logs that you gave: not looked at." in alone.check(bundle_of(store), two).says
    two.anchors = two.anchors[:1]
    with pytest.raises(alone.WrongCall, match=f"the anchors that you gave are of the log {OTHER!r}, and the"):
        alone.check(bundle_of(store), two)


def test_a_log_is_not_broken_by_what_is_of_another(
    run: Any, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`verify` of a log: the same, before anything is looked at."""
    for name in ("INTERLOCK_SIGNING_KEY", "INTERLOCK_POLICY"):
        monkeypatch.delenv(name, raising=False)
    ours = run("key", "new", "--db", log).out.strip()
    run("checkpoint", "--db", log)
    mine = run("verify", "--db", log, "--json").json["log"]
    other, _, head = made(OTHER)
    (tmp_path / "head").write_text(head, "utf-8")
    (tmp_path / "policy").write_text(f"log {TestKey(OTHER).verifier()}\nquorum none\n", "utf-8")
    (tmp_path / "receipt").write_text(str(receipt(other, [TestKey(OTHER)], other.streams()[0], 0)), "utf-8")
    (tmp_path / "text").write_text("hello\n", "utf-8")
    for words, what in (
        (("--vkey", TestKey(OTHER).verifier()), "The key"),
        (("--policy", tmp_path / "policy"), "The key"),
        (("--head", tmp_path / "head"), "The checkpoint"),
        (("--receipt", tmp_path / "receipt"), "The receipt"),
    ):
        ran = run("verify", "--db", log, *words)
        assert (ran.code, f"{what} is of the log {OTHER!r}, and this log is {mine!r}." in ran.words) == (2, True)
        assert "nothing was checked" in ran.words
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    for name, said in {"text": "This is no checkpoint: This is no signed", "bytes": "The file is no text."}.items():
        ran = run("verify", "--db", log, "--head", tmp_path / name)
        assert (ran.code, said in ran.words) == (2, True), ran.words
    run("checkpoint", "--db", log, "--anchor", tmp_path / "kept")
    (kept,) = (tmp_path / "kept").rglob("*.checkpoint")
    assert run("verify", "--db", log, "--anchors", tmp_path / "kept").code == 0
    kept.with_name("9.checkpoint").write_text("hello\n", "utf-8")
    ran = run("verify", "--db", log, "--anchors", tmp_path / "kept")
    assert (ran.code, "What is kept there is no checkpoint (6 bytes)" in ran.words) == (2, True), ran.words
    ran = run("verify", "--db", log, "--receipt", tmp_path / "text")
    assert (ran.code, "This is no signed note" in ran.words) == (2, True), ran.words
    assert run("verify", "--db", log, "--vkey", ours, "--vkey", TestKey(OTHER).verifier()).code == 0


def test_verify_takes_what_verify_bundle_takes(run: Any, log: Path, tmp_path: Path) -> None:
    """A page, a conversation that must be there, a level: with the same exit codes."""
    vkey = run("key", "new", "--db", log).out.strip()
    one, two = (found["id"] for found in run("log", "--db", log, "--json").json["conversations"][:2])
    bundle, page = tmp_path / "b", tmp_path / "page.html"
    assert run("export", one, "--bundle", bundle, "--db", log).code == 0
    asked = ("verify", "--bundle", bundle, "--vkey", vkey)
    for words, options in (
        ((one,), ["--conversation", one]),
        ((two,), ["--conversation", two]),
        (("--require", "self-attested"), ["--require", "self-attested"]),
        (("--require", "anchored"), ["--require", "anchored"]),
        (("--not-before", "2026-01-01T00:00:00Z"), ["--not-before", "2026-01-01T00:00:00Z"]),
        (("--tsa-ca", tmp_path / "none"), ["--tsa-ca", str(tmp_path / "none")]),
        (("--require", "high"), None),
    ):
        code: object
        try:
            code = alone.main([str(bundle), "--key", vkey, *(options or ["--require", "high"])])
        except SystemExit as ended:
            code = ended.code
        assert run(*asked, *words).code == code, words
    assert [run(*asked, name).code for name in (one, two)] == [20, 3]
    assert run(*asked, "--report", page).code == 20
    assert "<b>SELF-ATTESTED</b>" in page.read_text("utf-8")
    assert json.loads(run(*asked, "--require", "self-attested", "--json").out)["verdict"] == "SELF-ATTESTED"
    ran = run("verify", "--db", log, "--report", page)
    assert (ran.code, "--report is of a bundle." in ran.words) == (2, True)
    ran = run(*asked, "--archive", bundle)
    assert (ran.code, "--archive is of a log." in ran.words) == (2, True)


# -- anchors that are newer, and times that have not come ------------------------------------------------------


def test_an_older_bundle_beside_newer_anchors_is_no_cut_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By those that are not newer; how many are, is said. A newer one that is named is not shown, and never BROKEN."""
    store, key = MemoryStore(origin=ORIGIN), str(TestKey().verifier())
    filled(store, 3)
    signing = checkpointer(store.tree(), anchors=[FolderAnchor(tmp_path / "kept")])
    first = signing.checkpoint()
    older = {kind: bundle_of(store, streams) for kind, streams in (("all", None), ("one", (store.streams()[0],)))}
    newer = []
    for seed in (5, 6):
        filled(store, 1, seed=seed)
        newer.append(signing.checkpoint())
    head, sizes = tmp_path / "head", [one.checkpoint.size for one in (first, *newer)]
    head.write_text(str(newer[-1].note), "utf-8")
    for kind, files in older.items():
        for name, data in files.items():
            (tmp_path / kind / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / kind / name).write_bytes(data)
        asked = [str(tmp_path / kind), "--key", key]
        assert alone.main([*asked, "--anchors", str(tmp_path / "kept")]) == 10
        said = capsys.readouterr().out
        assert (
            f"2 anchors are newer than this bundle, which ends at {sizes[0]} (up to {sizes[2]}), and not covered: "
            "for what was logged since, ask for a bundle made since." in said
        )
        assert alone.main([*asked, "--head", str(head)]) == 3
        said = capsys.readouterr().out
        assert f"head (size {sizes[2]}) is newer than this bundle, which ends at {sizes[0]}: an older state" in said
        assert alone.main([*asked, "--require", "anchored", "--head", str(head)]) == 3
    only = trusting(keys=(TestKey(),))
    only.anchors = [("new", str(newer[0].note).encode())]
    report = alone.check(older["all"], only)
    assert (report.verdict, report.faults) == ("SELF-ATTESTED", [])
    assert f"1 anchor is newer than this bundle, which ends at {sizes[0]}" in report.says[-1]


def test_a_rewritten_log_is_found_beside_newer_anchors() -> None:
    """The control: an anchor that the bundle does answer for is of another tree."""
    store, other = MemoryStore(origin=ORIGIN), MemoryStore(origin=ORIGIN)
    filled(store, 3)
    filled(other, 3, seed=8)
    notes = [checkpointer(one.tree()).checkpoint().note for one in (store, other)]
    filled(other, 3, seed=9)
    notes.append(checkpointer(other.tree()).checkpoint().note)
    filled(store, 6, seed=9)
    checkpointer(store.tree()).checkpoint()
    trust = trusting(keys=(TestKey(),))
    trust.anchors = [("theirs", str(notes[1]).encode()), ("newer", str(notes[2]).encode())]
    assert "is of another tree" in alone.check(bundle_of(store), trust).faults[0]


@pytest.mark.parametrize("at", [2**63, 2**64 - 1, 253_402_300_800, 4_102_444_800, 1_790_000_301])
def test_a_witness_whose_time_has_not_come_does_not_count(at: int) -> None:
    """Impossible or only ahead: it spoils nothing, and meets nothing. A good line beside it counts."""
    store = MemoryStore(origin=ORIGIN)
    filled(store, 2)
    size, text = checkpointer(store.tree()).checkpoint().checkpoint.size, store.tree().checkpoints()[-1][1]
    note = alone.Note(text.encode()).text
    store.tree().add_cosignature(size, str(cosigned(note, WITNESS, at)))
    trust = trusting(LOGS + SEEN)
    trust.now, trust.not_before = 1_790_000_000, 1_780_000_000
    report = alone.check(bundle_of(store), trust)
    assert (str(report), report.faults) == ("SELF-ATTESTED", [])
    assert f"Witness W signed with a time that has not come ({at} s after 1970): not counted." in report.says
    files = bundle_of(store)
    files["checkpoint"] += f"{cosigned(note, WITNESS, 1_790_000_300)}\n".encode()
    assert str(alone.check(resigned(files, report=""), trusting_now(trust))) == "WITNESSED(1 of 1)"
    policy = policy_of(LOGS + SEEN)
    found = attested(store.tree(), Outside((TestKey().verifier(),), policy))
    ahead = at > time.time() + 300
    assert (found.faults, str(found) == "SELF-ATTESTED") == ((), ahead)
    said = f"The witness W signed the checkpoint of size {size} with a time that has not come: not counted."
    assert (said in found.remarks) == ahead


def trusting_now(trust: alone.Trust) -> alone.Trust:
    """The same, for who writes the report on their own."""
    return alone.Trust(policy=trust.policy, not_before=trust.not_before, writes_report=True, now=trust.now)


def test_a_terminal_without_the_letters_gets_the_verdict(tmp_path: Path) -> None:
    """What it cannot write is spelled out."""
    store, _, _ = made()
    files = bundle_of(store)
    lying = resigned({**files, "report.csv": files["report.csv"].replace(b"conversation", "€".encode(), 1)})
    for name, data in lying.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    words = [sys.executable, alone.__file__, str(tmp_path), "--key", str(TestKey().verifier())]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, env={"PYTHONIOENCODING": "ascii"})
    assert (ran.returncode, ran.stderr, "\\u20ac" in ran.stdout, "BROKEN:" in ran.stdout) == (1, "", True, True)


def test_all_and_none_stand_alone(run: Any, log: Path, tmp_path: Path) -> None:
    """They add up: `none` beside `reply` would disclose the replies."""
    run("key", "new", "--db", log)
    one = run("log", "--db", log, "--json").json["conversations"][0]["id"]
    for several in (
        ("reply", "none"),
        ("none", "reply"),
        ("all", "reply"),
        ("all", f"{one}:none"),
        (f"{one}:none", "reply"),
    ):
        words = [part for text in several for part in ("--disclose", text)]
        ran = run("export", "--all", "--bundle", tmp_path / "b", "--db", log, *words)
        wrong = next(text for text in several if "none" in text or text == "all")
        assert (ran.code, f"--disclose {wrong} stands beside others, which it contradicts." in ran.words) == (2, True)
        assert "the rest is withheld" in ran.words
        assert not (tmp_path / "b").exists()
    twice = ("--disclose", "none", "--disclose", "none")
    assert run("export", "--all", "--bundle", tmp_path / "b", "--db", log, *twice).code == 0
