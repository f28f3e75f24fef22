"""The database's schema, one revision a file. Applied when a store is opened; never edited once released."""

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009")
"""Every revision this release knows, oldest first. A test holds it to the files in `versions`."""
HEAD = REVISIONS[-1]
