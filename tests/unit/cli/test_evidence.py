"""`checkpoint`, `key`, `receipt`, `witness`, `verify` and `export --bundle`: what they print, and how they end."""

import csv
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from interlock.cli.unsigned import unsigned
from interlock.contracts.errors import CallError
from interlock.persistence.evidence import verify_bundle
from interlock.persistence.evidence.checking import Attested
from interlock.persistence.evidence.notes import note_of
from interlock.persistence.evidence.policy import policy_of
from interlock.persistence.sql_tree import SqlTree
from support.evidence import TestKey
from support.tampering import TREE, as_administrator


@pytest.fixture
def signed(run: Any, log: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The demo's log with a signing key."""
    for name in ("INTERLOCK_SIGNING_KEY", "INTERLOCK_POLICY", "INTERLOCK_ANCHORS"):
        monkeypatch.delenv(name, raising=False)
    assert run("key", "new", "--db", log).code == 0
    return log


def test_a_log_is_signed_anchored_and_verified(run: Any, signed: Path, tmp_path: Path) -> None:
    """From SELF-ATTESTED to ANCHORED, by a copy elsewhere; and a word on what is not covered."""
    bucket = tmp_path / "bucket"
    made = run("checkpoint", "--db", signed, "--anchor", bucket, "--json").json
    assert (made["fresh"], made["failures"]) == (True, [])
    assert run("checkpoint", "--db", signed, "--json").json["fresh"] is False
    plain = run("verify", "--db", signed, "--json").json
    assert (plain["ok"], plain["attestation"], plain["tree"]["signed"]) == (True, "SELF-ATTESTED", made["size"])
    anchored = run("verify", "--db", signed, "--anchors", bucket)
    assert anchored.code == 0
    assert f"tree of {made['size']} leaves: signed up to {made['size']}, anchored up to" in anchored.words
    assert "ANCHORED: the checkpoints that you gave are of this very log" in anchored.words


def test_a_log_that_was_rewritten_is_told_from_what_was_anchored(run: Any, signed: Path, tmp_path: Path) -> None:
    """Another log of the same name, signed with the same key: the copy of the checkpoint tells."""
    bucket, other = tmp_path / "bucket", tmp_path / "other"
    run("checkpoint", "--db", signed, "--anchor", bucket)
    (copy,) = list(bucket.rglob("*.checkpoint"))
    shutil.copytree(bucket, other)
    forged = next(other.rglob("*.checkpoint"))
    text = copy.read_text("utf-8").split("\n")
    forged.write_text("\n".join([text[0], str(int(text[1]) + 5), *text[2:]]), "utf-8")
    ran = run("verify", "--db", signed, "--anchors", other)
    assert ran.code == 1
    assert "was signed and is kept elsewhere; this tree has" in ran.words


def test_an_old_backup_is_not_signed(run: Any, signed: Path, tmp_path: Path) -> None:
    """Nor started on: whoever restores it is told, before anything happens."""
    backup = tmp_path / "backup.db"
    run("checkpoint", "--db", signed)
    memory = signed.with_name(f"{signed.name}.signing-key.head")
    said = json.loads(memory.read_text())
    memory.write_text(json.dumps(said | {"size": said["size"] + 1}))
    shutil.copy(signed, backup)
    ran = run("checkpoint", "--db", signed)
    assert (ran.code, "The tree does not extend what was signed last" in ran.words) == (1, True)
    chat = run("chat", "bank", "--db", signed, stdin="hello\n")
    assert (chat.code, "The tree does not extend what was signed last" in chat.words) == (1, True)


def test_a_conversation_is_checkpointed_when_its_process_ends(run: Any, signed: Path) -> None:
    """Nothing that was acknowledged stays without a signature."""
    assert run("chat", "bank", "--db", signed, stdin="hello\n").code == 0
    found = run("verify", "--db", signed, "--json").json["tree"]
    assert (found["waiting"], found["signed"]) == (0, found["leaves"])
    assert found["leaves"] > 0


def test_a_bundle_is_checked_without_the_package(run: Any, signed: Path, ids: Any, tmp_path: Path) -> None:
    """By the one file in it, with Python alone: no site-packages, so not even `cryptography`."""
    key, bundle = run("key", "show", "--db", signed).out.strip(), tmp_path / "bundle.zip"
    one = sorted(ids)[0] if isinstance(ids, dict) else ids[0]
    made = run("export", ids[one] if isinstance(ids, dict) else one, "--bundle", bundle, "--db", signed, "--json")
    assert (made.code, made.json["verdict"], made.json["conversations"]) == (0, "SELF-ATTESTED", 1)
    folder = tmp_path / "unzipped"
    shutil.unpack_archive(bundle, folder)
    command = [sys.executable, "-I", "-S", folder / "verify_bundle.py", bundle, "--key", key]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""})
    assert (ran.returncode, ran.stdout.split(":")[0]) == (20, "SELF-ATTESTED"), ran.stdout + ran.stderr
    (folder / "report.csv").write_text("who,what\n")
    ran = subprocess.run([*command[:4], folder, "--key", key], capture_output=True, text=True, check=False)
    assert (ran.returncode, "altered, missing or added: report.csv" in ran.stdout) == (1, True)


