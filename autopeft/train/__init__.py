"""Train a study's chosen configuration in full and keep it: adapter, model card, curve, test score. No torch at import."""

import json
from pathlib import Path

from autopeft.base.progress import Progress


def train(
    study: str | Path,
    which: str = "best",
    out: str | Path | None = None,
    steps: int | None = None,
    seed: int | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    **options,
) -> dict:
    """Train "best", "knee" or a trial's number and save it with peft; return its scores and the folder.

    options: the other fields of `Recipe` (epochs=, eval_every=, patience=, checkpoint_every=, merge= ...). The same
    call goes on from the last checkpoint of one that was killed. dry_run: only say what would happen. The test score
    is that of the saved adapter, loaded anew on an fp32 backbone, so that whoever loads it gets it too. Under
    `accelerate launch` every process trains a share of each batch and the first writes; the others return {}.
    Raises AutopeftError on bad input or when the loss is no longer finite.
    """
    from autopeft.train.plan import Plan

    progress = progress or Progress(quiet=True)
    plan = Plan.of(study, which, out, overwrite, steps=steps, seed=seed, **options)
    if dry_run:
        return plan.to_json()

    from autopeft.train.processes import together  # loads torch: only now that nothing is wrong with the input

    with together() as processes:
        return trained(plan, processes, progress if processes.first else Progress(quiet=True))


def trained(plan, processes, progress: Progress) -> dict:
    """Train, score what was saved, write the card; the work folder goes when the adapter's folder is whole."""
    from autopeft.base.files import whole_folder
    from autopeft.train.card import card
    from autopeft.train.full import open_trainer
    from autopeft.train.saved import merge, score_saved
    from autopeft.train.work import WorkFolder

    work = WorkFolder(plan.work)
    begun = work.begin(plan, processes)
    trainer = open_trainer(plan, processes, progress)
    progress.note(f"Training {plan.name}: {plan.configuration} for {plan.steps:,} steps of {plan.batch_size} rows.")
    record = trainer.complete(plan, work, begun, processes, progress)
    if not processes.first:
        return {}
    scores = plan.facts() | record.facts() | score_saved(work.kept(record), plan, trainer.tokenised)
    with whole_folder(plan.folder) as beside:
        work.copy_kept(record, beside)
        if plan.recipe.merge:
            merge(beside, plan, trainer.tokenised)
        (beside / "curve.csv").write_text(record.csv(), encoding="utf-8")
        (beside / "README.md").write_text(card(plan, record, scores), encoding="utf-8")
        (beside / "scores.json").write_text(json.dumps(scores, indent=1) + "\n", encoding="utf-8")
    work.remove()
    return scores
