"""The structural checks: what must hold of a flow before any conversation starts."""
