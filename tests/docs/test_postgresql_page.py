"""The page about PostgreSQL: its roles are the migration's, and its commands are commands."""

import re
from importlib import import_module

from interlock.cli.main import app
from support.source_tree import ROOT

PAGE = (ROOT / "docs" / "postgresql.md").read_text("utf-8")
ROLES = import_module("interlock.persistence.migrations.versions.0005_postgres").ROLES


def test_every_role_is_on_the_page() -> None:
    assert tuple(re.findall(r"^\| `(interlock_[a-z]+)` \|", PAGE, re.MULTILINE)) == ROLES


def test_its_commands_are_commands() -> None:
    """What they do on such a log is tested with the command line."""
    known = {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
    assert set(re.findall(r"\$ interlock ([a-z]+) ", PAGE)) <= known
    assert "--db log.url" in PAGE