def test_the_same_log_gives_the_same_bundle(run: Any, signed: Path, tmp_path: Path) -> None:
    for name in ("one.zip", "two.zip"):
        wanted = ("--all", "--disclose", "none", "--bundle", tmp_path / name)  # a reading would be a record
        assert run("export", *wanted, "--db", signed).code == 0
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_texts_are_disclosed_as_asked_and_the_others_proved_to_exist(run: Any, signed: Path, tmp_path: Path) -> None:
    everything = run("export", "--all", "--bundle", tmp_path / "all", "--db", signed, "--json").json
    some = run("export", "--all", "--bundle", tmp_path / "some", "--disclose", "reply", "--db", signed, "--json").json
    none = run("export", "--all", "--bundle", tmp_path / "none", "--disclose", "none", "--db", signed, "--json").json
    count = everything["texts_disclosed"]
    assert everything["texts_withheld"] == 0
    assert 0 < some["texts_disclosed"] < count
    assert some["texts_disclosed"] + some["texts_withheld"] == count
    assert (none["texts_disclosed"], none["texts_withheld"]) == (0, count)
    secret = b"hello I would like a refund for a blender that arrived broken, 250 euros"[:72]
    for one in ("none", "some"):
        assert not any(b64encode(secret) in data for data in verify_bundle.read(tmp_path / one).values())
    assert any(b64encode(secret) in data for data in verify_bundle.read(tmp_path / "all").values())


def disclosed_in(bundle: Path) -> set[tuple[str, int, str]]:
    """Conversation, event and name of every text that can be read in a bundle, and nothing else of them anywhere."""
    found = set()
    for name, data in verify_bundle.read(bundle).items():
        if name.startswith("payloads/"):
            stream = name.removeprefix("payloads/").removesuffix(".json")
            found |= {(stream, one["version"], one["name"]) for one in json.loads(data) if "plaintext" in one}
    return found


