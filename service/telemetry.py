"""What the command line says of itself while it runs: warnings to stderr, as lines or as JSON.

Log records name events by ids, codes and counts. What people or models wrote never goes into one: the
processor at the end of the chain lets only known fields through.
"""

import os
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

ALLOWED = frozenset(
    {
        "agent",
        "code",
        "conversation",
        "count",
        "digest",
        "effect",
        "error",
        "event",
        "flow",
        "level",
        "logger",
        "path",
        "seconds",
        "state",
        "status",
        "timer",
        "timestamp",
        "tool",
        "version",
    }
)
"""Fields that hold no personal text. Any other one is left out."""

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}


def configured(environment: Mapping[str, str] | None = None) -> None:
    """Set structlog up for a command: `INTERLOCK_LOG=json` for JSON lines, `INTERLOCK_LOG_LEVEL` for more or less."""
    env = os.environ if environment is None else environment
    level = _LEVELS.get(env.get("INTERLOCK_LOG_LEVEL", "warning").lower(), 30)
    renderer: Any = structlog.processors.JSONRenderer() if env.get("INTERLOCK_LOG") == "json" else _line
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
    """What is not on the list is left out."""
    return {name: value for name, value in record.items() if name in ALLOWED}


def _to_stderr(*_: Any) -> Any:
    """Asked for at every record, so that a replaced stderr is honoured."""
    return structlog.PrintLogger(sys.stderr)


def _line(_: Any, __: str, record: MutableMapping[str, Any]) -> str:
    rest = " ".join(
        f"{name}={value}" for name, value in sorted(record.items()) if name not in ("event", "level", "timestamp")
    )
    return f"interlock: {record.get('level', '')}: {record.get('event', '')} {rest}".rstrip()
