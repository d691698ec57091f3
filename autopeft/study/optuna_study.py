"""The study's Optuna side: opened or made by the one who writes, or only read."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.storages import BaseStorage, JournalStorage
from sqlalchemy.exc import SQLAlchemyError

from autopeft.base.errors import AutopeftError
from autopeft.objectives import Objectives
from autopeft.study.folder import StudyFolder
from autopeft.study.identity import check_trials, claim, optuna_name
from autopeft.study.journal import ReadJournal, WholeLineJournal
from autopeft.study.ledger import Ledger
from autopeft.study.spec import StudySpec
from autopeft.study.storage_url import said, without_password


def open_study(folder: StudyFolder, spec: StudySpec, objectives: Objectives) -> optuna.Study:
    """Open the Optuna study of a folder to write; it is made if it does not exist yet.

    Args:
        folder: the study's; its journal is the storage unless the study names another.
        spec: the study's.
        objectives: give the directions and the names of the values, which are on the sampler's scale.

    Raises:
        AutopeftError: the storage cannot be opened, or its trials are another study's.
    """
    name = optuna_name(folder)
    with opening(folder, spec) as where:
        storage = spec.storage or JournalStorage(WholeLineJournal(*journal_of(folder)))
        study = optuna.create_study(
            storage=storage, study_name=name, load_if_exists=True, directions=[o.direction for o in objectives]
        )
        name_values(study, objectives)
    check_trials(study, folder, where)
    claim(study, folder, where if spec.storage else None)
    return study


def open_to_read(folder: StudyFolder, spec: StudySpec, objectives: Objectives) -> optuna.Study:
    """Open the Optuna study of a folder to read, without writing anywhere, while another process may write.

    Where nothing is stored yet it is an empty one in memory. Arguments and errors are those of `open_study`.
    """
    name = optuna_name(folder)
    with opening(folder, spec) as where:
        storage: str | BaseStorage = spec.storage or JournalStorage(ReadJournal(*journal_of(folder)))
        try:
            study = optuna.load_study(study_name=name, storage=storage)
        except KeyError:
            study = optuna.create_study(directions=[o.direction for o in objectives])
            name_values(study, objectives)
    check_trials(study, folder, where)
    return study


def journal_of(folder: StudyFolder) -> tuple[Path, Ledger, bool]:
    """What a folder's journal is opened with."""
    return folder.journal, folder.ledger, folder.unsealed


@contextmanager
def opening(folder: StudyFolder, spec: StudySpec) -> Iterator[str]:
    """Gives the place of a study's storage; what goes wrong there is an AutopeftError, and Optuna is quiet."""
    logging.getLogger("optuna").setLevel(logging.WARNING)
    where = without_password(spec.storage) if spec.storage else str(folder.journal)
    try:
        yield where
    except ImportError:
        raise AutopeftError(
            f"The Optuna storage '{where}' needs a database driver that is not installed: for PostgreSQL it is "
            "pip install 'autopeft[postgresql]'."
        ) from None
    except (ValueError, OSError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        todo = ": free some space or choose another folder with --out" if isinstance(error, OSError) else ""
        raise AutopeftError(
            f"The Optuna storage '{where}' cannot be opened: {said(error, spec.storage or '').rstrip('.')}{todo}."
        ) from None


@contextmanager
def in_reach(spec: StudySpec) -> Iterator[None]:
    """What goes wrong with a study's storage once it is open is an AutopeftError: a database may stop in the middle."""
    try:
        yield
    except (SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        url = spec.storage or ""
        raise AutopeftError(
            f"The Optuna storage '{without_password(url)}' is out of reach ({said(error, url)[:200]}): what was measured "
            "until then is kept; run the same command again when it is back."
        ) from None


def name_values(study: optuna.Study, objectives: Objectives) -> None:
    """Name the values for Optuna's own tools."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([f"log10({o.name})" if o.scale == "log" else o.name for o in objectives])
