"""What a search needs beside its data and model, looked at before anything is loaded or written; a dry run looks too."""

import os
from pathlib import Path

from autopeft.base.errors import AutopeftError
from autopeft.base.files import writable
from autopeft.study.folder import StudyFolder
from autopeft.study.spec import StudySpec
from autopeft.study.storage_check import check_storage


def check_start(spec: StudySpec, folder: Path) -> None:
    """Refuse a start that would fail for its surroundings.

    Args:
        spec: the study.
        folder: where it is to be kept.

    Raises:
        AutopeftError: weights are cut short, the folder cannot be written, there is no study to transfer from, or the
            storage cannot be opened.
    """
    from autopeft.backbone.weight_files import check_weights

    check_weights(spec.model)
    check_writable(folder)
    if spec.transfer is not None:
        StudyFolder(spec.transfer).read()
    if spec.storage is not None:
        check_storage(spec.storage)


def check_writable(folder: Path) -> None:
    """Refuse a folder that cannot be made or written. Raises AutopeftError."""
    there = next(p for p in (folder, *folder.absolute().parents) if os.path.lexists(p))
    if not there.is_dir():
        raise AutopeftError(f"{there} is no folder, so {folder} cannot be made: choose another with --out.")
    if not writable(there):
        raise AutopeftError(f"{there} cannot be written, so {folder} cannot be kept: choose another with --out.")
