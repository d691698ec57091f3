"""The commands `trace`, `space`, `methods` and `procedures`: what a search would work with."""

import json
from typing import TYPE_CHECKING, Any

import click

from autopeft.base.progress import Progress
from autopeft.cli.main import commands
from autopeft.cli.options import as_json, quiet
from autopeft.report.rows import print_rows
from autopeft.study.spec import StudySpec

if TYPE_CHECKING:
    from autopeft.backbone.shapes import BackboneShapes


@commands.command()
@click.option("--model", default="minilm-l6", show_default=True, help=StudySpec.model_fields["model"].description)
@click.option("--data", default="rotten-tomatoes", show_default=True, help=StudySpec.model_fields["data"].description)
@click.option("--text", help=StudySpec.model_fields["text"].description)
@click.option("--text-pair", help=StudySpec.model_fields["text_pair"].description)
@click.option("--label", help=StudySpec.model_fields["label"].description)
@click.option("--task", help=StudySpec.model_fields["task"].description)
@click.option(
    "--importance", "scorer", default="trace", show_default=True, help="trace, gradient, variance, uniform or random."
)
@click.option(
    "--gain",
    type=click.Choice(["raw", "log", "scaling"]),
    default="raw",
    show_default=True,
    help="Which gain makes the cut.",
)
@click.option(
    "--basis",
    help="Semantic bases of the trace: class-means, final-means, head or lm-head (the task's own if not given).",
)
@click.option(
    "--deviation",
    type=click.Choice(["states", "transitions"]),
    default="states",
    show_default=True,
    help="Of the trace: of each state from the basis, or of each step from the one to it (bases head and lm-head).",
)
@click.option("--rows", default=512, show_default=True, type=click.IntRange(min=8), help="Calibration rows.")
@click.option("--max-trained", type=click.IntRange(min=1), help="Train at most this many layers.")
@click.option("--seed", default=0, show_default=True)
@as_json
@quiet
def trace(json_: bool, quiet: bool, **arguments: Any) -> None:
    r"""Score the layers: semantic trace analysis, or another scorer.

    \b
    Example: autopeft trace --model ./my-bert --data reviews.csv --json
    """
    import autopeft
    from autopeft.importance import trace_json, trace_rows

    scores = autopeft.trace(**arguments, progress=Progress(quiet=quiet))
    if json_:
        return click.echo(json.dumps(trace_json(scores), indent=1))
    print_rows(
        trace_rows(scores), f"{scores.scorer}: would freeze the lowest {scores.cut} of {len(scores.scores)} layers"
    )
    if "saving" in scores.details:
        click.echo(f"Predicted saving of a training step: {100 * scores.details['saving']:.0f} %.")
    if scores.warning:
        click.echo(scores.warning)


@commands.group()
def space() -> None:
    """Look into the search spaces."""


@space.command("list")
def space_list() -> None:
    """The spaces that come with autopeft."""
    from autopeft.base.yaml_files import bundled_names
    from autopeft.space.space_file import load_space

    print_rows(
        [{"space": n, "what": load_space(n).description} for n in bundled_names("search_spaces")], "search spaces"
    )


@space.command("show")
@click.argument("name", default="default")
@click.option(
    "--model", default="minilm-l6", show_default=True, help="A folder with a config.json, a built-in or a hub name."
)
@click.option("--task", default="classification", show_default=True, help="Kind of task (`autopeft data tasks`).")
@click.option("--portfolio", is_flag=True, help="What a search begins with instead, with its learning rates.")
@click.option("--budget", help="Of the portfolio: cut to so many trainable parameters (0.5%, 300k).")
@as_json
def space_show(name: str, model: str, task: str, portfolio: bool, budget: str | None, json_: bool) -> None:
    r"""A space's dimensions and its exact number of discrete configurations on a backbone.

    \b
    Examples:
      autopeft space show default --model ./my-bert --json
      autopeft space show --portfolio --budget 0.5%
    """
    from autopeft.backbone.sizes import shapes_of
    from autopeft.space import build_space, load_space
    from autopeft.tasks.kind import get_kind

    shapes = shapes_of(model, kind=get_kind(task))
    if portfolio:
        return show_portfolio(name, shapes, budget, json_)
    built = build_space(name, load_space(name), shapes)
    if json_:
        return click.echo(
            json.dumps(
                {
                    "space": name,
                    "model": model,
                    "configurations": built.configurations,
                    "assignments": built.assignments,
                    "dimensions": built.dimensions(),
                    "refused": built.refused,
                    "refused_procedures": built.refused_procedures(),
                },
                indent=1,
            )
        )
    rows = [
        {
            "parameter": d["name"],
            "of": d["of"],
            "values": f"{d['range'][0]:g} to {d['range'][1]:g}, log scale"
            if "range" in d
            else ", ".join(map(str, d["choices"])),
        }
        for d in built.dimensions()
    ]
    print_rows(rows, f"space '{name}' on {model}")
    for method, why in built.refused.items():
        click.echo(f"Left out: {method} ({why}).")
    for procedure, methods_ in built.refused_procedures().items():
        click.echo(f"Left out: {procedure} with " + "; ".join(f"{m} ({w})" for m, w in methods_.items()) + ".")
    click.echo(
        f"{built.configurations:,} discrete configurations ({built.assignments:,} parameter assignments), learning rate aside."
    )


