"""How a conversation stood at one event of its log: `interlock log CONVERSATION --at N`, and each step of a walk.

The entries are folded up to there, and no further: neither code nor model nor what came later is needed.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..contracts.errors import CallError
from ..contracts.events import ToolRequested
from ..contracts.flow import Flow
from ..contracts.limits import Limits
from ..contracts.payload import Payload, PayloadAt
from ..contracts.values import written_time
from ..fsm.conversation import Conversation, Pending
from ..fsm.evolve import fold
from ..fsm.replay import Recorded
from ..fsm.wording import limit_amount
from ..service.loading import recorded
from .finding import existing_log, flow_of, stream_named
from .seeing import Looking, texts_seen
from .story import known_words, told
from .terminal import Part, Terminal, counted, safe, write_json

_TURN = ("handoffs", "self_handoffs", "agent_calls", "steps", "tool_calls", "subflows")


def tell_at(db: Path | None, prefix: str, at: int, *, texts: Looking | None, as_json: bool) -> int:
    """Show the conversation as event `at` left it. Raises `CallError` where there is no such event."""
    with existing_log(db) as store:
        stream = stream_named(store, prefix)
        entries = recorded(store.read(stream))
        check_version(stream, at, len(entries))
        flow = flow_of(store, entries[at].envelope.flow)
        payloads = texts_seen(store, stream, "log", texts) if texts else None
    document = standing_document(stream, entries, at, flow, payloads)
    if as_json:
        write_json(document)
    else:
        terminal = Terminal()
        terminal.rule(f"{stream} after event {at} of {len(entries) - 1}")
        _row(terminal, "event", f"{document['type']}: {document['says']}")
        show_standing(terminal, document)
        left_out = "" if texts else " Texts are personal and left out; --texts shows them."
        terminal.blank()
        folded = counted(at + 1, "entry", "entries")
        terminal.line((f"Folded from {folded}: no code, model or clock was needed.{left_out}", "dim"), indent=1)
    return 0


def check_version(stream: str, at: int, length: int) -> None:
    """Raises `CallError` where the stream has no event `at`."""
    if at >= length:
        raise CallError(
            f"There is no event {at}: the conversation has {counted(length, 'event')}, from 0 to {length - 1}.",
            where=stream,
            fix="`interlock log CONVERSATION` shows the events with their numbers.",
        )


def standing_document(
    stream: str,
    entries: Sequence[Recorded],
    at: int,
    flow: Flow | None,
    payloads: Mapping[PayloadAt, Payload] | None = None,
    says: str | None = None,
) -> dict[str, Any]:
    """`{"id", "at", "event", "type", "state", "kind", "status", "flow", "version", "digest", "turn", "waits", "facts":
    [{"name", "says", "source", "corrected"}], "limits": [{"limit", "used", "maximum", "of"}], "pending": [{"effect",
    "asks", "kind", "state", "attempt"}], "queue": {"messages", "issues"}, "digressions": [state], "children": [...],
    "label", "candidates"}`: everything that the next decision can depend on, in words or numbers."""
    before = list(entries[: at + 1])
    conversation = fold(stream, (one.event for one in before))
    words = known_words(before, flow, payloads)
    kinds = {one.name: one.kind for one in flow.states} if flow else {}
    ref = conversation.flow
    return {
        "id": stream,
        "at": at,
        "type": entries[at].envelope.type,
        "time": written_time(entries[at].envelope.at),
        "says": told(before, flow, payloads)[-1].text if says is None else says,
        "state": conversation.state,
        "kind": kinds.get(conversation.state),
        "status": conversation.status,
        "flow": ref.name if ref else None,
        "version": ref.version if ref else None,
        "digest": ref.digest if ref else None,
        "turn": conversation.turn.number,
        "waits": _waits(conversation),
        "facts": [
            {"name": name, "says": words[name], "source": fact.source, "corrected": fact.corrected}
            for name, fact in conversation.known.items()
        ],
        "limits": _limits(conversation, flow.limits if flow else Limits()),
        "pending": [_pending(effect, intent) for effect, intent in sorted(conversation.unfinished.items())],
        "queue": {
            "messages": [version for version, _ in conversation.inbox],
            "issues": [one.label for one in conversation.issues],
        },
        "digressions": [frame.state for frame in conversation.frames],
        "children": [
            {"effect": effect, "child": child.started.child, "left": child.left}
            for effect, child in sorted(conversation.children.items())
        ],
        "label": conversation.label,
        "candidates": list(conversation.candidates),
    }


def _waits(conversation: Conversation) -> list[str]:
    """What would move it, in words."""
    visit, found = conversation.visit, []
    if visit.question is not None:
        what = "a yes to all of it" if visit.question.fact is None else visit.question.fact
        found.append(f"for {what}, attempt {visit.question.attempt}")
    if visit.opened is not None and visit.task is not None:
        found.append(f"for task {visit.task}: {' or '.join(visit.opened.decisions)} by {visit.opened.role}")
    found += [f"until {written_time(due)[:19]} UTC, the timer of event {timer}" for timer, due in conversation.timers]
    return found


def _pending(effect: int, intent: Pending) -> dict[str, Any]:
    if isinstance(intent, ToolRequested):
        return {"effect": effect, "asks": intent.tool, "kind": "tool", "state": intent.state, "attempt": 1}
    return {
        "effect": effect,
        "asks": intent.agent,
        "kind": "agent" if intent.purpose == "run" else intent.purpose,
        "state": intent.state,
        "attempt": intent.attempt,
    }


def _limits(conversation: Conversation, limits: Limits) -> list[dict[str, Any]]:
    """What was used of each limit, and what there is of it; those without a maximum are left out."""
    turn = conversation.turn
    of_turn = {
        **{name: getattr(turn, name) for name in _TURN},
        "same_pair": max(turn.pairs.values(), default=0),
        "tool_rounds": conversation.visit.rounds,
        "turn_tokens": turn.tokens,
        "turn_cost": turn.cost,
        "repeats": max(turn.contexts.values(), default=0),
    }
    whole = {
        "conversation_handoffs": conversation.handoffs,
        "conversation_tokens": conversation.tokens,
        "conversation_cost": conversation.cost,
        "conversation_messages": conversation.received,
        "digression_depth": len(conversation.frames),
        "issues": len(conversation.issues),
    }
    return [
        {"limit": name, "used": used, "maximum": getattr(limits, name), "of": of}
        for of, counted_up in (("turn", of_turn), ("conversation", whole))
        for name, used in counted_up.items()
        if getattr(limits, name) is not None
    ]


def show_standing(terminal: Terminal, document: Mapping[str, Any]) -> None:
    """The document on the terminal: one short paragraph each; limits of which nothing was used are only counted."""
    kind = f" ({document['kind']})" if document["kind"] else ""
    _row(terminal, "state", (document["state"], "bold"), f"{kind}, {document['status']}, turn {document['turn']}")
    _row(terminal, "waits", "; ".join(document["waits"]) or "for nothing")
    facts = [
        f"{one['name']} = {one['says']}{' (corrected)' if one['corrected'] else ''}, from the {one['source']}"
        for one in document["facts"]
    ]
    _row(terminal, "facts", "\n".join(facts) or "none")
    used = [one for one in document["limits"] if one["used"]]
    lines = [f"{one['limit'].replace('_', ' ')} {_amount(one, 'used')} of {_amount(one, 'maximum')}" for one in used]
    unused = len(document["limits"]) - len(used)
    _row(terminal, "limits", "\n".join(lines) or "nothing used", (f"\n{unused} more, unused" if used else "", "dim"))
    pending = [f"{one['kind']} {one['asks']}, begun at event {one['effect']}" for one in document["pending"]]
    _row(terminal, "in hand", "; ".join(pending) or "nothing")
    queue = document["queue"]
    waiting = [f"message {version}" for version in queue["messages"]] + [f"issue {label}" for label in queue["issues"]]
    _row(terminal, "queue", ", ".join(waiting) or "empty")
    if document["digressions"]:
        _row(terminal, "left for", f"a digression from {' and '.join(document['digressions'])}")
    for child in document["children"]:
        _row(terminal, "child", f"{child['child']}, begun at event {child['effect']}")
    if document["label"]:
        _row(terminal, "label", str(document["label"]))


def _amount(limit: Mapping[str, Any], of: str) -> str:
    """Costs are kept in billionths of the currency unit."""
    return limit_amount(str(limit["limit"]), int(limit[of]))


def _row(terminal: Terminal, name: str, *parts: Part) -> None:
    made = [safe_part(one) for one in parts]
    terminal.hang(terminal.text((f"{name:<8}", "dim")), *made, indent=1)


def safe_part(part: Part) -> Part:
    """The part without anything that a terminal would obey; its lines stay lines."""
    if isinstance(part, str):
        return "\n".join(safe(line) for line in part.split("\n")) if part.strip() else part
    return part