def test_texts_are_disclosed_by_class_name_conversation_and_event(run: Any, signed: Path, tmp_path: Path) -> None:
    """Exactly those that are asked for, each still bound to its entry; only their conversations are noted as read."""
    assert run("export", "--all", "--bundle", tmp_path / "all", "--db", signed).code == 0
    every = disclosed_in(tmp_path / "all")
    one = next(stream for stream, _, name in sorted(every) if name == "fact_account_number" or name == "fact_full_name")
    other = next(stream for stream, _, name in sorted(every) if name == "message" and stream != one)
    event = min(version for stream, version, name in every if (stream, name) == (one, "message"))
    for number, (asked, wanted) in enumerate(
        (
            (["fact"], {text for text in every if text[2].startswith("fact_")}),
            (["fact_full_name"], {text for text in every if text[2] == "fact_full_name"}),
            ([f"{one[:9]}:all"], {text for text in every if text[0] == one}),
            ([f"{one[:9]}:fact"], {text for text in every if text[0] == one and text[2].startswith("fact_")}),
            ([f"{one[:9]}/{event}:message"], {(one, event, "message")}),
            (
                [f"{one[:9]}/{event}:all", f"{other}:message"],
                {text for text in every if text[:2] == (one, event) or (text[0], text[2]) == (other, "message")},
            ),
        )
    ):
        bundle = tmp_path / str(number)
        words = [word for text in asked for word in ("--disclose", text)]
        made = run("export", "--all", "--bundle", bundle, *words, "--db", signed, "--json").json
        assert wanted
        assert disclosed_in(bundle) == wanted
        assert (made["faults"], made["texts_disclosed"]) == ([], len(wanted))
    readings = [one["conversation"] for one in run("access", "--db", signed, "--json").json["acts"]
                if one["type"] == "texts_read"][::-1]  # fmt: skip
    assert readings == ["*", "*", "*", one, one, one, *sorted([one, other])]


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("zzz:message", "There is no conversation 'zzz' in this log."),
        ("ONE/x:message", "names no event. Write CONVERSATION/EVENT:TEXT"),
        ("ONE/99999:message", "brought no text. Name one of "),
        ("ONE:moon", "--disclose 'moon' is no class of texts, and no text here has that name."),
        ("OTHER:message", "which is not exported. Export it too, or leave it out."),
    ],
)
def test_a_disclosure_that_would_show_nothing_is_refused(
    run: Any, signed: Path, tmp_path: Path, asked: str, says: str
) -> None:
    one, other = [row["id"] for row in run("log", "--db", signed, "--json").json["conversations"][:2]]
    words = asked.replace("OTHER", other).replace("ONE", one)
    ran = run("export", one, "--bundle", tmp_path / "b", "--disclose", words, "--db", signed)
    assert ran.code == 2
    assert says in ran.words.replace(" fix ", " "), ran.words
    assert not (tmp_path / "b").exists()


def test_a_receipt_is_held_against_a_bundle(run: Any, signed: Path, tmp_path: Path) -> None:
    key = run("key", "show", "--db", signed).out.strip()
    stream = run("log", "--db", signed, "--json").json["conversations"][0]["id"]
    receipt = tmp_path / "receipt"
    receipt.write_text(run("receipt", stream, "--db", signed).out, "utf-8")
    run("export", "--all", "--bundle", tmp_path / "b", "--db", signed)
    arguments = [str(tmp_path / "b"), "--key", key, "--receipt", str(receipt)]
    assert verify_bundle.main(arguments) == 20
    assert verify_bundle.main([*arguments, "--require", "self-attested"]) == 0
    assert verify_bundle.main([*arguments, "--require", "anchored"]) == 20
    other = run("key", "rotate", "--to", tmp_path / "new", "--db", signed).out.strip()
    assert other != key
    assert run("checkpoint", "--db", signed, "--key", tmp_path / "new").code == 0
    retired = run("checkpoint", "--db", signed)
    assert (retired.code, "This key was changed for another, " in retired.words) == (2, True)


def test_a_key_that_was_rotated_still_leads_to_the_new_one(run: Any, signed: Path, tmp_path: Path) -> None:
    """Who has only the old key, or only the new one, follows the statement that both have signed."""
    old, new = run("key", "show", "--db", signed).out.strip(), tmp_path / "new"
    run("checkpoint", "--db", signed)
    made = run("key", "rotate", "--to", new, "--db", signed).out.strip()
    run("export", "--all", "--bundle", tmp_path / "b", "--db", signed, "--key", new)
    for key in (old, made):
        assert verify_bundle.main([str(tmp_path / "b"), "--key", key]) == 20
        assert run("verify", "--db", signed, "--vkey", key).code == 0


