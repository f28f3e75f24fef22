"""The names of OpenTelemetry's conventions for generative AI, in one place, for they still change.

Status *Development*, as in github.com/open-telemetry/semantic-conventions-genai after they moved out of the
main conventions (where every `gen_ai.*` constant is now marked deprecated, "moved"); so they are written here,
and not imported. What the conventions have no name for stands under `interlock.`.
"""

OPERATION = "gen_ai.operation.name"
INVOKE_WORKFLOW = "invoke_workflow"
INVOKE_AGENT = "invoke_agent"
CHAT = "chat"
EXECUTE_TOOL = "execute_tool"

PROVIDER = "gen_ai.provider.name"
CONVERSATION = "gen_ai.conversation.id"
WORKFLOW = "gen_ai.workflow.name"
AGENT = "gen_ai.agent.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
OUTPUT_TYPE = "gen_ai.output.type"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_ID = "gen_ai.response.id"
FINISH_REASONS = "gen_ai.response.finish_reasons"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"
TOOL = "gen_ai.tool.name"
TOOL_TYPE = "gen_ai.tool.type"
TOOL_CALL_ID = "gen_ai.tool.call.id"
ERROR_TYPE = "error.type"

INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
"""Content: opt-in by the conventions, off unless asked for, and redacted even then."""

OPERATION_DURATION = "gen_ai.client.operation.duration"
TOKEN_USAGE = "gen_ai.client.token.usage"
WORKFLOW_DURATION = "gen_ai.workflow.duration"
INVOKE_AGENT_DURATION = "gen_ai.invoke_agent.duration"
EXECUTE_TOOL_DURATION = "gen_ai.execute_tool.duration"

SECONDS_OF_A_CALL = tuple(0.01 * 2**step for step in range(14))
SECONDS_OF_A_WORKFLOW = (1, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200)
SECONDS_OF_AN_AGENT = tuple(0.1 * 2**step for step in range(13))
TOKENS_OF_A_CALL = tuple(4**step for step in range(14))
"""Bucket boundaries that the conventions advise."""

OWN = "interlock."
"""What stands before the names of our own attributes and span events: `interlock.policy`, `interlock.decision`."""
