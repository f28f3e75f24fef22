"""What each error of the OpenAI client means here: a kind, a stable reason, and what to do.

Errors are told apart by their attributes and class names, so that this table needs no import of the client.
Nothing that a provider, a person or a model wrote is copied: providers echo keys and prompts in errors.
"""

import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from ..contracts.errors import AgentFailed
from ..contracts.values import printable

MAX_RETRY_AFTER_SECONDS = 86_400
"""A server that asks for more is asked again in a day."""

_STATUS = {
    401: ("authentication", "Check OPENAI_API_KEY and that it belongs to this server."),
    403: ("authentication", "Check that the key's project may use this model."),
    404: ("bad_request", "Check the model's name and that the base URL ends where `/chat/completions` begins."),
    413: ("bad_request", "Shorten the history that the agent is given."),
    429: ("rate_limited", "Wait as long as the server asks, or raise the account's limits."),
}
_PARAMETERS = {
    "temperature": "The model takes no temperature: make the agent with `send_temperature=False`.",
    "max_tokens": "Make the agent with `output_limit='max_completion_tokens'`.",
    "max_completion_tokens": "Make the agent with `output_limit='max_tokens'`.",
    "response_format": "The server knows no such format: make the agent with `structured='json_object'` or `'prompt'`.",
    "model": "Check the model's name.",
    "tools": "The model takes no tools, or not these schemas.",
}
_CODES = {
    "context_length_exceeded": ("failed", "context_too_long", "Shorten the history that the agent is given."),
    "insufficient_quota": ("failed", "quota_exhausted", "Add credit to the account; waiting does not help."),
    "content_filter": ("refused", "content_filter", ""),
    "content_policy_violation": ("refused", "content_filter", ""),
}


def failure(error: Exception, *, where: str, timed_out: bool, timeout_seconds: int) -> AgentFailed:
    """`error` of one attempt as the outcome it is recorded as. `timed_out`: our own bound ended it."""
    names = {kind.__name__ for kind in type(error).__mro__}
    request_id = printable(getattr(error, "request_id", None) or "")
    if timed_out or names & {"APITimeoutError", "TimeoutException"}:
        return AgentFailed(
            f"No answer within {timeout_seconds} s.",
            kind="timeout",
            reason="timeout",
            where=where,
            request_id=request_id,
            fix="Raise the state's timeout, or choose a faster model.",
        )
    if "APIStatusError" in names:
        return _status_failure(error, where, request_id)
    if names & {"APIConnectionError", "TransportError", "OSError"}:
        return AgentFailed(
            "The connection to the model's server failed or broke.",
            reason="connection",
            where=where,
            fix="Check the base URL and the network; nothing else is wrong with the request.",
        )
    if names & {
        "JSONDecodeError",
        "APIResponseValidationError",
        "UnicodeDecodeError",
        "RecursionError",
        "RequestError",
        "StreamError",
    }:
        return AgentFailed(
            "The model's server answered with something other than a completion.",
            reason="malformed_response",
            where=where,
            request_id=request_id,
        )
    if "APIError" in names:
        return AgentFailed(
            "The model's server reported an error inside its answer.", reason="server_error", where=where
        )
    return AgentFailed(
        f"The attempt stopped with {printable(type(error).__name__, 60)}.",
        reason="unexpected",
        where=where,
        fix="This is a fault of the adapter or of `on_token`: see the chained cause.",
    )


def _status_failure(error: Exception, where: str, request_id: str) -> AgentFailed:
    status = int(getattr(error, "status_code", 0))
    headers = getattr(getattr(error, "response", None), "headers", {})
    kind, reason, fix = _meaning(status, str(getattr(error, "code", "")), str(getattr(error, "param", "")))
    return AgentFailed(
        f"The model's server answered with HTTP status {status}.",
        kind=kind,
        reason=reason,
        where=where,
        fix=fix,
        request_id=request_id,
        retry_after_seconds=retry_after(headers) if status == 429 or status >= 500 else None,
    )


def _meaning(status: int, code: str, parameter: str) -> tuple[str, str, str]:
    """Kind, reason and fix. The provider's `code` and `param` choose among our words and are never shown."""
    if 400 <= status < 500 and code in _CODES:
        return _CODES[code]
    if status in _STATUS:
        return ("failed", *_STATUS[status])
    if status >= 500 or status in (408, 409, 425):
        return "failed", "server_error", "Ask again later, or let the flow take its `failed` row."
    if 300 <= status < 400:
        return "failed", "bad_request", "The server redirects: give the base URL that it redirects to."
    return "failed", "bad_request", _PARAMETERS.get(parameter, "")


def retry_after(headers: Mapping[str, str], now: float | None = None) -> int | None:
    """Whole seconds that the server asks to wait, rounded up, or None: `retry-after-ms`, then `Retry-After` as
    seconds or as an HTTP date. A date counts from the response's own `Date`, so our clock may be wrong."""
    milliseconds = _seconds(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return _whole(milliseconds / 1000)
    given = headers.get("retry-after")
    seconds = _seconds(given)
    if seconds is not None:
        return _whole(seconds)
    due = _moment(given)
    if due is None:
        return None
    sent = _moment(headers.get("date"))
    return _whole(due - (sent if sent is not None else time.time() if now is None else now))


def _seconds(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _moment(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _whole(seconds: float) -> int:
    return min(max(math.ceil(seconds), 0), MAX_RETRY_AFTER_SECONDS)
