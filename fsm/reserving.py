"""What one call of an agent may take at most: what is reserved before it, and counted on in a bill."""

from ..contracts.flow import AgentSpec
from ..contracts.values import MAX_SAFE_INTEGER


def reserve(spec: AgentSpec) -> tuple[int, int]:
    """Tokens and cost that one call may take at most."""
    tokens = spec.max_input_tokens + spec.max_output_tokens
    cost = spec.price.of(spec.max_input_tokens, spec.max_output_tokens)
    return min(tokens, MAX_SAFE_INTEGER), min(cost, MAX_SAFE_INTEGER)
