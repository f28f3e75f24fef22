"""Every question that is asked of what a flow can do: a stable code, its sentence, and why it matters."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Question:
    """What should hold of everything that a flow can do."""

    code: str
    says: str
    why: str


QUESTIONS = (
    Question("P301", "Every state is reached.", "A state that no conversation comes to is a promise that is not kept."),
    Question(
        "P302", "Every row can be taken.", "A row that rows above it always forestall is a rule that never works."
    ),
    Question(
        "P303", "There is always a next step.", "A conversation that nothing moves any more strands its customer."
    ),
    Question("P304", "A final state is reachable from everywhere.", "A conversation that cannot end is never done."),
    Question(
        "P305", "No loop runs without an input, a person or a limit.", "Such a loop calls models until somebody pays."
    ),
    Question("P306", "Every limit can be reached and is worth its name.", "Others give a safety that is not there."),
    Question(
        "P307", "A person is reachable from every automated decision.", "What a machine decides, somebody can review."
    ),
    Question("P308", "A person is near.", "A way to a person that takes too many steps is none."),
    Question(
        "P309",
        "Nothing untrusted reaches a tool that changes something.",
        "What a person or a model wrote must be confirmed or approved before money moves.",
    ),
    Question(
        "P311",
        "Every policy is kept by the rows.",
        "What a policy forbids should have no way to happen; refusing it while the flow runs is the last resort.",
    ),
    Question(
        "P312",
        "What policies speak of can happen.",
        "A rule about what never happens is kept by nothing, and nobody notices.",
    ),
    Question(
        "P321",
        "What is needed is given on every path to it.",
        "A tool that is called without what it takes fails, and whoever reads a fact that is missing decides blindly.",
    ),
    Question(
        "P322",
        "What is given fits what takes it.",
        "A value of another type is refused or left out, and then the row that waits for it is never taken.",
    ),
    Question(
        "P323",
        "What needs several approvals has them on every path.",
        "One person alone can be deceived, or deceive.",
    ),
    Question(
        "P324",
        "Whatever is waited for ends in time, and its failure leads on.",
        "Agents, tools and people fail to answer, often at once; a conversation must not hang on that.",
    ),
    Question(
        "P325",
        "What an agent is given fits its window, or what is done where it does not is declared.",
        "An agent that was cut off from what was said decides on half of it.",
    ),
)
QUESTION = {one.code: one for one in QUESTIONS}
