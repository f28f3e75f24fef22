"""`interlock key`: what it makes, shows and changes, and what it says of a key that cannot sign."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from interlock.persistence.evidence import verify_bundle
from support.tampering import as_administrator


@pytest.fixture(autouse=True)
def _no_key_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("INTERLOCK_SIGNING_KEY", "INTERLOCK_POLICY", "INTERLOCK_ANCHORS"):
        monkeypatch.delenv(name, raising=False)


def test_the_commands_make_show_and_change_both(run: Any, log: Path, tmp_path: Path) -> None:
    """Two lines, one file of public keys for the auditor, and ML-DSA-44 kept over a change."""
    made = run("key", "new", "--ml-dsa", "--db", log, "--json").json
    assert run("key", "show", "--db", log).out == f"{made['key']}\n{made['ml_dsa']}\n"
    assert "Give both lines above to auditors and witnesses." in run("key", "show", "--db", log).words
    vkeys = tmp_path / "log.vkey"
    vkeys.write_text(run("key", "show", "--db", log).out)
    assert "leaves, 2 signatures" in run("checkpoint", "--db", log).words
    assert run("verify", "--db", log, "--vkey", vkeys, "--json").json["attestation"] == "SELF-ATTESTED"
    assert run("export", "--all", "--bundle", tmp_path / "b", "--db", log).code == 0
    assert verify_bundle.main([str(tmp_path / "b"), "--key", str(vkeys)]) == 20
    changed = run("key", "rotate", "--to", tmp_path / "new", "--db", log, "--json").json
    assert changed["ml_dsa"] != made["ml_dsa"]
    assert run("verify", "--db", log, "--vkey", vkeys).code == 0
    assert run("witness", "key", "w.example", "--ml-dsa", "--key", tmp_path / "w").out.startswith("w.example+")


def test_a_checkpoint_of_a_log_that_was_altered_is_refused(run: Any, log: Path) -> None:
    """With the first wrong position; a talk does not begin on it. What was compared is said."""
    run("key", "new", "--db", log)
    run("checkpoint", "--db", log)
    run("chat", "bank", "--db", log, stdin="hello\n")
    said = run("checkpoint", "--db", log).words
    assert "on were compared with their entries; `interlock verify` compares all." in said
    with as_administrator(log) as connection:
        (place,) = connection.execute("SELECT max(position) FROM leaf WHERE stream <> ''").fetchone()
        connection.execute(
            "UPDATE event SET entry = CAST(replace(entry, '\"v\":1', '\"v\":2') AS BLOB) "
            "WHERE (stream, version) = (SELECT stream, version FROM leaf WHERE position = ?)",
            (place,),
        )
    for words in (("checkpoint",), ("chat", "bank"), ("checkpoint", "--json")):
        ran = run(*words, "--db", log)
        assert (ran.code, f"The entry of leaf {place} was altered" in ran.words) == (1, True), ran.words


def test_a_receipt_is_handed_back_and_held_against_the_log(run: Any, log: Path, tmp_path: Path) -> None:
    """By a command that moves a conversation, and in a talk; `verify --receipt` finds its entry, or says so."""
    unsigned = run("chat", "bank", "--db", log, stdin="/receipt\n")
    assert "The log is not signed: `interlock key new` makes it a key." in unsigned.words
    assert run("key", "new", "--db", log).code == 0
    talked = run("chat", "bank", "--db", log, stdin="hello\n/receipt\n").out
    receipt = tmp_path / "receipt"
    receipt.write_text(talked[talked.index("interlock receipt v1") :].split("\n\n")[0] + "\n\n")
    sign = next(line for line in talked.splitlines() if line.startswith("\u2014"))
    receipt.write_text(receipt.read_text() + sign + "\n")
    assert run("verify", "--db", log, "--receipt", receipt).code == 0
    task = run("tasks", "--db", log, "--json").json["tasks"][0]
    words = ("decide", task["conversation"], task["task"], task["decisions"][0], "--as", "ann", "--role", task["role"])
    receipt.write_text(run(*words, "--db", log, "--json").json["receipt"])
    assert run("verify", "--db", log, "--receipt", receipt).code == 0
    sign, text = receipt.read_text().splitlines()[-1], receipt.read_text()
    receipt.write_text(text.replace("\n\n", "\n\n", 1).replace(sign, sign[:-6] + "AAAAA="))
    ran = run("verify", "--db", log, "--receipt", receipt)
    assert (ran.code, "was not signed with a key of this log" in ran.words) == (1, True)


def test_after_a_change_the_old_key_says_what_to_set(
    run: Any, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a talk, a checkpoint, a receipt, an export and another change; and with it set, they go on."""
    monkeypatch.setenv("COLUMNS", "400")
    run("key", "new", "--db", log)
    run("checkpoint", "--db", log)
    new = tmp_path / "new"
    changed = run("key", "rotate", "--to", new, "--db", log)
    assert f"The log signs with this key now: set INTERLOCK_SIGNING_KEY={new}, or give it with --key." in changed.words
    stream = run("log", "--db", log, "--json").json["conversations"][0]["id"]
    for words in (
        ("chat", "bank"),
        ("checkpoint",),
        ("receipt", stream),
        ("export", "--all", "--bundle", tmp_path / "b"),
        ("key", "rotate", "--to", tmp_path / "newer"),
    ):
        ran = run(*words, "--db", log)
        assert ran.code == 2, ran.words
        assert f"This key was changed for another, {new}, and signs no more." in ran.words
        assert f"Set INTERLOCK_SIGNING_KEY={new} where the log is written" in ran.words
    assert not (tmp_path / "newer").exists()
    shown = run("key", "show", "--db", log)
    assert (shown.code, f"This key was changed for another, {new}, and signs no more." in shown.words) == (0, True)
    assert run("key", "show", "--db", log, "--json").json["successor"] == str(new)
    assert "retired" not in run("key", "show", "--key", new, "--db", log, "--json").json
    assert run("checkpoint", "--key", new, "--db", log).code == 0


