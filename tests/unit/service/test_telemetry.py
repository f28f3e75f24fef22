"""Warnings go to stderr, as lines or as JSON, and hold nothing that a person wrote."""

import json
from typing import Any

import pytest
import structlog

from interlock.service.telemetry import configured, without_personal_text


@pytest.fixture(autouse=True)
def restored() -> Any:
    yield
    structlog.reset_defaults()


def test_a_warning_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Ids and codes are shown; a field that is not on the list is left out."""
    configured({})
    structlog.get_logger("interlock.test").warning("timer_left", conversation="c1", said="my name is Maria")
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "interlock: warning: timer_left conversation=c1\n"


def test_json_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """One object for each record, with level and time."""
    configured({"INTERLOCK_LOG": "json"})
    structlog.get_logger("interlock.test").error("timers_failed", error="storage")
    record = json.loads(capsys.readouterr().err)
    assert (record["event"], record["error"], record["level"]) == ("timers_failed", "storage", "error")
    assert record["timestamp"].endswith("Z")


def test_details_are_quiet_unless_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """Warnings and worse by default; `INTERLOCK_LOG_LEVEL=info` for more."""
    configured({})
    structlog.get_logger().info("hello")
    assert capsys.readouterr().err == ""
    configured({"INTERLOCK_LOG_LEVEL": "info"})
    structlog.get_logger().info("hello")
    assert "hello" in capsys.readouterr().err


def test_only_known_fields_pass() -> None:
    """Whatever a caller adds, personal text has no way into a record."""
    record = {"event": "e", "effect": 4, "text": "secret", "message": "secret", "what": "secret"}
    assert without_personal_text(None, "", record) == {"event": "e", "effect": 4}
