"""Trajectories of tau-bench (`traj`) and tau2-bench (`simulations[].messages`) as conversations.

The second names a call's tool beside its id, says of a result whether the tool failed, and lets the customer call
tools too. Times without a zone are taken as UTC.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .foreign import ForeignConversation, Malformed, record_digest
from .foreign_chat import read_messages

_FAILED = "Error"
"""How a tool of the first benchmark begins its answer where it failed."""


def tau_conversation(record: Any) -> ForeignConversation:
    """The conversation of one trajectory. Raises `Malformed` with the place of the first thing that is wrong."""
    if not isinstance(record, dict):
        raise Malformed("", "a trajectory is an object with `traj` or `messages`")
    name = "traj" if "traj" in record else "messages"
    messages = record.get(name)
    if not isinstance(messages, list):
        raise Malformed(name, "there is no list of messages under `traj` or `messages`")
    as_chat = [_as_chat(f"{name}[{index}]", one) for index, one in enumerate(messages)]
    return ForeignConversation("tau", record_digest(record), read_messages(as_chat, name), _about(record))


def _as_chat(place: str, message: Any) -> Any:
    """The message in the chat format, with `failed` and `at` where the record says them."""
    if not isinstance(message, dict):
        return message
    chat = {key: message[key] for key in ("role", "content", "name", "tool_calls", "tool_call_id") if key in message}
    if isinstance(chat.get("tool_calls"), list):
        chat["tool_calls"] = [_call(one) for one in chat["tool_calls"]]
    if message.get("role") == "tool":
        chat.setdefault("tool_call_id", message.get("id"))
        content = message.get("content")
        chat["content"] = "" if content is None else content
        error = message.get("error")
        chat["failed"] = error if isinstance(error, bool) else str(content).startswith(_FAILED)
    if isinstance(message.get("timestamp"), str):
        chat["at"] = _time(f"{place}.timestamp", message["timestamp"])
    return chat


def _call(call: Any) -> Any:
    if not isinstance(call, dict) or "function" in call:
        return call
    return {"id": call.get("id"), "function": {"name": call.get("name"), "arguments": call.get("arguments")}}


def _time(place: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Malformed(place, f"{text[:40]!r} is no time") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _about(record: Mapping[str, Any]) -> dict[str, Any]:
    """The names and figures of the record: which task, which trial, how it was judged."""
    about = {key: value for key, value in record.items() if isinstance(value, str | int | float)}
    judged = record.get("reward_info")
    if "reward" not in about and isinstance(judged, dict) and isinstance(judged.get("reward"), int | float):
        about["reward"] = judged["reward"]
    return about
