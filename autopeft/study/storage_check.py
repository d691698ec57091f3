"""Whether an Optuna storage can be opened, without writing into it."""

from pathlib import Path

from autopeft.base.errors import AutopeftError
from autopeft.study.storage_url import said, without_password


def check_storage(url: str) -> None:
    """Refuse a storage that Optuna could not open.

    A SQLite file that is not there yet is not made: its folder is looked at.

    Args:
        url: as SQLAlchemy reads it.

    Raises:
        AutopeftError: it is no URL, its driver is not installed, or nothing answers there.
    """
    from sqlalchemy import create_engine
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    where = without_password(url)
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
            folder = Path(parsed.database or ".").absolute().parent
            if not folder.is_dir():
                raise AutopeftError(
                    f"The Optuna storage '{where}' cannot be opened: there is no folder {folder}. Make it."
                )
            return
        with create_engine(parsed).connect() as connection:
            if parsed.get_backend_name() == "sqlite":  # which reads nothing until it is asked
                connection.exec_driver_sql("SELECT name FROM sqlite_master LIMIT 1")
            return
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise AutopeftError(
            f"The Optuna storage '{where}' is no URL of a database: write sqlite:///trials.db or "
            "postgresql://user@host/name."
        ) from None
    except ImportError:
        raise AutopeftError(
            f"The Optuna storage '{where}' needs a database driver that is not installed: for PostgreSQL it is "
            "pip install 'autopeft[postgresql]'."
        ) from None
    except SQLAlchemyError as error:
        raise AutopeftError(
            f"The Optuna storage '{where}' cannot be opened: {said(error, url)[:200].rstrip('.')}."
        ) from None
