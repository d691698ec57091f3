"""A study folder -> StudyResult."""

from pathlib import Path

from autopeft.base.yaml_files import validated
from autopeft.objectives import Objectives
from autopeft.proxy.packing_file import PackingFile
from autopeft.study.folder import StudyFolder
from autopeft.study.optuna_study import open_to_read
from autopeft.study.records import StudyResult
from autopeft.study.spec import StudySpec
from autopeft.study.stored import records


def read_study(folder: str | Path) -> StudyResult:
    """Read what a study has found so far.

    Raises:
        AutopeftError: the folder holds no study, or one of another version.
    """
    files = StudyFolder(folder)
    stored = files.read()
    spec = validated(StudySpec, stored["spec"], f"the study in {folder}")
    objectives = Objectives.of(spec.objectives, stored["task"]["metric"])
    budget = stored["budget"]
    return StudyResult(
        str(folder),
        stored["spec"],
        stored["task"],
        files.shapes(),
        budget,
        stored["configurations"],
        files.scores(),
        records(open_to_read(files, spec, objectives)),
        files.outcomes(),
        {**stored["environment"], "packing": PackingFile(files.path).summary()},
        stored.get("limits", {"parameters": budget} if budget is not None else {}),  # release 0.1 had the budget only
    )
