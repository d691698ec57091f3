"""Which study this is: an id of its own, and fingerprints of its data, spec and backbone. Foreign trials are refused.

The id is the study's name in the Optuna storage, so neither a study in a folder of the same name nor a moved folder
changes whose trials they are. The fingerprints lie beside the trials as user attributes of the Optuna study.
"""

import hashlib
import json
import socket
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna

from autopeft.base.errors import AutopeftError
from autopeft.study.folder import StudyFolder
from autopeft.study.spec import StudySpec

OLDER = {"task": "classification", "portfolio": False, "rates": 1}  # what studies were that did not say so


def new_identity(spec: StudySpec, data: str, backbone: str) -> dict[str, Any]:
    """What study.json says of a new study's identity.

    Args:
        spec: of which the fields count that no resume may change.
        data: the task's fingerprint.
        backbone: that of the config and weights.
    """
    fixed = hashlib.sha256(json.dumps(spec.fixed(), sort_keys=True).encode()).hexdigest()
    return {"id": str(uuid.uuid4()), "fingerprints": {"data": data, "spec": fixed, "backbone": backbone}}


def optuna_name(folder: StudyFolder) -> str:
    """The study's name in the Optuna storage: its id; of a study of release 0.1, the name of its folder."""
    stored = folder.read() if folder.exists else {}
    return stored.get("id") or folder.path.resolve().name


def check_trials(study: optuna.Study, folder: StudyFolder, storage: str) -> None:
    """Refuse trials that were made with other data, another spec or another backbone than the folder's. AutopeftError."""
    had = study.user_attrs.get("fingerprints")
    mine = folder.read().get("fingerprints", {}) if folder.exists else {}
    differs = [key for key in mine if had and had.get(key) != mine[key]]
    if differs:
        raise AutopeftError(
            f"The trials in the Optuna storage '{storage}' are of another study than {folder.path} (another "
            f"{differs[0]}): start the study anew in another folder with --out."
        )


def claim(study: optuna.Study, folder: StudyFolder, storage: str | None) -> None:
    """Say in the Optuna storage whose trials these are; in a shared one, also which folder goes on with them.

    A copied folder has the id of its original. Each sitting therefore leaves a mark in the folder and in a shared
    storage: whoever lacks the storage's mark has not made its latest trials.

    Args:
        study: the Optuna study, whose trials have been checked.
        folder: the study's.
        storage: the shared one, None for the journal in the folder.

    Raises:
        AutopeftError: the folder and a copy of it use the same storage.
    """
    stored = folder.read() if folder.exists else {}
    if "id" not in stored:
        return
    if "fingerprints" not in study.user_attrs:
        study.set_user_attr("fingerprints", stored["fingerprints"])
    if storage is None:
        return
    here = {"host": socket.gethostname(), "path": str(folder.path.resolve())}
    _check_not_copied(study.user_attrs.get("folder"), here, stored, storage)
    mark = str(uuid.uuid4())
    marks = [*stored.get("sittings", [])[-1:], mark]  # a kill between the two writes leaves the older one valid
    folder.write({**stored, "sittings": marks})
    study.set_user_attr("folder", {**here, "sitting": mark})


def _check_not_copied(
    last: Mapping[str, str] | None, here: Mapping[str, str], stored: Mapping[str, Any], storage: str
) -> None:
    """Compare the folder that wrote last into a shared storage with the one that wants to. Raises AutopeftError."""
    if last is None or all(last[key] == here[key] for key in here):
        return
    original_stays = last["host"] == here["host"] and _holds(Path(last["path"]), stored["id"])
    if original_stays or last["sitting"] not in stored.get("sittings", []):
        raise AutopeftError(
            f"The study in {here['path']} has gone on in {last['path']} on {last['host']}, a copy with the same storage "
            f"'{storage}': go on there, or start a study anew in another folder with --out."
        )


def _holds(path: Path, identity: str) -> bool:
    """Whether a folder holds the study of this id."""
    try:
        return json.loads((path / "study.json").read_text(encoding="utf-8")).get("id") == identity
    except (OSError, ValueError, AttributeError):
        return False


def check_same(spec: StudySpec, stored: Mapping[str, Any], folder: str) -> None:
    """Refuse to resume a study folder that was made for something else.

    Args:
        spec: the study that is asked for.
        stored: the options of the study in the folder; those that came with a later release may be missing.
        folder: for the message.

    Raises:
        AutopeftError: an option differs that makes it another study.
    """
    for key, value in spec.fixed().items():
        if key == "full_steps" and spec.epochs is not None:
            continue  # follows from the epochs and the data
        had = stored.get(key, OLDER.get(key, StudySpec.model_fields[key].default))
        had = tuple(had) if isinstance(had, list) else had
        if had != value:
            raise AutopeftError(
                f"The study in {folder} was made with {key}={had!r} and this command asks for {key}={value!r}: "
                f"give the same options to resume it, or another --out folder to start anew."
            )
