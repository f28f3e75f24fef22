"""OpenAI's chat format: one record `{"messages": [...]}`, or its list of messages alone, as a conversation.

Read are all roles, several tool calls at once, legacy function calls, text in parts, refusals and names. What is
no text (images, sound) is named and not kept.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from ..contracts.imported import ImportedRole
from ..contracts.values import NAME, listed
from .foreign import ForeignCall, ForeignConversation, ForeignMessage, Malformed, record_digest

ROLES: tuple[str, ...] = get_args(ImportedRole)
MOST_CALLS = 128
"""Tool calls in one message: what an entry of the log has room for."""
_TEXT_PARTS = ("text", "input_text", "output_text")
_DEFINITIONS = ("messages", "tools", "functions")


def chat_conversation(record: Any) -> ForeignConversation:
    """The conversation that one record holds. Raises `Malformed` with the place of the first thing that is wrong."""
    messages = record.get("messages") if isinstance(record, dict) else record
    if not isinstance(record, dict | list):
        raise Malformed("", f"a record is an object with `messages`, or a list of messages; this is {_kind(record)}")
    if not isinstance(messages, list):
        raise Malformed("messages", "there is no list of messages")
    about = {key: value for key, value in record.items() if key not in _DEFINITIONS} if isinstance(record, dict) else {}
    return ForeignConversation("openai", record_digest(record), read_messages(messages, "messages"), about)


def read_messages(messages: Sequence[Any], name: str) -> tuple[ForeignMessage, ...]:
    """The messages of a list that is called `name` in its record. Raises `Malformed`."""
    if not messages:
        raise Malformed(name, "there are no messages")
    reading = _Reading()
    for index, message in enumerate(messages):
        reading.take(f"{name}[{index}]", message)
    return tuple(reading.messages)


@dataclass
class _Reading:
    """The messages so far, and the calls that wait for their results."""

    messages: list[ForeignMessage] = field(default_factory=list)
    asked: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """By the id of the call (of a legacy one: its name), the latest last."""
    answered: set[tuple[int, int]] = field(default_factory=set)

    def take(self, place: str, message: Any) -> None:
        if not isinstance(message, dict):
            raise Malformed(place, f"a message is an object; this is {_kind(message)}")
        role = message.get("role")
        if role not in ROLES:
            raise Malformed(f"{place}.role", f"it is {_shown(role)}; it may be {listed(ROLES)}")
        text, refusal, parts = _content(place, message)
        calls = self._calls(place, message)
        if text is None and refusal is None and not parts and not calls:
            if role != "assistant":
                raise Malformed(f"{place}.content", "there is neither content nor a tool call")
            text = ""
        self.messages.append(
            ForeignMessage(
                role=cast(ImportedRole, role),
                text=text,
                refusal=refusal,
                name=_optional_text(place, message, "name"),
                parts=parts,
                calls=calls,
                answers=self._answered(place, role, message),
                failed=bool(message.get("failed")),
                at=message.get("at"),
            )
        )

    def _calls(self, place: str, message: Mapping[str, Any]) -> tuple[ForeignCall, ...]:
        at = len(self.messages)
        given = message.get("tool_calls") or ()
        if not isinstance(given, list | tuple):
            raise Malformed(f"{place}.tool_calls", f"it is a list of calls; this is {_kind(given)}")
        if len(given) > MOST_CALLS:
            raise Malformed(f"{place}.tool_calls", f"there are {len(given)} calls; at most {MOST_CALLS} are kept")
        found = []
        for position, call in enumerate(given):
            where = f"{place}.tool_calls[{position}]"
            if not isinstance(call, dict):
                raise Malformed(where, f"a call is an object; this is {_kind(call)}")
            identity = call.get("id")
            if not isinstance(identity, str) or not identity:
                raise Malformed(f"{where}.id", "a call needs an id that its result names")
            found.append(_call(where, call.get("function") or call.get("custom"), "input" if "custom" in call else ""))
            self.asked.setdefault(f"id {identity}", []).append((at, position))
        legacy = message.get("function_call")
        if legacy is not None:
            found.append(_call(f"{place}.function_call", legacy, ""))
            self.asked.setdefault(f"function {found[-1].name}", []).append((at, len(found) - 1))
        return tuple(found)

    def _answered(self, place: str, role: str, message: Mapping[str, Any]) -> tuple[int, int] | None:
        if role not in ("tool", "function"):
            return None
        key = "tool_call_id" if role == "tool" else "name"
        named = message.get(key)
        if not isinstance(named, str) or not named:
            raise Malformed(f"{place}.{key}", "a result says which call it is of")
        made = self.asked.get(f"{'id' if role == 'tool' else 'function'} {named}", [])
        if not made:
            raise Malformed(f"{place}.{key}", f"no message before it made the call {_shown(named)}")
        waiting = [one for one in made if one not in self.answered]
        found = waiting[0] if waiting else made[-1]
        self.answered.add(found)
        return found


def _call(place: str, call: Any, arguments: str) -> ForeignCall:
    if not isinstance(call, dict):
        raise Malformed(place, "a call has a `function` with a name and arguments")
    name, given = call.get("name"), call.get(arguments or "arguments")
    if not isinstance(name, str) or not name:
        raise Malformed(f"{place}.name", "the function has no name")
    if isinstance(given, dict):
        given = json.dumps(given, ensure_ascii=False)
    if given is None:
        given = ""
    if not isinstance(given, str):
        raise Malformed(f"{place}.arguments", f"they are a text or an object; this is {_kind(given)}")
    return ForeignCall(name, given)


def _content(place: str, message: Mapping[str, Any]) -> tuple[str | None, str | None, tuple[str, ...]]:
    """Text, refusal and the kinds of what is neither."""
    content, refusal = message.get("content"), message.get("refusal")
    if refusal is not None and not isinstance(refusal, str):
        raise Malformed(f"{place}.refusal", f"it is a text; this is {_kind(refusal)}")
    if content is None or isinstance(content, str):
        return content, refusal, ()
    if not isinstance(content, list):
        raise Malformed(f"{place}.content", f"it is a text, null or a list of parts; this is {_kind(content)}")
    texts, others = [], []
    for position, part in enumerate(content):
        where = f"{place}.content[{position}]"
        kind = part.get("type") if isinstance(part, dict) else None
        if not isinstance(part, dict) or not isinstance(kind, str):
            raise Malformed(where, "a part is an object with a `type`")
        if kind in _TEXT_PARTS:
            if not isinstance(part.get("text"), str):
                raise Malformed(f"{where}.text", "a text part has a text")
            texts.append(part["text"])
        elif kind == "refusal" and isinstance(part.get("refusal"), str):
            refusal = part["refusal"] if refusal is None else f"{refusal}\n{part['refusal']}"
        else:
            others.append(kind if NAME.fullmatch(kind) else "other")
    return ("\n".join(texts) if texts else None), refusal, tuple(others)


def _optional_text(place: str, message: Mapping[str, Any], key: str) -> str:
    found = message.get(key)
    if found is not None and not isinstance(found, str):
        raise Malformed(f"{place}.{key}", f"it is a text; this is {_kind(found)}")
    return found or ""


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    return "nothing" if value is None else names.get(type(value), "something else")


def _shown(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, str) else _kind(value)
