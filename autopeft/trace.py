"""Layer importance of a backbone on a task, outside a search."""

from typing import TYPE_CHECKING, Any

from autopeft.base.progress import Progress
from autopeft.tasks.kind import MissingLabels

if TYPE_CHECKING:
    from autopeft.importance.scores import LayerScores


def trace(
    model: str = "minilm-l6",
    data: str = "rotten-tomatoes",
    scorer: str = "trace",
    rows: int = 512,
    seed: int = 0,
    max_length: int = 128,
    gain: str = "raw",
    basis: str | None = None,
    min_trained: int = 1,
    max_trained: int | None = None,
    progress: Progress | None = None,
    *,
    deviation: str = "states",
    task: str | None = None,
    text: str | None = None,
    text_pair: str | None = None,
    label: str | None = None,
    group: str | None = None,
    missing_labels: MissingLabels = "refuse",
) -> "LayerScores":
    """Score every layer of a model on a task.

    Args:
        model: a checkpoint's folder, a built-in name or a hub name.
        data: a built-in name, a file, a `datasets` folder or a hub name.
        scorer: "trace" or another of the registered ones.
        rows: about how many training rows are looked at.
        seed: of their choice.
        max_length: tokens of a row, at most.
        gain: of the trace: "raw", "log" or "scaling", which makes the cut.
        basis: of the trace: "class-means", "final-means", "head" or "lm-head"; None takes the kind of task's own.
        min_trained: of the trace: blocks at the top that are trained in any case.
        max_trained: of the trace: train at most so many blocks.
        progress: where notes go; None is quiet.
        deviation: of the trace: "states", or with the bases head and lm-head "transitions".
        task: the kind of task; a built-in's own or classification if not given.
        text: column with the text (found if not given).
        text_pair: column with the second text of a pair.
        label: column with the label (found if not given).
        group: column whose values must not be split over train, validation and test.
        missing_labels: what to do with rows that have no label.

    Returns:
        A score for each block and the cut; for the trace with deviation, gains and intervals in its details.

    Raises:
        AutopeftError: something given does not exist or does not fit.

    Example:
        >>> import autopeft
        >>> scores = autopeft.trace("minilm-l6", "rotten-tomatoes", rows=64, max_length=16)
        >>> len(scores.scores), 0 <= scores.cut < 6
        (6, True)
    """
    from autopeft.backbone.loading import load_backbone
    from autopeft.importance import score_layers
    from autopeft.tasks.load import load_task
    from autopeft.tasks.tokens import tokenise

    note = (progress or Progress(quiet=True)).note
    loaded = load_task(
        data,
        note=note,
        task=task,
        text=text,
        text_pair=text_pair,
        label=label,
        group=group,
        missing_labels=missing_labels,
    )
    backbone = load_backbone(model, loaded.outputs, kind=loaded.kind, note=note)
    tokenised = tokenise(loaded, backbone.tokenizer, max_length)
    own: dict[str, Any] = {"gain": gain, "min_trained": min_trained, "max_trained": max_trained}
    own |= {"basis": basis, "deviation": deviation}
    return score_layers(scorer, backbone, tokenised, rows=rows, seed=seed, **(own if scorer == "trace" else {}))