def test_wrong_calls_are_named(run: Any, signed: Path, log: Path, tmp_path: Path) -> None:
    for words, says in (
        (("export", "--bundle", tmp_path / "b"), "Say what to export."),
        (("export",), "A test is of one conversation."),
        (("key", "new"), "The key file cannot be made"),
        (("witness", "serve", "--key", f"{signed}.signing-key", "--log", "x", "--folder", tmp_path), "is a log's"),
        (("receipt", "zzz"), "There is no conversation 'zzz'"),
    ):
        db = [] if words[0] == "witness" else ["--db", signed]
        ran = run(*words, *db)
        assert ran.code == 2, ran.words
        assert says in ran.words
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    ran = run("export", "--all", "--bundle", tmp_path / "full", "--db", signed)
    assert (ran.code, "There is something in this place." in ran.words) == (2, True)


def test_a_witness_has_a_key_and_a_policy_names_it(run: Any, tmp_path: Path) -> None:
    made = run("witness", "key", "witness.example/w", "--key", tmp_path / "w").out.strip()
    policy = policy_of(f"witness W {made}\nquorum W\n")
    assert policy.witnesses[0].key.name == "witness.example/w"
    with pytest.raises(Exception, match="This is no signed note"):
        note_of(made)


def test_an_anchor_that_was_cut_off_says_nothing_about_the_log(run: Any, signed: Path, tmp_path: Path) -> None:
    """The file is named as what is wrong; the log is not called broken, and nothing was checked."""
    assert run("checkpoint", "--anchor", tmp_path / "kept", "--db", signed).code == 0
    assert run("verify", "--anchors", tmp_path / "kept", "--db", signed).code == 0
    (kept,) = (tmp_path / "kept").rglob("*.checkpoint")
    kept.write_bytes(b"")
    ran = run("verify", "--anchors", tmp_path / "kept", "--db", signed, "--json")
    assert (ran.code, ran.json["error"]["where"]) == (2, str(kept))
    assert "What is kept there is no checkpoint (0 bytes)" in ran.words
    assert ("move it away" in ran.json["error"]["fix"], "BROKEN" in ran.words) == (True, False)


def test_why_nothing_counts_as_signed_is_said_as_it_is(run: Any, signed: Path) -> None:
    """Another key is the reason only where checkpoints were looked at, and no known key signed one."""
    key, none = run("key", "show", "--db", signed).out.strip(), "signed with none of the keys you gave"
    run("checkpoint", "--db", signed)
    other = str(TestKey(key.split("+")[0]).verifier())
    assert none in run("verify", "--vkey", other, "--db", signed).words
    assert none not in run("verify", "--vkey", key, "--db", signed).words
    with as_administrator(signed) as connection:
        connection.execute("UPDATE leaf SET hash = zeroblob(32) WHERE stream <> '' AND version = 3")
    ran = run("verify", "--vkey", key, "--db", signed)
    assert (ran.code, none in ran.words) == (1, False)
    assert "no checkpoint was looked at, for what does not hold comes before; BROKEN" in ran.words


def test_an_empty_tree_is_not_called_signed_with_another_key(run: Any, signed: Path) -> None:
    """Nothing of it is left: no key is what is wrong with it."""
    run("checkpoint", "--db", signed)
    key = run("key", "show", "--db", signed).out.strip()
    unsigned_by_an_administrator(signed, *TREE)
    ran = run("verify", "--vkey", key, "--db", signed)
    assert (ran.code, "it is empty, and no checkpoint is here; BROKEN" in ran.words) == (1, True), ran.words


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        (Attested(judged=False, checkpoints=1), "no checkpoint was looked at, for what does not hold comes before"),
        (Attested(), "it is empty, and no checkpoint is here"),
        (Attested(leaves=3), "no checkpoint is here"),
        (Attested(leaves=3, checkpoints=1), "no key is known, so no signature was checked (give it with --vkey)"),
        (
            Attested(leaves=3, checkpoints=1, keys=(TestKey().verifier(),), strayed=1),
            "what was signed is not this tree",
        ),
        (Attested(leaves=3, checkpoints=1, keys=(TestKey().verifier(),)), "signed with none of the keys you gave"),
    ],
)
def test_each_reason_has_its_words(tree: Attested, says: str) -> None:
    assert unsigned(tree) == says


