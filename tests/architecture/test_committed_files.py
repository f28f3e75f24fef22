"""What is committed names no machine and no registry, and pins every dependency by hash."""

import re

import pytest

from support.source_tree import ROOT, pyproject, tracked_files

# Written in pieces, so that this file does not find itself.
PLACES = [
    "/" + "home/[a-z]",
    "/" + "root/",
    "/" + "Users/[A-Za-z]",
    "/" + "work/",
    "/" + r"opt/(?:pypi|wheels)",
    "/" + r"tmp/venv",
    r"[A-Z]:\\" + "Users",
    "pypi" + r"\.org",
    "python" + r"hosted\.org",
    "/" + r"simple(?:/|\b)" + r"(?=\s|$)",
    r"(?:artifactory|jfrog|nexus|devpi)\." + r"\w",
    "--(?:extra-)?" + "index-url",
]
PLACE = re.compile("|".join(PLACES))


def places_in(text: str) -> list[str]:
    return [match.group() for match in PLACE.finditer(text)]


def pinned() -> dict[str, str]:
    """Name -> version, from the lines of constraints.txt that are not hashes."""
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    found = re.findall(r"^([A-Za-z0-9._-]+)==(\S+)", "\n".join(lines), re.MULTILINE)
    return {normal(name): version for name, version in found}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def declared() -> set[str]:
    """Every direct dependency, of the package and of its extras."""
    project = pyproject()["project"]
    wanted = [*project["dependencies"], *(w for extra in project["optional-dependencies"].values() for w in extra)]
    names = {normal(re.split(r"[\s\[<>=!~;]", requirement)[0]) for requirement in wanted}
    return names - {"interlock"}


def test_no_committed_file_names_a_machine_or_a_registry():
    """A clone works anywhere; nothing in it points at where it was written."""
    found = {}
    for name in tracked_files():
        try:
            text = (ROOT / name).read_text("utf-8")
        except UnicodeDecodeError:
            continue  # not a text file
        if places := places_in(text):
            found[name] = sorted(set(places))
    assert not found


@pytest.mark.parametrize(
    "text", ["/" + "home/ann/interlock", "see https://pypi" + ".org/simple", "C:\\" + "Users\\ann", "/" + "work/x"]
)
def test_a_place_is_found(text: str):
    """The control: paths of a machine and hosts of a registry are seen."""
    assert places_in(text)


@pytest.mark.parametrize("text", ["../shared/data", "/health", "https://www.apache.org/licenses/", "fsm/machine.py"])
def test_an_ordinary_path_is_not_reported(text: str):
    """The other half of the control."""
    assert places_in(text) == []


def test_no_lock_file_is_committed():
    """`uv.lock` names registry hosts; constraints.txt pins the same without them."""
    assert [name for name in tracked_files() if name.endswith(("uv.lock", "poetry.lock"))] == []


def test_the_constraints_name_no_address():
    """Versions and hashes only."""
    text = (ROOT / "constraints.txt").read_text("utf-8")
    assert "://" not in text
    assert "@" not in text


def test_every_direct_dependency_is_pinned():
    """Also those of the extras; after changing pyproject.toml, make the file again (CONTRIBUTING.md)."""
    assert declared() - set(pinned()) == set()


def test_every_pin_has_a_hash():
    """`pip install --require-hashes` accepts the file."""
    entries = re.split(r"\n(?=\S)", (ROOT / "constraints.txt").read_text("utf-8").strip())
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []
