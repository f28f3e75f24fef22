"""What an auditor brings along: what of it vouches for a bundle, and what is of another log and says nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts.tree import TreeStore
from interlock.persistence.evidence import verify_bundle as alone
from interlock.persistence.evidence.keys import cosigned
from interlock.persistence.evidence.notes import COSIGNATURE
from interlock.persistence.evidence.receipts import receipt
from interlock.persistence.memory_store import MemoryStore
from support.evidence import ORIGIN, TestKey, checkpointer, filled
from support.tampering import bundle_of

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
    mine = f"and the bundle is of the log {ORIGIN!r}"
    for words, said in (
        (["--key", theirs], f"the key that you gave is for the log {OTHER!r}, {mine}"),
        (["--policy", tmp_path / "policy"], f"the policy that you gave is for the log {OTHER!r}, {mine}"),
        (["--key", ours, "--receipt", tmp_path / "receipt"], f"receipt is a receipt of the log {OTHER!r}, {mine}"),
        (["--key", ours, "--receipt", tmp_path / "text"], "text is no receipt"),
        (["--key", ours, "--head", tmp_path / "head"], f"head is a checkpoint of the log {OTHER!r}, {mine}"),
    ):
        assert alone.main([str(tmp_path / "b"), *map(str, words)]) == 2
        found = capsys.readouterr()
        assert (found.out, said in found.err) == ("", True), found.err
        assert run("verify", "--bundle", tmp_path / "b", *["--vkey" if w == "--key" else w for w in words]).code == 2
    assert alone.main([str(tmp_path / "b"), "--key", ours, "--key", theirs]) == 20
    two = trusting(keys=(TestKey(),), heads=(head, str(made()[2])))
    assert "1 checkpoint of other logs that you gave: not looked at." in alone.check(bundle_of(store), two).says


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
