"""Fixtures of the agents' tests."""

from support.openai_server import openai_server

__all__ = ["openai_server"]
