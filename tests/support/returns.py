"""The flow `returns` of the golden files: every kind of state, with the code it names."""

from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel

from interlock.contracts.canonical import sha256_hex
from interlock.contracts.tools import Tool, ToolSpec
from interlock.fsm.code import Code
from interlock.fsm.load import LoadedFlow, read_flow
from support.flows import CODE

GOLDEN = Path(__file__).parents[1] / "golden" / "flows"
ARTEFACT = b"{}"
YAML = (GOLDEN / "returns.yaml").read_text("utf-8")


class Trained:
    """A classifier that knows the router's labels and scores nothing."""

    digest = sha256_hex(ARTEFACT)
    labels: tuple[str, ...] = ("return_it", "question")

    def score(self, text: str) -> tuple[tuple[tuple[str, float], ...], float]:
        return ((("question", 0.5), ("return_it", 0.5)), 0.0)


class Amount(BaseModel):
    amount: int


def silent(**arguments: object) -> None:
    return None


TOOLS = {
    "look_up": Tool(ToolSpec(name="look_up", arguments=sha256_hex(b"1")), Amount, silent, False),
    "burn": Tool(
        ToolSpec(name="burn", consequential=True, keyed=False, arguments=sha256_hex(b"2")), Amount, silent, False
    ),
}
RETURNS_CODE: Code = replace(CODE, tools=TOOLS, classifiers={Trained.digest: Trained()})


def artefact(path: str) -> bytes:
    """The folder of the flow: it holds `router.json` and nothing else."""
    if path != "router.json":
        raise FileNotFoundError(2, "No such file", path)
    return ARTEFACT


def returns(text: str | bytes = YAML, code: Code = RETURNS_CODE) -> LoadedFlow:
    return read_flow(text, code, file="returns.yaml", folder_reader=artefact)
