# What type checkers see; tests/architecture compares it with the table in `__init__.py`.
__version__: str
__all__: list[str]
_EXPORTS: dict[str, str]
