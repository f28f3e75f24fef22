"""Conversations that were led elsewhere: what was said and called, as a file told it, and nothing decided.

```
conversation_imported      where it comes from, and a digest of the record it was read from
message_imported ...       one for each message: role, text, tool calls, and what was marked in it
```

Such a stream is made of these events alone, from its first to its last. None of them records a command, so
none is ever decided again; what a transition, a request or a reply of ours looks like, they cannot say.
"""

from typing import Literal

from .commands import FlowRef
from .payload import PayloadRef
from .values import Count, Digest, Instant, Name, SubjectId, Value

IMPORTED = FlowRef(name="imported", version=0, digest="0" * 64)
"""What stands where other streams name their flow: no flow led this conversation."""

ImportFormat = Literal["openai", "tau"]
ImportedRole = Literal["system", "developer", "user", "assistant", "tool", "function"]


class ConversationImported(Value):
    """The first event. `record` digests the whole record, so the same one is known again; `about` holds what the
    record says besides its messages (its id, its reward). `marks` digests the rules that messages were marked by."""

    type: Literal["conversation_imported"] = "conversation_imported"
    format: ImportFormat
    record: Digest
    subject: SubjectId
    messages: Count
    about: PayloadRef | None = None
    marks: Digest | None = None


class ImportedCall(Value):
    """A tool call in an imported message. `tool` is None where the name is none of ours: `name` holds it then."""

    tool: Name | None = None
    name: PayloadRef | None = None
    arguments: PayloadRef
    marks: tuple[Name, ...] = ()


class AnsweredCall(Value):
    """The call that a tool's message answers: the version of the message that made it, and its position there.

    `by` is who made it: the agent, or the customer with tools of their own.
    """

    version: Count
    position: Count
    tool: Name | None = None
    by: Literal["agent", "customer"] = "agent"


class MessageImported(Value):
    """One message. `parts` are the kinds of content that is no text (an image), which is not kept.

    `answers` stands on a tool's result, and `failed` where the record says that the tool failed. `at` is the time
    that the record gives. `marks` are what the rules found in the text, or in the result.
    """

    type: Literal["message_imported"] = "message_imported"
    role: ImportedRole
    text: PayloadRef | None = None
    refusal: PayloadRef | None = None
    name: PayloadRef | None = None
    """What the record calls the participant."""
    parts: tuple[Name, ...] = ()
    calls: tuple[ImportedCall, ...] = ()
    answers: AnsweredCall | None = None
    failed: bool = False
    at: Instant | None = None
    marks: tuple[Name, ...] = ()


def words_of(event: ConversationImported | MessageImported) -> tuple[str, ...]:
    """What policies observe: `message` of the customer, `mark:NAME`, `tool:NAME` (asked) and `done:NAME`.

    A call's marks stand before its `tool:` word. What the customer's own tools do shows in marks only.
    """
    if isinstance(event, ConversationImported):
        return ()
    words = ["message"] if event.role == "user" and event.text is not None else []
    words += [f"mark:{name}" for name in event.marks]
    for call in event.calls:
        words += [f"mark:{name}" for name in call.marks]
        if event.role == "assistant" and call.tool is not None:
            words.append(f"tool:{call.tool}")
    answers = event.answers
    if answers is not None and answers.tool is not None and answers.by == "agent" and not event.failed:
        words.append(f"done:{answers.tool}")
    return tuple(words)
