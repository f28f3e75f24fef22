"""`interlock route`: its three commands as they are called. What they do loads when they run."""

from pathlib import Path
from typing import Annotated

import typer

from .failing import Command, Commands
from .options import Json

routing = typer.Typer(
    cls=Commands,
    name="route",
    help="Train a router's classifier, measure it, and see why a message went where it went.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Examples = Annotated[
    Path,
    typer.Argument(
        metavar="EXAMPLES", help="CSV with `text` and `label`, or JSON: \\[\\[text, label], …], also by part."
    ),
]
Router = Annotated[
    str, typer.Argument(metavar="ROUTER", help="A trained router.json, or a flow: `bank`, flow.yaml, its folder.")
]
Named = Annotated[str, typer.Option("--router", metavar="NAME", help="Which router of the flow, if it has several.")]
Part = Annotated[
    list[str] | None,
    typer.Option("--part", metavar="NAME", help="Take this part of a JSON file in parts. May stand several times."),
]
Outside = Annotated[
    Path | None,
    typer.Option("--outside", metavar="FILE", help="More messages that are none of ours, one a line, or as EXAMPLES."),
]
Embed = Annotated[
    Path | None,
    typer.Option("--embed", metavar="FOLDER", help="Score sentence vectors of the model2vec model in this folder."),
]
Misroute = Annotated[
    str, typer.Option("--misroute", metavar="AMOUNT", help="What a wrong route costs: shows what thresholds cost.")
]
Escalation = Annotated[
    str, typer.Option("--escalation", metavar="AMOUNT", help="What a message costs that is passed on instead.")
]
Plot = Annotated[
    Path | None, typer.Option("--plot", metavar="FILE", help="Write coverage against error as .svg or .png.")
]
Threshold = Annotated[
    str, typer.Option("--threshold", metavar="SCORE", help="Try this threshold instead of the flow's, as 0.7.")
]
Scope = Annotated[
    str, typer.Option("--scope", metavar="SCORE", help="Try this scope gate instead of the flow's, as 0.3.")
]
Share = Annotated[
    float | None,
    typer.Option(
        "--outside-share", metavar="SHARE", min=0, max=0.95, show_default="as given; 0.2 in training",
        help="The share of your traffic that is none of yours.",
    ),
]  # fmt: skip
AtMost = Annotated[
    float | None,
    typer.Option(
        "--at-most", metavar="ERROR", min=0.0001, max=0.5, help="Exit with 1 unless this error, as 0.02, is promised."
    ),
]


@routing.command(cls=Command)
def train(
    examples: Examples,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Where to write the artefact.")] = Path(
        "router.json"
    ),
    outside: Outside = None,
    part: Part = None,
    backend: Annotated[
        str, typer.Option("--backend", metavar="NAME", help="`sklearn`, `plain` (no library), or `auto`.")
    ] = "auto",
    embed: Embed = None,
    share: Share = None,
    folds: Annotated[int, typer.Option("--folds", min=2, max=20, help="Parts to measure on in turn.")] = 5,
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same artefact.")] = 1,
    misroute: Misroute = "",
    escalation: Escalation = "",
    at_most: AtMost = None,
    plot: Plot = None,
    json: Json = False,
) -> None:
    r"""Train a classifier from labelled messages, and say what it is worth on messages it has not seen.

    Writes one JSON file: no pickle, nothing that runs. Its digest goes into the flow. Needs no scikit-learn,
    and is two points better with it (`pip install 'interlock\[ml]'`).
    """
    from .route_train import Wishes
    from .route_train import train as run

    wishes = Wishes(examples, out, outside, tuple(part or ()), backend, share, folds, seed, embed)
    _end(run(wishes, misroute, escalation, at_most, plot, json))


@routing.command("eval", cls=Command)
def evaluate(
    router: Router,
    examples: Examples,
    outside: Outside = None,
    part: Part = None,
    named: Named = "",
    embed: Embed = None,
    threshold: Threshold = "",
    scope: Scope = "",
    share: Share = None,
    misroute: Misroute = "",
    escalation: Escalation = "",
    at_most: AtMost = None,
    plot: Plot = None,
    json: Json = False,
) -> None:
    """Measure a router on labelled messages: accuracy, coverage against error, scope, confusion, costs.

    With a flow the whole router decides: screens, rules, gates. With --at-most the error of what is routed must
    be bounded by that at 95 % confidence (Clopper-Pearson), or the exit code is 1.
    """
    from .route_eval import Trial
    from .route_eval import evaluate as run

    trial = Trial(router, named, examples, outside, tuple(part or ()), threshold, scope, share, embed)
    _end(run(trial, misroute, escalation, at_most, plot, json))


@routing.command(cls=Command)
def explain(
    router: Router,
    message: Annotated[str, typer.Argument(metavar="MESSAGE", help="What a customer wrote; `-` reads it from stdin.")],
    named: Named = "",
    held: Annotated[
        str, typer.Option("--held", metavar="LABEL", help="The label that has the conversation, for a sticky router.")
    ] = "",
    threshold: Threshold = "",
    scope: Scope = "",
    embed: Embed = None,
    json: Json = False,
) -> None:
    """Say for one message which stage decided, what each stage said, and which words weighed."""
    from .route_explain import Question
    from .route_explain import explain as run

    run(Question(router, named, message, held, threshold, scope, embed), json)


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)
