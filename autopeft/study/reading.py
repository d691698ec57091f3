"""A study folder -> StudyResult."""

from pathlib import Path

from autopeft.base.checked import as_written
from autopeft.base.errors import AutopeftError
from autopeft.base.yaml_files import validated
from autopeft.objectives import Objectives
from autopeft.proxy.packing_file import PackingFile
from autopeft.study.folder import StudyFolder
from autopeft.study.optuna_study import open_to_read
from autopeft.study.records import StudyResult
from autopeft.study.spec import StudySpec
from autopeft.study.storage_url import without_password
from autopeft.study.stored import records
from autopeft.study.study_json import KEYS


def read_study(folder: str | Path) -> StudyResult:
    """Read what a study has found so far.

    Raises:
        AutopeftError: the folder holds no study, or one of another version.
    """
    files = StudyFolder(folder)
    files.check_links()
    stored = files.read()
    spec = validated(StudySpec, stored.get("spec", {}), f"the study in {folder}")
    if missing := sorted(KEYS - stored.keys()):
        raise AutopeftError(f"{files.path / 'study.json'} lacks '{missing[0]}': restore it.")
    objectives = Objectives.of(spec.objectives, stored["task"]["metric"])
    budget = stored["budget"]
    where = without_password(spec.storage) if spec.storage else files.journal
    with as_written(where, "restore it, or start the study anew in another folder with --out"):
        trials = records(open_to_read(files, spec, objectives))
    return StudyResult(
        str(folder),
        stored["spec"],
        stored["task"],
        files.shapes(),
        budget,
        stored["configurations"],
        files.scores(),
        trials,
        files.outcomes(),
        {**stored["environment"], "packing": PackingFile(files.path).summary()},
        stored.get("limits", {"parameters": budget} if budget is not None else {}),  # release 0.1 had the budget only
    )
