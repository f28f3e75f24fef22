"""Each library is imported in one place, so that replacing it, or its next surprise, touches one place."""

from collections.abc import Iterable

import pytest

from support.source_tree import Module, modules

# Library -> the files and folders (with a slash) that may import it.
HOMES: dict[str, tuple[str, ...]] = {
    "transitions": ("fsm/machine.py",),
    "openai": ("agents/openai_model.py",),
    "msgspec": ("contracts/canonical.py",),
    "orjson": ("contracts/canonical.py",),
    "sqlmodel": ("persistence/",),
    "sqlalchemy": ("persistence/",),
    "alembic": ("persistence/",),
    "psycopg": ("persistence/",),
    "cryptography": ("persistence/evidence/", "persistence/keyfile.py", "persistence/vault.py"),
    "rfc3161_client": ("persistence/evidence/",),
    "pyrate_limiter": ("service/pacing.py",),
    "structlog": ("agents/", "persistence/", "service/", "cli/"),
    "opentelemetry": ("service/otel.py",),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "hypothesis": ("testing/",),
    "pytest": ("testing/",),
}


def strays(sources: Iterable[Module]) -> list[str]:
    return [
        f"{module.path}:{imported.line} imports {imported.name}"
        for module in sources
        for imported in module.imports()
        if imported.library in HOMES and not at_home(module.path, HOMES[imported.library])
    ]


def at_home(path: str, homes: tuple[str, ...]) -> bool:
    return any(path == home or (home.endswith("/") and path.startswith(home)) for home in homes)


def test_each_library_is_imported_only_at_its_home():
    """`transitions` in fsm/machine.py, `openai` in agents/openai_model.py, tables in persistence, and so on."""
    assert strays(modules()) == []


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_stray_import_is_found(library: str):
    """The control: imported at the root, at the top or inside a function, any of them is reported."""
    top = Module("stray.py", f"import {library}")
    inside = Module("stray.py", f"def f():\n    from {library}.part import name")
    assert strays([top, inside]) == [f"stray.py:1 imports {library}", f"stray.py:2 imports {library}.part.name"]


def test_an_import_at_home_is_not_reported():
    """The other half of the control."""
    assert strays([Module("fsm/machine.py", "import transitions"), Module("persistence/a.py", "import sqlmodel")]) == []
