"""Interlock: prove what a conversation flow can do before it runs, and what it did after.

Names load when they are used, so `import interlock` costs milliseconds.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> the submodule it comes from. `__init__.pyi` says the same to type checkers; a test compares them.
_EXPORTS: dict[str, str] = {}

__all__ = ["__version__", *_EXPORTS]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_EXPORTS[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
