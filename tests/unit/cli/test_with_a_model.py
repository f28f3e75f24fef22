"""The same commands with a model behind HTTP: chosen by options and environment, and never needed for a replay."""

from pathlib import Path
from typing import Any

import pytest

from interlock.contracts.errors import SetupError
from interlock.service.project import load_project
from interlock.service.wiring import ModelChoice, agents_for, db_path, open_log
from support.openai_server import OpenAIServer, completion, openai_server

__all__ = ["openai_server"]


def advice(_: Any) -> Any:
    return completion('{"outcome": "done", "reply": "From the model.", "needs_person": false}')


def test_chat_talks_to_the_server_that_is_named(run: Any, openai_server: OpenAIServer, tmp_path: Path) -> None:
    """--base-url needs no key; --model replaces the flow's; the log replays without the server."""
    openai_server.answers_with(advice)
    db = tmp_path / "log.db"
    ran = run(
        "chat",
        "bank",
        "--db",
        db,
        "--base-url",
        openai_server.url,
        "--model",
        "tiny-3b",
        stdin="wheres my new card??\nbye\n",
    )
    assert ran.code == 0, ran.err
    assert f"model tiny-3b at {openai_server.url}" in ran.words
    assert "From the model." in ran.words
    assert {one.body["model"] for one in openai_server.requests} == {"tiny-3b"}
    openai_server.close()
    found = run("replay", "--all", "--db", db, "--json").json
    assert (found["same"], found["model_calls"]) == (True, 0)


def test_the_demo_says_which_model_answered(run: Any, openai_server: OpenAIServer) -> None:
    """The customers write the same; what must hold with a model is the log and its replay."""
    openai_server.answers_with(advice)
    found = run("demo", "--base-url", openai_server.url, "--model", "tiny-3b", "--json").json
    assert found["agents"]["says"] == f"model tiny-3b at {openai_server.url}"
    assert (found["agents"]["scripted"], found["agents"]["failed"]) == (False, 0)
    assert found["verify"]["ok"]
    assert found["replay"]["divergences"] == 0
    assert found["held"]
    assert openai_server.requests
    calm = next(one for one in found["conversations"] if one["title"].startswith("The adviser's server fails"))
    assert not calm["as_scripted"]
    assert "no adviser's answer was 'failed'" in calm["missed"]


def test_a_demo_whose_model_never_answers_fails_and_says_so(run: Any) -> None:
    """Nothing listens there: exit 1, and no customer is said to have come where they did not."""
    ran = run("demo", "--base-url", "http://127.0.0.1:9/v1")
    assert ran.code == 1
    assert "The model never answered: all of" in ran.words
    assert "1 · came to human_desk" in ran.words
    assert "with the script: Where is my new card?" in ran.words
    assert "✓ Where is my new card?" not in ran.words
    assert "14 of 14" not in ran.words


@pytest.mark.parametrize("url", ["localhost:11434", "ftp://host/v1", "http://", "http://host:port/v1"])
@pytest.mark.parametrize("command", [("demo",), ("chat", "bank")])
def test_a_base_url_that_is_no_address_is_a_wrong_call(
    run: Any, tmp_path: Path, command: tuple[str, ...], url: str
) -> None:
    """Exit 2 with the fix, before a log is made."""
    db = tmp_path / "log.db"
    ran = run(*command, "--db", db, "--base-url", url)
    assert ran.code == 2
    assert "such as http://localhost:11434/v1" in ran.words
    assert not db.exists()


def test_a_model_that_is_down_leads_to_a_person(run: Any, openai_server: OpenAIServer, tmp_path: Path) -> None:
    """Two failed attempts, then the desk (CS-14); the chat goes on."""
    ran = run(
        "chat", "bank", "--db", tmp_path / "log.db", "--base-url", openai_server.url, stdin="wheres my new card??\n"
    )
    assert ran.code == 0
    assert "human_desk · with a person" in ran.words
    assert len(openai_server.requests) == 2


def test_the_script_answers_where_no_model_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key or a server means a real model; neither, the project's script."""
    bank = load_project("bank")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert agents_for(bank, ModelChoice()).scripted
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    monkeypatch.setenv("INTERLOCK_MODEL", "from-environment")
    found = agents_for(bank, ModelChoice())
    assert (found.scripted, found.says) == (False, "model from-environment at OpenAI")
    assert agents_for(bank, ModelChoice(model="from-option")).says == "model from-option at OpenAI"


def test_the_place_of_the_log(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The option, then INTERLOCK_DB, then the working folder."""
    monkeypatch.delenv("INTERLOCK_DB", raising=False)
    assert db_path() == Path("interlock.db")
    monkeypatch.setenv("INTERLOCK_DB", str(tmp_path / "env.db"))
    assert db_path() == tmp_path / "env.db"
    assert db_path(tmp_path / "option.db") == tmp_path / "option.db"


@pytest.mark.parametrize("create", [False, True])
def test_a_folder_is_no_log(tmp_path: Path, create: bool) -> None:
    with pytest.raises(SetupError, match="this is a folder"):
        open_log(tmp_path, create=create)


def test_a_log_in_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="The log's folder does not exist"):
        open_log(tmp_path / "no" / "log.db", create=True)