def test_a_key_that_was_retired_by_an_earlier_release_says_so(run: Any, log: Path, tmp_path: Path) -> None:
    """Its memory names no successor."""
    run("key", "new", "--db", log)
    run("checkpoint", "--db", log)
    memory = Path(f"{log}.signing-key.head")
    memory.write_text(memory.read_text().replace("{", '{"retired": true, ', 1))
    ran = run("checkpoint", "--db", log)
    assert "This key was changed for another, and signs no more." in ran.words
    assert "Set INTERLOCK_SIGNING_KEY=FILE where the log is written" in ran.words
    assert run("key", "show", "--db", log, "--json").json["retired"] is True


def test_a_log_that_is_signed_gets_no_second_key(run: Any, log: Path, tmp_path: Path) -> None:
    """It would sign what nobody believes; nothing is made."""
    run("key", "new", "--db", log)
    run("checkpoint", "--db", log)
    Path(f"{log}.signing-key").rename(tmp_path / "kept")
    ran = run("key", "new", "--db", log)
    assert ran.code == 2
    assert "This log is signed already (the last checkpoint has 478 leaves): a second key would sign what" in ran.words
    assert "change it with `interlock key rotate --to FILE`. If it is lost, begin a new log" in ran.words
    assert not Path(f"{log}.signing-key").exists()


def test_another_key_names_the_variable(run: Any, log: Path, tmp_path: Path) -> None:
    run("key", "new", "--db", log)
    other = tmp_path / "other"
    run("key", "new", "--key", other, "--db", log)
    run("checkpoint", "--db", log)
    ran = run("checkpoint", "--key", other, "--db", log)
    assert (ran.code, "The last checkpoint (size 478) was signed with another key." in ran.words) == (2, True)
    assert "Give that key with --key or INTERLOCK_SIGNING_KEY" in ran.words


MISSING = "The key file is missing, and texts of this log are encrypted under it."
OPEN = "The key file can be read or written by others (mode 0644)."
DAMAGED = "This is no file of master keys, or it is damaged."


