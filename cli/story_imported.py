"""The words of imported events: what was said and called elsewhere, and what was marked in it."""

from collections.abc import Callable, Iterator

from ..contracts.imported import ConversationImported, MessageImported
from ..contracts.payload import PayloadAt, PayloadRef
from .terminal import counted

Quoted = Callable[[PayloadAt, int], str]
"""What a payload says, or how long it was."""

_WHO = {
    "user": ("customer", "customer"),
    "assistant": ("reply", "the agent there"),
    "system": ("note", "instructions"),
    "developer": ("note", "instructions"),
    "tool": ("tool", "tool"),
    "function": ("tool", "tool"),
}
_FORMAT = {"openai": "an OpenAI chat record", "tau": "a tau-bench trajectory"}


def imported_words(
    version: int, event: ConversationImported | MessageImported, quoted: Quoted
) -> tuple[str, str, list[str]]:
    """How the event is grouped, its line, and what stands below it."""
    if isinstance(event, ConversationImported):
        return (
            "start",
            (
                f"imported from {_FORMAT[event.format]}: {counted(event.messages, 'message')}, led elsewhere; nothing "
                "here was decided by a flow"
            ),
            [f"the record says besides {_said(version, event.about, quoted)}"] if event.about else [],
        )
    kind, who = _WHO[event.role]
    if event.answers is not None:
        tool = event.answers.tool or "a tool"
        what = "failed" if event.failed else "gave"
        kind, line = ("bad" if event.failed else "tool"), f"{tool} {what} {_said(version, event.text, quoted)}"
    else:
        line = f"{who}: {', '.join(_parts(version, event, quoted)) or 'nothing'}"
        kind = "agent" if event.calls and event.text is None else kind
    return kind, line, [f"marked {name}" for name in _marks(event)]


def _parts(version: int, event: MessageImported, quoted: Quoted) -> Iterator[str]:
    if event.text is not None:
        yield _said(version, event.text, quoted)
    if event.refusal is not None:
        yield f"refuses {_said(version, event.refusal, quoted)}"
    if event.parts:
        yield f"with {', '.join(event.parts)} (not kept)"
    for call in event.calls:
        name = call.tool or (_said(version, call.name, quoted) if call.name else "a tool")
        yield f"calls {name} {_said(version, call.arguments, quoted)}"


def _said(version: int, ref: PayloadRef | None, quoted: Quoted) -> str:
    return quoted(PayloadAt(version=version, name=ref.name), ref.length) if ref is not None else "nothing"


def _marks(event: MessageImported) -> Iterator[str]:
    yield from event.marks
    for call in event.calls:
        yield from call.marks
