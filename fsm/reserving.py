"""What one call of an agent may take at most: what is reserved before it, and counted on in a bill."""

from ..contracts.flow import AgentSpec
from ..contracts.limits import Usage
from ..contracts.values import MAX_SAFE_INTEGER


def reserve(spec: AgentSpec) -> tuple[int, int]:
    """Tokens and cost that one call may take at most."""
    usage = Usage(input_tokens=spec.max_input_tokens, output_tokens=spec.max_output_tokens)
    return min(usage.tokens, MAX_SAFE_INTEGER), min(spec.price.cost(usage), MAX_SAFE_INTEGER)