@pytest.mark.parametrize("how", [MISSING, OPEN, DAMAGED, "is not in the key file."])
def test_a_master_key_that_cannot_be_had_is_told_apart(run: Any, log: Path, tmp_path: Path, how: str) -> None:
    """Missing, open to others, damaged, or another log's: `verify` says which, and a talk leaves no conversation."""
    key = Path(f"{log}.key")
    if how == MISSING:
        key.unlink()
    elif how == OPEN:
        key.chmod(0o644)
    elif how == DAMAGED:
        key.write_text("nonsense\n")
    else:
        run("demo", "--db", tmp_path / "other.db")
        key.write_bytes(Path(f"{tmp_path / 'other.db'}.key").read_bytes())
    before = len(run("log", "--db", log, "--json").json["conversations"])
    ran = run("chat", "bank", "--db", log, stdin="hello\n")
    assert (ran.code, how in ran.words) == (1, True), ran.words
    assert len(run("log", "--db", log, "--json").json["conversations"]) == before
    found = run("verify", "--db", log)
    assert (found.code, how in found.words, "texts not opened" in found.words) == (0, True, True), found.words
    assert how in run("verify", "--db", log, "--json").json["locked"]


def test_a_master_key_that_is_there_opens_all(run: Any, log: Path) -> None:
    """The control; and a log without any text needs none yet."""
    found = run("verify", "--db", log, "--json").json
    assert (found["unopened"], found["locked"]) == (0, None)
    assert run("chat", "bank", "--db", log.with_name("new.db"), stdin="hello\n").code == 0


def test_a_witness_that_does_not_answer_is_said_once(
    run: Any, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the terminal; what signs by itself writes it to the process's own log."""
    witness = run("witness", "key", "w.example", "--key", tmp_path / "w").out.strip()
    Path(f"{log}.policy").write_text(f"witness W {witness} http://127.0.0.1:9\nquorum W\n")
    run("key", "new", "--db", log)
    ran = run("checkpoint", "--db", log)
    assert (ran.code, (ran.out + ran.err).count("127.0.0.1:9: ")) == (1, 1), ran.out + ran.err
    assert (ran.out + ran.err).count("cannot be reached") == 1
    logged: list[str] = []
    told = SimpleNamespace(error=lambda event, **_: logged.append(event))
    monkeypatch.setattr("interlock.service.checkpointing.log", told)
    assert run("checkpoint", "--db", log).code == 1
    assert logged == []
    assert run("chat", "bank", "--db", log, stdin="hello\n").code == 0
    assert set(logged) == {"checkpoint_not_shown"}


def test_the_policy_that_was_used_is_named(
    run: Any, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That beside the log is used without being asked for, so it is said."""
    monkeypatch.setenv("COLUMNS", "400")
    run("key", "new", "--db", log)
    run("checkpoint", "--db", log)
    assert "by the policy in" not in run("verify", "--db", log).words
    assert run("verify", "--db", log, "--json").json["tree"]["policy"] is None
    for place, words in ((Path(f"{log}.policy"), ()), (tmp_path / "mine", ("--policy", tmp_path / "mine"))):
        place.write_text(f"log {run('key', 'show', '--db', log).out.strip()}\nquorum none\n")
        assert f"SELF-ATTESTED, by the policy in {place}" in run("verify", "--db", log, *words).words
        assert run("verify", "--db", log, *words, "--json").json["tree"]["policy"] == str(place)


def test_one_is_one(run: Any, tmp_path: Path) -> None:
    """Singulars, in what is said of a log with one conversation."""
    db = tmp_path / "one.db"
    assert run("chat", "bank", "--db", db, stdin="hello\n/state\n").code == 0
    run("key", "new", "--db", db)
    run("export", "--all", "--bundle", tmp_path / "b", "--db", db)
    said = [
        run(*words, "--db", db).words
        for words in (("verify",), ("replay", "--all"), ("doctor",), ("log",), ("checkpoint",), ("keys", "show"))
    ]
    plural = r"(?<![\d.,:/])1 (conversations|events|entries|leaves|texts|keys|signatures|decisions|flows|tasks|holds)\b"
    assert [one for words in said for one in re.findall(plural, words)] == []
    assert any("1 conversation" in words for words in said)
