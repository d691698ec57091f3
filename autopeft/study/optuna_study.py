"""The study's Optuna side: opened or made, with the objectives' directions."""

import logging
import warnings

import optuna
from optuna.storages import JournalStorage
from sqlalchemy.exc import SQLAlchemyError

from autopeft.base.errors import AutopeftError
from autopeft.objectives import Objectives
from autopeft.study.folder import StudyFolder
from autopeft.study.journal import WholeLineJournal
from autopeft.study.spec import StudySpec


def open_study(folder: StudyFolder, spec: StudySpec, objectives: Objectives) -> optuna.Study:
    """Open the Optuna study of a folder; it is made if it does not exist yet.

    Args:
        folder: the study's; its journal is the storage unless the study names another.
        spec: the study's.
        objectives: give the directions and the names of the values, which are on the sampler's scale.

    Raises:
        AutopeftError: the storage cannot be opened.
    """
    logging.getLogger("optuna").setLevel(logging.WARNING)
    storage = spec.storage or JournalStorage(WholeLineJournal(str(folder.journal)))
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=folder.path.resolve().name,
            load_if_exists=True,
            directions=[o.direction for o in objectives],
        )
    except (ValueError, ImportError, OSError, SQLAlchemyError, optuna.exceptions.StorageInternalError) as error:
        raise AutopeftError(
            f"The Optuna storage '{spec.storage or folder.journal}' cannot be opened: {error}."
        ) from None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([f"log10({o.name})" if o.scale == "log" else o.name for o in objectives])
    return study
