"""Files that a command line names: what is in them, or why it cannot be had."""

from pathlib import Path

from ..contracts.errors import CallError


def text_of(path: Path) -> str:
    """The text of a file that was named. Raises `CallError` where there is none, or it is no text."""
    try:
        return path.read_text("utf-8")
    except OSError as error:
        said = "There is no such file" if isinstance(error, FileNotFoundError) else _said(error)
        raise CallError(f"{said}.", where=str(path), fix="Give the path of a file that can be read.") from error
    except UnicodeDecodeError as error:
        raise CallError("The file is no text.", where=str(path), fix="Give a text file, in UTF-8.") from error


def text_or_file(given: str) -> str:
    """What was given, or the text of the file that it names. Raises `CallError` as `text_of`."""
    path = Path(given)
    try:
        named = len(given) < 1000 and path.exists()
    except (OSError, ValueError):  # too long for a name, or with a null
        named = False
    return text_of(path) if named else given


def _said(error: OSError) -> str:
    return f"The file cannot be read: {error.strerror or error}"