def test_an_imported_conversation_is_exported_and_holds(run: Any, signed: Path, tmp_path: Path) -> None:
    """No flow led it: the bundle has none for it, and none is asked for."""
    chat = {"messages": [{"role": "user", "content": "cancel my order"}, {"role": "assistant", "content": "done"}]}
    (tmp_path / "chats.jsonl").write_text(json.dumps(chat) + "\n", "utf-8")
    assert run("import", tmp_path / "chats.jsonl", "--as", "openai", "--db", signed).code == 0
    made = run("export", "--all", "--bundle", tmp_path / "b", "--db", signed, "--json")
    assert (made.code, made.json["verdict"], made.json["faults"]) == (0, "SELF-ATTESTED", [])
    assert made.json["conversations"] == 15


def test_only_what_was_imported_has_no_flow(run: Any, signed: Path, ids: Any, tmp_path: Path) -> None:
    """The control: the flow of a conversation that was led is asked for."""
    run("export", "--all", "--bundle", tmp_path / "b", "--db", signed)
    files = verify_bundle.read(tmp_path / "b")
    check = verify_bundle.Check(files, verify_bundle.Trust())
    check.run()
    entries = next(iter(check.entries.values()))
    entries[:] = [(index, value | {"flow": verify_bundle.NO_FLOW}, leaf) for index, value, leaf in entries]
    with pytest.raises(verify_bundle.Bad, match="the bundle has no 'flows/0000"):
        check.flows()


def unsigned_by_an_administrator(path: Path, *tables: str) -> None:
    with as_administrator(path) as connection:
        for table in tables:
            connection.execute(f"DELETE FROM {table}")


def test_a_log_whose_checkpoints_were_deleted_is_broken(run: Any, signed: Path, tmp_path: Path) -> None:
    """With the tree, or without; told by the key that was given, by what stands beside the key, or by the leaves."""
    key = run("key", "show", "--db", signed).out.strip()
    size = run("checkpoint", "--db", signed, "--json").json["size"]
    unsigned_by_an_administrator(signed, "checkpoint")
    deleted = f"A checkpoint of {size} leaves was in the log, as stands beside the signing key, and is there no more"
    for command in ("verify", "doctor"):
        ran = run(command, "--db", signed)
        assert (ran.code, f"{deleted}: it was deleted." in ran.words) == (1, True), ran.words
    beside = signed.with_name(f"{signed.name}.signing-key.head")
    remembered = beside.read_bytes()
    beside.unlink()
    ran = run("verify", "--db", signed)
    assert (ran.code, f"The tree has {size} leaves and no checkpoint is left" in ran.words) == (1, True)
    assert "no checkpoint is left" in run("doctor", "--db", signed).words
    beside.write_bytes(remembered)
    unsigned_by_an_administrator(signed, *TREE)
    ran = run("verify", "--db", signed)
    assert ran.code == 1
    assert f"{size} leaves were signed for, as stands beside the signing key; this tree has 0" in ran.words
    for beside in signed.parent.glob(f"{signed.name}.signing-key*"):
        beside.unlink()
    ran = run("verify", "--db", signed, "--vkey", key)
    assert (ran.code, "Nothing in this log is signed, and you gave its key" in ran.words) == (1, True)
    plain = run("verify", "--db", signed)
    assert (plain.code, "NOT SIGNED: nothing here is signed." in plain.words) == (0, True)


