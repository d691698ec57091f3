"""What a search needs beside its data and model, looked at before anything is loaded or written; a dry run looks too."""

from pathlib import Path
from typing import Any

from autopeft.backbone.fingerprint import backbone_fingerprint
from autopeft.base.errors import AutopeftError
from autopeft.base.files import check_writable
from autopeft.prepare import Prepared
from autopeft.study.folder import StudyFolder
from autopeft.study.identity import check_same
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


def stored_study(prepared: Prepared, folder: StudyFolder) -> dict[str, Any] | None:
    """study.json of a folder that is to be resumed, None for a new one. Raises AutopeftError if it is another study's."""
    if not folder.exists:
        if folder.begun:
            raise AutopeftError(
                f"{folder.path} holds the trials of a study and no study.json: restore it, or choose another folder with --out."
            )
        return None
    stored = folder.read()
    check_same(prepared.spec, stored["spec"], str(folder.path))
    if stored["task"]["fingerprint"] != prepared.task.fingerprint:
        raise AutopeftError(
            f"The study in {folder.path} was made with other data than {prepared.spec.data} holds now: choose another "
            "folder with --out."
        )
    weights = stored.get("fingerprints", {}).get("backbone")
    if weights and weights != backbone_fingerprint(prepared.spec.model):
        raise AutopeftError(
            f"The study in {folder.path} was made with another backbone than {prepared.spec.model} holds now: choose "
            "another folder with --out."
        )
    return stored
