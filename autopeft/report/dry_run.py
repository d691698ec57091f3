"""SearchPlan -> what a dry run says."""

from collections.abc import Sequence

from autopeft.objectives import get_objective
from autopeft.study.planned import SearchPlan
from autopeft.tasks.task import asked


def dry_run_lines(plan: SearchPlan) -> list[str]:
    """Say in lines what a search would do."""
    task = plan.task
    head = f"; the head's {plan.head_parameters:,} are counted apart" if plan.head_parameters else ""
    seeds = f"up to {plan.seeds} seeds" if plan.seeds > 1 else "one seed"
    steps = ", ".join(str(r.steps) for r in plan.rungs)
    ending = f", {plan.ending}" if plan.ending else ""
    return [
        f"Data: {task['name']}, {asked(task)}, {task['train']:,} / {task['validation']:,} / {task['test']:,} rows.",
        *(f"Data: {line}" for line in two_lines(task["notes"])),
        f"Backbone: {plan.backbone_parameters:,} parameters{head}.",
        f"Objectives: {', '.join(plan.objectives)}.",
        *(f"Limit: at most {get_objective(n).words(most)} ({n})." for n, most in plan.limits.items()),
        *([] if plan.limits else ["Limit: none."]),
        f"Space: {plan.configurations:,} configurations of {', '.join(plan.methods)}.",
        *(f"Left out: {method} ({why})." for method, why in plan.refused.items()),
        *(f"Left out: {method} (its smallest configuration is over a limit)." for method in plan.over_limit),
        *([plan.time] if plan.time else []),
        f"Would run {plan.trials} trials, compared at steps {steps}, then up to {plan.finalists} finalists and these "
        f"baselines for {plan.length}, with {seeds} each{ending}:",
        *(f"  {b.name}: {b.configuration}, {counted(b.counted, b.trainable)}" for b in plan.baselines),
        f"Into {plan.folder}. Nothing was trained.",
    ]


def two_lines(notes: Sequence[str]) -> list[str]:
    """What was read, and what was done to it and is odd about it."""
    return [line for line in (" ".join(notes[:1]), " ".join(notes[1:])) if line]


def counted(values: dict[str, float], trainable: int) -> str:
    """What is known of a baseline before it is trained."""
    known = ", ".join(get_objective(n).words(v) for n, v in values.items())
    return known or f"{trainable:,} parameters"
