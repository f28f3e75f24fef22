"""`interlock key`: what it makes, shows and changes, and what it says of a key that cannot sign."""

from pathlib import Path
from typing import Any

import pytest

from interlock.persistence.evidence import verify_bundle


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
