"""`import interlock` is cheap, and every public name is there when asked for."""

import ast
import json
import subprocess
import sys
from collections.abc import Mapping

import pytest

import interlock
from support.source_tree import ROOT, modules

STUB_HEAD = """\
# What type checkers see; tests/architecture compares it with the table in `__init__.py`.
__version__: str
__all__: list[str]
_EXPORTS: dict[str, str]
"""
HEAVY = ("alembic", "openai", "rich", "sklearn", "sqlalchemy", "sqlmodel", "typer")


def loaded_after(statement: str) -> set[str]:
    """The libraries that a new interpreter has loaded once it ran `statement`."""
    code = f"{statement}\nimport json, sys; print(json.dumps([n for n in sys.modules if '.' not in n]))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return set(json.loads(ran.stdout))


def stub_for(exports: Mapping[str, str]) -> str:
    """`__init__.pyi`: the table of exports as a type checker reads it."""
    lines = [f"from .{exports[name]} import {name} as {name}" for name in exports]
    return "\n".join([STUB_HEAD, *lines]) + "\n"


def names_in(stub: str) -> dict[str, str]:
    """Public name -> submodule, read back from a stub."""
    froms = [node for node in ast.parse(stub).body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in froms for alias in node.names if alias.asname == alias.name}


def test_importing_the_package_loads_no_heavy_library():
    """The model client, the database, the classifier and the command line load when they are used."""
    assert loaded_after("import interlock").isdisjoint({*HEAVY, "pydantic", "transitions", "yaml"})


def test_importing_the_core_loads_no_heavy_library():
    """contracts and fsm can be used where no database and no model is wanted."""
    core = sorted(
        ".".join((m.package, *([] if m.path.endswith("__init__.py") else [m.path.split("/")[-1][:-3]])))
        for m in modules()
        if m.folder in {"contracts", "fsm"}
    )
    assert loaded_after("\n".join(f"import {name}" for name in core)).isdisjoint(HEAVY)


def test_a_heavy_import_would_be_seen():
    """The control: the question does see a library that is loaded."""
    assert "sqlmodel" in loaded_after("import interlock, sqlmodel")


def test_every_public_name_is_there():
    """Each name in the table exists in the submodule that the table gives, and is listed."""
    assert [name for name in interlock._EXPORTS if not hasattr(interlock, name)] == []
    assert set(interlock._EXPORTS) <= set(dir(interlock))
    assert set(interlock.__all__) == {"__version__", *interlock._EXPORTS}


def test_an_unknown_name_is_an_attribute_error():
    """As in any module: `hasattr` and `from interlock import nonsense` behave."""
    with pytest.raises(AttributeError, match=r"module 'interlock' has no attribute 'nonsense'"):
        getattr(interlock, "nonsense")  # noqa: B009


def test_type_checkers_see_the_same_names():
    """`__init__.pyi` and `_EXPORTS` list the same names from the same submodules."""
    stub = (ROOT / "__init__.pyi").read_text("utf-8")
    assert names_in(stub) == interlock._EXPORTS, f"__init__.pyi should read:\n\n{stub_for(interlock._EXPORTS)}"


def test_a_name_missing_from_the_stub_would_be_seen():
    """The control: the stub is read back name by name."""
    exports = {"Flow": "contracts.flow", "decide": "fsm.decide"}
    assert names_in(stub_for(exports)) == exports
    assert names_in(stub_for({"Flow": "contracts.flow"})) != exports
