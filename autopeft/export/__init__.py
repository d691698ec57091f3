"""Configuration -> a toolkit's own files. Imports no torch."""

from pathlib import Path

from autopeft.configuration import Configuration
from autopeft.errors import AutopeftError, did_you_mean
from autopeft.export.peft import export_peft
from autopeft.study.records import StudyResult

TOOLKITS = {"peft": export_peft}


def export(to: str, result: StudyResult, name: str, configuration: Configuration, out: Path) -> Path:
    """Write the files of one toolkit into a folder and return it. Raises AutopeftError for an unknown toolkit."""
    if to not in TOOLKITS:
        raise AutopeftError(f"Unknown toolkit '{to}'." + did_you_mean(to, TOOLKITS))
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AutopeftError(f"The folder {out} cannot be made ({error.strerror}): choose another with --out.") from None
    return TOOLKITS[to](result, name, configuration, out)
