"""For users' own tests: scenarios, strategies, a machine for every flow, and a pytest plugin.

Names load when they are used, so that the plugin costs a test run nothing where nobody asks for it.
"""

from importlib import import_module
from typing import Any

# Public name -> the module of this package that it comes from.
_EXPORTS: dict[str, str] = {
    "Scenario": "scenario",
    "guard_says": "answers",
    "phrase_means": "answers",
    "Talk": "talk",
    "Outside": "outside",
    "shown": "shown",
    "machine_for": "machine",
    "FlowMachine": "machine",
    "suite_of": "paths",
    "Coverage": "coverage",
    "not_as_said": "sentences",
    "Asked": "checking",
    "Budget": "checking",
    "Found": "checking",
    "first_fault": "checking",
    "Baseline": "baseline",
    "recorded_by": "baseline",
}

__all__ = [*_EXPORTS]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_EXPORTS[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
