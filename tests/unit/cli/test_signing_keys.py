"""`interlock key`: what it makes, shows and changes, and what it says of a key that cannot sign."""

from pathlib import Path
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
