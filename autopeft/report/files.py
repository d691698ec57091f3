"""StudyResult -> the files of a report: report.html, front.csv, front.json and trials.csv."""

import json
from pathlib import Path

import optuna

from autopeft.base.files import write_whole
from autopeft.report.page import page
from autopeft.report.tables import csv, front_columns, front_rows, result_json, trial_columns, trial_rows
from autopeft.study.records import StudyResult


def write_report(result: StudyResult, folder: Path, study: optuna.Study | None = None) -> dict[str, Path]:
    """Write report.html, front.csv, front.json and trials.csv, each whole or not at all.

    Args:
        result: the study.
        folder: where the files go.
        study: the Optuna study, for the importances of its parameters.

    Returns:
        File name -> path.

    Raises:
        AutopeftError: the disk is full, or the folder cannot be written.
    """
    texts = {
        "report.html": page(result, study),
        "front.csv": csv(front_rows(result), front_columns(result.objectives)),
        "trials.csv": csv(trial_rows(result), trial_columns(result.objectives)),
        "front.json": json.dumps(result_json(result), indent=1) + "\n",
    }
    for name, text in texts.items():
        write_whole(folder / name, text)
    return {name: folder / name for name in texts}
