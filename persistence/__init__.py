"""Adapters to storage, and what is computed from storage: log, chain, export."""
