"""Why a full training cannot be done as asked."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from autopeft.methods import get_method
from autopeft.procedures import get_procedure
from autopeft.train.options import process_count

if TYPE_CHECKING:
    from autopeft.train.training import FullTraining


def refusal(training: "FullTraining") -> str | None:
    """The first reason not to train, in one sentence; None if there is none."""
    reasons = (contradiction, needs_whole_steps, needs_own_weights, folder_taken)
    return next((why for reason in reasons if (why := reason(training))), None)


def contradiction(training: "FullTraining") -> str | None:
    """Why the options do not go together."""
    options, parts = training.options, training.options.accumulate * process_count()
    if options.steps and options.epochs:
        return "Both --steps and --epochs say how long to train: give one of them."
    if options.patience and not options.eval_every:
        return "--patience counts evaluations: say with --eval-every how often to evaluate."
    if parts > training.batch_size:
        return (
            f"A step of {training.batch_size} rows cannot be taken in {parts} parts: lower --accumulate or raise "
            "--batch-size."
        )
    if options.merge and options.quantize:
        return "--merge needs the backbone's own weights, and --quantize rounds them: leave one of them out."
    if options.quantize and find_spec("bitsandbytes") is None:
        return "--quantize needs the package bitsandbytes, which is not installed: 'pip install bitsandbytes'."
    return None


def needs_whole_steps(training: "FullTraining") -> str | None:
    """Why the steps of this configuration cannot be split, or its blocks computed again."""
    options, procedure = training.options, get_procedure(training.configuration.procedure)
    stated = [(m.name, m.in_parts, m.repeatable) for m in map(get_method, training.configuration.methods)]
    for name, in_parts, repeatable in [*stated, (procedure.name, procedure.in_parts, procedure.repeatable)]:
        if options.accumulate > 1 and not in_parts:
            return f"{name} needs a step's rows together, so it cannot be accumulated: leave --accumulate out."
        if process_count() > 1 and not in_parts:
            return f"{name} needs a step's rows together: train it in one process."
        if options.gradient_checkpointing and not repeatable:
            return (
                f"{name} does not compute the same twice, so no block can be computed again: leave "
                "--gradient-checkpointing out."
            )
    return None


def needs_own_weights(training: "FullTraining") -> str | None:
    """Why the adapter of this configuration cannot be merged, or its backbone rounded."""
    options, procedure = training.options, get_procedure(training.configuration.procedure)
    for method in map(get_method, training.configuration.methods):
        if options.merge and not method.mergeable:
            return f"{method.name} cannot be merged into the weights of its backbone: leave --merge out."
        if options.quantize and not method.quantised_base:
            return f"{method.name} needs the backbone's own weights, and --quantize rounds them: leave it out."
    if procedure.changes_model and (options.merge or options.quantize):
        option = "--merge" if options.merge else "--quantize"
        return f"{procedure.name} changes the backbone while it trains and is scored: leave {option} out."
    return None


def folder_taken(training: "FullTraining") -> str | None:
    """Why nothing may be written there."""
    if training.overwrite or not training.folder.exists():
        return None
    if training.folder.is_dir() and not any(training.folder.iterdir()):
        return None
    return f"{training.folder} exists already: choose another folder with --out, or replace it with --overwrite."