def show_portfolio(name: str, shapes: "BackboneShapes", budget: str | None, json_: bool) -> None:
    """What a search of a space begins with on a backbone, in its order."""
    from autopeft.configuration import spans
    from autopeft.methods import count
    from autopeft.objectives import Limits
    from autopeft.space import build_space, load_space, parse_budget
    from autopeft.space.portfolio import first_configurations
    from autopeft.space.portfolio import portfolio as learnt
    from autopeft.space.rates import BENCHMARK, rate_rule
    from autopeft.study.candidates import TRIES

    limit = parse_budget(budget, shapes.backbone_parameters)
    space = build_space(name, load_space(name), shapes, Limits.of_budget(shapes, limit))
    rule, found = rate_rule(), first_configurations(space, learnt())
    rows: list[dict[str, Any]] = [
        {
            "trial": place,
            "method": c.method,
            "settings": ", ".join(f"{k}={v}" for k, v in c.settings),
            "layers": spans(c.layers) if c.layers else "none",
            "parameters": count(c, shapes),
            "rates": [float(f"{rate:.2g}") for rate in rule.around(rule.rate(c, shapes, BENCHMARK), TRIES)]
            if c.layers
            else [],
        }
        for place, c in enumerate(found)
    ]
    if json_:
        return click.echo(json.dumps(rows, indent=1))
    shown = [
        {**r, "parameters": f"{r['parameters']:,}", "rates": ", ".join(f"{x:g}" for x in r["rates"])} for r in rows
    ]
    run = f"{BENCHMARK.steps} steps of {BENCHMARK.batch_size} rows"
    print_rows(shown, f"what a search of space '{name}' begins with on {shapes.name}; rates for {run}")


@commands.command()
@click.option("--model", help="Say which of them fit this backbone.")
def methods(model: str | None) -> None:
    """The fine-tuning methods: what they are, their settings, their papers."""
    from autopeft.methods import REGISTRY, refusal

    shapes = None
    if model:
        from autopeft.backbone.sizes import shapes_of

        shapes = shapes_of(model)
    rows = [
        {
            "method": m.name,
            "title": m.title,
            "family": m.family,
            "settings": ", ".join(m.hyperparameters) or "none",
            "learning rate": "{:g} to {:g}".format(*m.learning_rate),
            "paper": m.paper,
            **({"fits": refusal(m.name, shapes) or "yes"} if shapes else {}),
        }
        for m in REGISTRY.values()
    ]
    print_rows(rows, "methods")


@commands.command()
@click.option("--model", help="Say which methods each can train on this backbone.")
@as_json
def procedures(model: str | None, json_: bool) -> None:
    r"""The training procedures: how a method's parameters are trained, their settings, their papers.

    \b
    A search space names those to search under `procedures:`, beside plain training.
    Example: autopeft procedures --model ./my-bert --json
    """
    from autopeft.methods import REGISTRY as METHODS
    from autopeft.methods import refusal
    from autopeft.procedures import REGISTRY

    fitting = []
    if model:
        from autopeft.backbone.sizes import shapes_of

        shapes = shapes_of(model)
        fitting = [m for m in METHODS if not refusal(m, shapes)]
    rows = [
        {
            "procedure": p.name,
            "title": p.title,
            "settings": {name: list(choices) for name, choices in p.hyperparameters.items()},
            "defaults": p.defaults,
            "paper": p.paper,
            **({"trains": [m for m in fitting if not p.refuses((m,), shapes)]} if model else {}),
        }
        for p in REGISTRY.values()
    ]
    if json_:
        return click.echo(json.dumps(rows, indent=1))
    print_rows(
        [
            {k: ", ".join(v) or "none" if isinstance(v, dict | list) else v for k, v in row.items() if k != "defaults"}
            for row in rows
        ],
        "training procedures",
    )
