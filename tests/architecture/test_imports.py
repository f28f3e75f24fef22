"""How modules are named, how they import each other, and what the pure core may not touch."""

import ast
from collections.abc import Iterable

import pytest

from support.source_tree import ROOT, Module, modules

BANNED_NAMES = {"base", "common", "handler", "handlers", "helper", "helpers", "manager", "managers", "util", "utils"}

CORE = {"contracts", "fsm"}
IMPURE_MODULES = {
    *("asyncio", "logging", "multiprocessing", "os", "random", "secrets", "selectors", "shutil", "signal", "socket"),
    *("ssl", "subprocess", "tempfile", "time", "urllib", "uuid"),
    *("httpx", "httpx2", "openai", "requests", "sqlalchemy", "sqlite3", "sqlmodel", "structlog", "uuid_utils"),
}
IMPURE_CALLS = {
    *("open", "print", "input", "eval", "exec"),
    *("now", "utcnow", "today", "read_text", "read_bytes", "write_text", "write_bytes"),
}


def first_party_for_types_only(sources: Iterable[Module]) -> list[str]:
    return [
        f"{module.path}:{imported.line}"
        for module in sources
        for imported in module.imports()
        if imported.for_types_only and imported.library == "interlock"
    ]


def absolute_first_party(sources: Iterable[Module]) -> list[str]:
    return [
        f"{module.path}:{imported.line}"
        for module in sources
        for imported in module.imports()
        if imported.library == "interlock" and not imported.relative and module.folder != "examples"
    ]


def impurities(sources: Iterable[Module]) -> list[str]:
    found = []
    for module in sources:
        if module.folder not in CORE:
            continue
        found += [f"{module.path}:{i.line} {i.library}" for i in module.imports() if i.library in IMPURE_MODULES]
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func).split(".")[-1]
                if called in IMPURE_CALLS:
                    found.append(f"{module.path}:{node.lineno} {called}()")
    return found


def test_no_module_of_ours_is_imported_for_types_only():
    """A first-party import under TYPE_CHECKING means that the cut between two modules is wrong."""
    assert first_party_for_types_only(modules()) == []


def test_imports_inside_the_package_are_relative():
    """So the package works from any folder; examples import `interlock`, as users do."""
    assert absolute_first_party(modules()) == []


def test_the_root_holds_no_module_but_its_own():
    """The root folder is the package `interlock`; whatever lies there would be in everybody's import."""
    assert {file.name for file in ROOT.glob("*.py")} == {"__init__.py", "__main__.py"}


def test_no_module_has_a_name_that_says_nothing():
    """`utils` and its relatives collect what has no home."""
    stems = {(module.path, part) for module in modules() for part in module.path.removesuffix(".py").split("/")}
    assert [path for path, part in sorted(stems) if part in BANNED_NAMES] == []


def test_the_core_is_pure():
    """contracts and fsm read no clock, make no ids, and do no input or output."""
    assert impurities(modules()) == []


@pytest.mark.parametrize(
    ("check", "path", "text"),
    [
        (first_party_for_types_only, "fsm/a.py", "if TYPE_CHECKING:\n    from ..contracts.flow import Flow"),
        (first_party_for_types_only, "fsm/a.py", "if typing.TYPE_CHECKING:\n    import interlock.contracts"),
        (absolute_first_party, "fsm/a.py", "from interlock.contracts.flow import Flow"),
        (absolute_first_party, "fsm/a.py", "def f():\n    import interlock"),
        (impurities, "fsm/a.py", "import time"),
        (impurities, "contracts/a.py", "from os.path import join"),
        (impurities, "contracts/a.py", "import datetime\nx = datetime.datetime.now(datetime.UTC)"),
        (impurities, "fsm/a.py", "def f(p):\n    return open(p).read()"),
    ],
)
def test_a_violation_is_found(check, path: str, text: str):
    """The control: each check reports a small synthetic violation."""
    assert len(check([Module(path, text)])) == 1


@pytest.mark.parametrize(
    ("check", "path", "text"),
    [
        (first_party_for_types_only, "fsm/a.py", "from ..contracts.flow import Flow"),
        (absolute_first_party, "fsm/a.py", "from . import machine"),
        (absolute_first_party, "examples/bank/a.py", "import interlock"),
        (impurities, "service/a.py", "import time"),
        (impurities, "fsm/a.py", "from datetime import UTC, datetime"),
    ],
)
def test_what_is_allowed_is_not_reported(check, path: str, text: str):
    """The other half of the control."""
    assert check([Module(path, text)]) == []
