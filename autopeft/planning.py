"""What a search would do, without training."""

from pathlib import Path

from autopeft.search import folder_of, spec_of
from autopeft.study.planned import PlannedBaseline, PlannedRung, SearchPlan
from autopeft.study.spec import StudySpec


def plan(study: StudySpec | str | Path | None = None, out: str | Path | None = None) -> SearchPlan:
    """Say what `search` would do: sizes, space, baselines, runs.

    Args:
        study: a `StudySpec`, a bundled study's name or a YAML file (default: the quickstart).
        out: the study folder (default: runs/<name of the study>).

    Returns:
        The plan. Nothing was trained or written, and no weights were loaded unless the study has a time, for which a few
        training steps have to be timed.

    Raises:
        AutopeftError: whatever `search` would refuse before it loads the weights.

    Example:
        >>> import autopeft
        >>> planned = autopeft.plan(autopeft.StudySpec.read("quickstart", budget="0.5%"))
        >>> planned.trials, planned.budget
        (14, 112826)
    """
    from autopeft.methods import count
    from autopeft.prepare import prepare_in, read_by_tokenizer
    from autopeft.start_checks import check_start, stored_study
    from autopeft.study.candidates import baselines
    from autopeft.study.folder import StudyFolder
    from autopeft.study.length import ending_in_words, length_in_words
    from autopeft.study.rungs import rungs_of

    asked = spec_of(study)
    check_start(asked, folder_of(asked, out))
    folder = StudyFolder(folder_of(asked, out))
    prepared, expected = read_by_tokenizer(prepare_in(folder, asked)), None
    stored_study(prepared, folder)
    if prepared.spec.time:
        from autopeft.workbench import planned_in_time  # its pace has to be measured

        prepared, expected = planned_in_time(prepared)
    spec, task, shapes, space = prepared.spec, prepared.task, prepared.shapes, prepared.space()
    affordable = tuple(b.name for b in space.affordable())
    return SearchPlan(
        folder=str(folder_of(spec, out)),
        task=task.summary(),
        objectives=tuple(o.name for o in prepared.objectives),
        budget=prepared.budget,
        limits={x.objective.name: x.most for x in prepared.limits.limits},
        backbone_parameters=shapes.backbone_parameters,
        head_parameters=shapes.head_parameters,
        configurations=space.configurations,
        methods=affordable,
        refused=space.refused,
        over_limit=tuple(sorted({b.name for b in space.branches} - set(affordable))),
        trials=spec.trials,
        rungs=tuple(PlannedRung(r.steps, r.rows) for r in rungs_of(spec.rungs, spec.steps, len(task.validation))),
        full_steps=spec.steps,
        length=length_in_words(spec.steps, len(task.train), spec.batch_size),
        ending=ending_in_words(spec.steps, spec.epochs),
        seeds=spec.seeds,
        finalists=spec.finalists,
        time=expected,
        baselines=tuple(
            PlannedBaseline(
                c.name,
                str(c.configuration),
                count(c.configuration, shapes),
                prepared.objectives.count(c.configuration, prepared.limits),
            )
            for c in baselines(shapes, prepared.budget, spec.ceiling, spec)
        ),
    )
