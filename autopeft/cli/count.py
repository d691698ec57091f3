"""The command `count`: what a configuration costs, before anything is trained."""

import json
from typing import Any

import click

from autopeft.base.errors import AutopeftError
from autopeft.cli.main import commands
from autopeft.cli.options import as_json
from autopeft.report.rows import print_rows


@commands.command()
@click.option(
    "--model", default="minilm-l6", show_default=True, help="A folder with a config.json, a built-in or a hub name."
)
@click.option("--method", required=True, help="A method, or several joined by +.")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="A setting; also layers=0,2-4 and frozen_layers=3."
)
@click.option("--task", default="classification", show_default=True, help="Kind of task, which decides the head.")
@click.option("--batch-size", default=32, show_default=True, type=click.IntRange(min=1), help="Rows of a step.")
@click.option("--max-length", default=128, show_default=True, type=click.IntRange(min=1), help="Tokens of a row.")
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="Of the frozen backbone.",
)
@click.option("--gradient-checkpointing", is_flag=True, help="Compute blocks again in the backward pass.")
@click.option("--verbose", is_flag=True, help="Per module.")
@as_json
def count(
    model: str,
    method: str,
    settings: tuple[str, ...],
    task: str,
    batch_size: int,
    max_length: int,
    precision: str,
    gradient_checkpointing: bool,
    verbose: bool,
    json_: bool,
) -> None:
    r"""Count a configuration's parameters, bytes, memory and operations without training or building it.

    \b
    Examples:
      autopeft count --model ./my-bert --method dcft --set kernel_size=8 --set target_modules=all-linear
      autopeft count --model ./llama-8b --task instruction --method lora --set target_modules=all-linear \
          --batch-size 2 --max-length 2048 --precision bf16 --gradient-checkpointing     does it fit my card?
    """
    import autopeft
    from autopeft.costs.step import Step

    step = Step(
        batch_size,
        max_length,
        weight_bytes=2 if precision == "bf16" else 4,
        gradient_checkpointing=gradient_checkpointing,
    )
    counted = autopeft.count(model, method, read_settings(settings), task=task, step=step)
    if json_:
        printed = counted.to_json()
        return click.echo(
            json.dumps(printed if verbose else {k: v for k, v in printed.items() if k != "modules"}, indent=1)
        )
    if verbose and counted.modules:
        print_rows([{"module": p, "trainable": n} for p, n in counted.modules.items()], f"{method} on {model}")
    click.echo(
        f"{counted.trainable:,} trainable parameters, {counted.percent:.4f} % of {counted.total:,}; "
        f"the task head has {counted.head:,} more."
    )
    print_rows(objective_rows(counted), f"before training, {batch_size} x {max_length} tokens in {precision}")


def objective_rows(counted: Any) -> list[dict[str, str]]:
    """A row per objective that is known before training, beside uniform LoRA's."""
    from autopeft.objectives import get_objective

    return [
        {
            "objective": name,
            "value": get_objective(name).text(value),
            "uniform LoRA r=8": get_objective(name).text(counted.uniform_lora[name]),
            "what": get_objective(name).title,
        }
        for name, value in counted.objectives.items()
    ]


def read_settings(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read ("rank=8",) as {"rank": "8"}. Raises AutopeftError."""
    given = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise AutopeftError(f"--set takes NAME=VALUE, such as rank=8, not '{pair}'.")
        if name.strip() in given:
            raise AutopeftError(f"--set gives {name.strip()} twice: give it once.")
        given[name.strip()] = value.strip()
    return given