def test_a_checkpoint_that_was_cut_off_is_no_alarm(
    run: Any, signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first, and a later one: `verify` and `doctor` say what happened and what to do, and `checkpoint` does it."""

    def cut_off() -> None:
        with monkeypatch.context() as patched:
            patched.setattr(SqlTree, "add_checkpoint", lambda *_: (_ for _ in ()).throw(SystemExit(9)))
            assert run("checkpoint", "--db", signed).code == 9

    began = "begun and did not get into the log: whoever made it was interrupted."
    cut_off()
    size = json.loads(signed.with_name(f"{signed.name}.signing-key.head").read_text("utf-8"))["size"]
    assert size > 1
    ran, found = run("verify", "--db", signed), run("verify", "--db", signed, "--json").json
    remark = f"A checkpoint of {size} leaves was {began} Nothing that was signed is gone; `interlock checkpoint` makes"
    assert (ran.code, f"{remark} the next." in ran.words, "NOT SIGNED" in ran.words) == (0, True, True), ran.words
    assert (found["ok"], found["tree"]["faults"], found["tree"]["remarks"]) == (True, [], [f"{remark} the next."])
    assert remark in run("doctor", "--db", signed).words
    assert run("checkpoint", "--db", signed).code == 0
    assert began not in run("verify", "--db", signed).words + run("doctor", "--db", signed).words
    run("chat", "bank", "--db", signed, stdin="hello\n")
    signed_so_far = run("verify", "--db", signed, "--json").json["tree"]["signed"]
    run("approver", "new", "ann", "--key", tmp_path / "ann", "--ground", "named", "--db", signed)
    cut_off()
    found = run("verify", "--db", signed, "--json").json
    assert (found["ok"], found["attestation"], found["tree"]["signed"]) == (True, "SELF-ATTESTED", signed_so_far)
    earlier, now = sorted(found["tree"]["remarks"], reverse=True)
    assert (f"The log's records speak of 1 checkpoint that is not in the log ({size})" in earlier, began in now) == (
        True,
        True,
    )
    unsigned_by_an_administrator(signed, "checkpoint")
    assert "is there no more: it was deleted." in run("verify", "--db", signed).words


def test_what_is_refused_on_an_old_copy_adds_nothing_to_it(run: Any, signed: Path, tmp_path: Path) -> None:
    """Entries that wait there get no place in the tree, by no command that signs."""
    backup = tmp_path / "backup.db"
    run("checkpoint", "--db", signed)
    run("approver", "new", "bo", "--key", tmp_path / "bo", "--ground", "named", "--db", signed)
    shutil.copy(signed, backup)
    run("checkpoint", "--db", signed)
    shutil.copy(backup, signed)

    def kept() -> list[tuple[Any, ...]]:
        with sqlite3.connect(signed) as connection:
            return [connection.execute(f"SELECT count(*) FROM {table}").fetchone() for table in TREE]

    before = kept()
    for words in (("checkpoint",), ("export", "--all", "--bundle", tmp_path / "b"), ("chat", "bank")):
        ran = run(*words, "--db", signed, stdin="hello\n")
        assert (ran.code, "The tree does not extend what was signed last" in ran.words) == (1, True), (words, ran.words)
        assert kept() == before, words
    found = run("verify", "--db", signed, "--json").json
    assert (found["tree"]["waiting"], found["attestation"]) == (1, "BROKEN")


def test_what_is_broken_is_not_praised(run: Any, signed: Path) -> None:
    """BROKEN is the verdict, in words and in JSON, and nothing behind it says what is proved."""
    run("checkpoint", "--db", signed)
    with as_administrator(signed) as connection:
        connection.execute("UPDATE leaf SET hash = zeroblob(32) WHERE stream <> '' AND version = 3")
    ran = run("verify", "--db", signed)
    assert ran.code == 1
    assert "BROKEN" in ran.words
    assert "SELF-ATTESTED" not in ran.words
    assert "every change to an entry" not in ran.words
    assert "larger than the tree" not in ran.words
    found = run("verify", "--db", signed, "--json").json
    assert (found["ok"], found["attestation"], len(found["tree"]["faults"])) == (False, "BROKEN", 1)


def test_an_old_backup_is_neither_written_nor_signed(run: Any, signed: Path, ids: Any, tmp_path: Path) -> None:
    """By no command; and `verify` and `doctor` say so. With what is remembered taken away, the commands run."""
    backup = tmp_path / "backup.db"
    run("checkpoint", "--db", signed)
    shutil.copy(signed, backup)
    assert run("chat", "bank", "--db", signed, stdin="hello\n").code == 0
    shutil.copy(backup, signed)
    one = next(iter(ids.values()))
    (tmp_path / "chats.jsonl").write_text('{"messages": [{"role": "user", "content": "hello"}]}\n', "utf-8")
    commands = (
        ("receipt", one),
        ("hold", "--conversation", one, "--ground", "case"),
        ("erase", "--subject", "ann", "--ground", "asked"),
        ("import", tmp_path / "chats.jsonl", "--as", "openai"),
        ("fork", one, "--at", "2"),
        ("approver", "new", "ann", "--key", tmp_path / "ann", "--ground", "named"),
        ("key", "rotate", "--to", tmp_path / "new"),
    )
    before = signed.read_bytes()
    for words in commands:
        ran = run(*words, "--db", signed)
        assert (ran.code, "The tree does not extend what was signed last" in ran.words) == (1, True), (words, ran.words)
    assert run("verify", "--db", signed).code == 1
    assert "as stands beside the signing key" in run("verify", "--db", signed).words
    assert "The tree does not extend what was signed last" in run("doctor", "--db", signed).words
    assert run("log", "--db", signed).code == 0
    assert len(before) == len(signed.read_bytes())
    signed.with_name(f"{signed.name}.signing-key.head").unlink()
    assert run("receipt", one, "--db", signed).code == 0


def test_a_receipt_of_an_event_that_is_not_there_says_which_are(run: Any, signed: Path, ids: Any) -> None:
    one = next(iter(ids.values()))
    last = len(run("log", one, "--db", signed, "--json").json["events"]) - 1
    ran = run("receipt", one, last + 1, "--db", signed)
    said = f"There is no event {last + 1}: the conversation has {last + 1} events, from 0 to {last}."
    assert (ran.code, said in ran.words, "shows the events with their numbers" in ran.words) == (2, True, True)
    assert (
        f"\n{one}\n{last}\n" in run("receipt", one, last, "--db", signed).out == run("receipt", one, "--db", signed).out
    )


def test_the_variable_of_the_key_is_named(run: Any, log: Path) -> None:
    ran = run("key", "show", "--db", log)
    assert (ran.code, "or give its file with --key or INTERLOCK_SIGNING_KEY." in ran.words) == (2, True)


def test_a_bundle_is_its_owners_alone(run: Any, signed: Path, tmp_path: Path) -> None:
    """Every file and folder of it: it holds what people said."""
    one = run("log", "--db", signed, "--json").json["conversations"][0]["id"]
    for name in ("b", "b.zip"):
        assert run("export", one, "--bundle", tmp_path / name, "--db", signed).code == 0
    found = [tmp_path / "b.zip", tmp_path / "b", *(tmp_path / "b").rglob("*")]
    assert {one.stat().st_mode & 0o777 for one in found if one.is_file()} == {0o600}
    assert {one.stat().st_mode & 0o777 for one in found if one.is_dir()} == {0o700}
    vkey = run("key", "show", "--db", signed).out.strip()
    assert verify_bundle.main([str(tmp_path / "b.zip"), "--key", vkey]) == 20


def test_what_the_verifier_says_of_one_and_of_no_anchor(
    run: Any, signed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One conversation in the singular; a folder without a checkpoint is a wrong call, here and of a log."""
    one = run("log", "--db", signed, "--json").json["conversations"][0]["id"]
    run("export", one, "--bundle", tmp_path / "b", "--db", signed)
    capsys.readouterr()
    verify_bundle.main([str(tmp_path / "b")])
    assert "entries of 1 conversation; " in capsys.readouterr().out
    assert verify_bundle.main([str(tmp_path / "b"), "--anchors", str(tmp_path / "no")]) == 2
    assert "no checkpoint is in" in capsys.readouterr().err
    ran = run("verify", "--db", signed, "--anchors", tmp_path / "no")
    assert (ran.code, "No checkpoint of this log is there." in ran.words) == (2, True)


def test_an_export_that_fails_leaves_nothing(
    run: Any, signed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No half of a bundle, and no record of a reading that was none. The control: one that succeeds is recorded."""

    def failing(*_: object) -> None:
        raise CallError("no report", fix="none")

    with monkeypatch.context() as patched:
        patched.setattr("interlock.persistence.evidence.bundle.verify_bundle.Readable", failing)
        for name in ("b", "b.zip"):
            assert run("export", "--all", "--bundle", tmp_path / name, "--db", signed).code == 2
    assert [one.name for one in tmp_path.iterdir() if "b" in one.name.split(".")[:2]] == []
    assert "export" not in run("access", "--db", signed).words
    assert run("export", "--all", "--bundle", tmp_path / "b", "--db", signed).code == 0
    assert "export" in run("access", "--db", signed).words


def test_a_class_of_texts_that_is_none_is_refused(run: Any, signed: Path, tmp_path: Path) -> None:
    ran = run("export", "--all", "--bundle", tmp_path / "b", "--disclose", "bogus", "--db", signed)
    assert ran.code == 2
    assert "--disclose 'bogus' is no class of texts, and no text here has that name." in ran.words
    assert "all, none, message, reply, fact, arguments, result, reason, or a text's name." in ran.words


def test_the_report_says_who_acted(run: Any, signed: Path, tmp_path: Path) -> None:
    """What a customer wrote is theirs; the reply and the transition are the flow's, upon it."""
    run("export", "--all", "--bundle", tmp_path / "b", "--db", signed)
    rows = list(csv.DictReader((tmp_path / "b" / "report.csv").read_text("utf-8").splitlines()))
    said = {row["who"].split()[0] for row in rows if row["what"].startswith("says ")}
    replied = {row["who"].split(", upon ")[0] for row in rows if row["what"].startswith("replies ")}
    assert (said, replied) == ({"human"}, {"the flow"})


# -- the sequencer as a service -----------------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM")
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_sequencer_that_is_stopped_signs_what_is_there(
    run: Any, log: Path, tmp_path: Path, stop: signal.Signals
) -> None:
    """A line for each checkpoint, the last one over everything, and 0: a service that was stopped did not fail."""
    assert run("key", "new", "--db", log, "--key", tmp_path / "key").code == 0
    command = [sys.executable, "-m", "interlock", "checkpoint", "--watch", "--db", str(log)]
    with subprocess.Popen([*command, "--key", str(tmp_path / "key"), "--json"], **STREAMS) as sequencer:
        assert sequencer.stdout
        first = json.loads(sequencer.stdout.readline())
        assert run("chat", "bank", "--db", log, stdin="hello\n").code == 0
        sequencer.send_signal(stop)
        out, err = sequencer.communicate(timeout=60)
        last = json.loads(out.splitlines()[-1])
    assert (sequencer.returncode, err) == (0, "")
    assert (last["fresh"], last["size"] > first["size"]) == (True, True)
    assert run("verify", "--db", log, "--json").json["tree"]["waiting"] == 0


STREAMS: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


@pytest.mark.skipif(os.name != "posix", reason="SIGTERM")
def test_a_sequencer_says_what_it_signed(run: Any, log: Path, tmp_path: Path) -> None:
    """In words, to stderr; and 1 where the last was not taken by a witness or an anchor."""
    assert run("key", "new", "--db", log, "--key", tmp_path / "key").code == 0
    (tmp_path / "no folder").write_text("")
    command = [sys.executable, "-m", "interlock", "checkpoint", "--watch", "--db", str(log)]
    command += ["--key", str(tmp_path / "key"), "--anchor", str(tmp_path / "no folder")]
    with subprocess.Popen(command, **STREAMS) as sequencer:
        assert sequencer.stderr
        first, failed = sequencer.stderr.readline(), sequencer.stderr.readline()
        sequencer.terminate()
        out, err = sequencer.communicate(timeout=60)
    assert re.fullmatch(r"[-0-9]{10}T[:0-9]{8}Z ✓ [0-9]+ leaves, 1 signature\n", first)
    assert re.fullmatch(r"[-0-9]{10}T[:0-9]{8}Z ✗ anchor: .*\n", failed)
    assert (sequencer.returncode, out, "nothing is new since it was signed" in err) == (1, "", True)


def test_a_bundle_is_checked_without_a_network(run: Any, tmp_path: Path) -> None:
    ran = run("verify", "--bundle", tmp_path, "--anchors", "s3://bucket/logs")
    assert ran.code == 2
    assert "A bundle is checked without a network." in ran.err
    assert "Copy the checkpoints to a folder" in " ".join(ran.err.split())
