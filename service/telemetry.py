"""What the command line says of itself while it runs: warnings and records to stderr, as lines or as JSON.

Log records name events by ids, codes and counts. What people or models wrote never goes into one: the
processor at the end of the chain lets only known fields through. The one exception is a preview, which
somebody switched on, and which passes only as the type that redaction makes.
"""

import logging
import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from .observing import Listener, Observer
from .records import FIELDS, PREVIEWS, Record
from .redaction import Preview

ALLOWED = frozenset(
    {
        "after",
        "agent",
        "before",
        "code",
        "conversation",
        "count",
        "digest",
        "effect",
        "error",
        "event",
        "flow",
        "kind",
        "level",
        "logger",
        "path",
        "seconds",
        "state",
        "status",
        "subject",
        "timer",
        "timestamp",
        "tool",
        "version",
        "why",
    }
)
"""Fields that hold no personal text, beside those of records. Any other one is left out."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


def configured(environment: Mapping[str, str] | None = None) -> None:
    """Set structlog up for a command: `INTERLOCK_LOG=json` for JSON lines, `INTERLOCK_LOG_LEVEL` for more or less."""
    env = os.environ if environment is None else environment
    level = _level(env)
    renderer: Any = structlog.processors.JSONRenderer() if env.get("INTERLOCK_LOG") == "json" else _line
    logging.getLogger("psycopg").setLevel(logging.ERROR)  # what a statement met is raised, and said once
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            without_personal_text,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=_to_stderr,
        cache_logger_on_first_use=False,
    )


def without_personal_text(_: Any, __: str, record: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """What is not on the list is left out; so is a preview that did not come from redaction."""
    return {
        name: value
        for name, value in record.items()
        if name in ALLOWED or name in FIELDS or (name in PREVIEWS and isinstance(value, Preview))
    }


class RecordLog(Listener):
    """Writes each record as one line through structlog, at level info, named by its kind."""

    def __init__(self, *, previews: bool = False) -> None:
        self.previews = previews
        self._log = structlog.get_logger("interlock.records")

    def heard(self, record: Record) -> None:
        self._log.info(record.kind, **record.fields())


def observer_told_by(environment: Mapping[str, str] | None = None) -> Observer | None:
    """The observer that the environment asks for, or None: a runtime that nobody listens to pays nothing.

    `INTERLOCK_LOG_LEVEL=info` (or `debug`) gives records; `INTERLOCK_OTEL=on` gives OpenTelemetry's spans and
    metrics; `INTERLOCK_PREVIEWS=on` puts redacted previews into the records, and OpenTelemetry's own
    `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=true` into the spans.
    """
    env = os.environ if environment is None else environment
    listeners: list[Listener] = []
    if _level(env) <= _LEVELS["info"]:
        listeners.append(RecordLog(previews=_on(env, "INTERLOCK_PREVIEWS")))
    if _on(env, "INTERLOCK_OTEL"):
        from .otel import OpenTelemetry

        listeners.append(OpenTelemetry(previews=_on(env, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT")))
    return Observer(*listeners) if listeners else None


def _level(env: Mapping[str, str]) -> int:
    return _LEVELS.get(env.get("INTERLOCK_LOG_LEVEL", "warning").lower(), _LEVELS["warning"])


def _on(env: Mapping[str, str], name: str) -> bool:
    return env.get(name, "").lower() in ("1", "on", "true", "yes")


def _to_stderr(*_: Any) -> Any:
    """Asked for at every record, so that a replaced stderr is honoured."""
    return structlog.PrintLogger(sys.stderr)


def _line(_: Any, __: str, record: MutableMapping[str, Any]) -> str:
    rest = " ".join(
        f"{name}={value}" for name, value in sorted(record.items()) if name not in ("event", "level", "timestamp")
    )
    return f"interlock: {record.get('level', '')}: {record.get('event', '')} {rest}".rstrip()
