"""Router: the classifier's artefact, and a script that plays the cheap model and both specialists."""

from pathlib import Path

from interlock.agents.classifier import LinearTable
from interlock.agents.scripted import ScriptedAgent, gives
from interlock.fsm.code import Code

CONVERSATION = ("My parcel has not come yet, and I was charged twice on my invoice.", "no, thank you")
CLASSIFIER = LinearTable.load(Path(__file__).with_name("router_classifier.json"))
"""Written by `interlock route train router_examples.csv --out router_classifier.json --backend plain`."""

code = Code.of(classifiers=[CLASSIFIER])


def scripted() -> ScriptedAgent:
    return ScriptedAgent(
        {
            "sorter": gives(label="unsure"),
            "courier": "Your parcel is at the depot and comes tomorrow.",
            "cashier": "That has been put right on your next invoice.",
        }
    )
