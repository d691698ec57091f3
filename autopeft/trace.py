"""Layer importance of a backbone on a task, outside a search."""

from autopeft.base.progress import Progress


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
    **columns,
):
    """Score every layer and return LayerScores (deviation, gains, intervals and the cut for the semantic trace).

    columns: task=, text=, text_pair=, label=, group=, missing_labels= as in a study. Raises AutopeftError on bad input.
    """
    from autopeft.backbone.loading import load_backbone
    from autopeft.importance import score_layers
    from autopeft.tasks import load_task
    from autopeft.tasks.tokens import tokenise

    note = (progress or Progress(quiet=True)).note
    task = load_task(data, note=note, **columns)
    backbone = load_backbone(model, task.outputs, kind=task.kind, note=note)
    tokenised = tokenise(task, backbone.tokenizer, max_length)
    options = (
        {}
        if scorer != "trace"
        else {"gain": gain, "min_trained": min_trained, "max_trained": max_trained, "basis": basis}
    )
    return score_layers(scorer, backbone, tokenised, rows=rows, seed=seed, **options)
