"""A file, a saved `datasets` folder or a hub name -> frames, one per split that the source has."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from autopeft.base.checked import parsed
from autopeft.base.errors import AutopeftError, did_you_mean
from autopeft.base.packages import Note, silent
from autopeft.tasks.builtin import SOURCES, Frames
from autopeft.tasks.delimited import delimited

SPLIT_NAMES = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}


def read_path(path: Path) -> Frames:
    """Read a table by its suffix, or a folder written by `datasets.save_to_disk`.

    Raises AutopeftError for a file that is missing, empty, unreadable or of an unknown kind.
    """
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise AutopeftError(
            f"There is no file {path}. Give a {', '.join(READERS)} file, a saved datasets folder or a "
            f"built-in source: {', '.join(SOURCES)}."
        )
    if path.suffix.lower() not in READERS:
        raise AutopeftError(
            f"Cannot tell what {path} is by its suffix '{path.suffix}'. Use one of {', '.join(READERS)}."
        )
    if path.stat().st_size == 0:
        raise AutopeftError(f"{path} is empty. Give a file with a header and labelled rows.")
    try:
        return {"train": READERS[path.suffix.lower()](path)}
    except UnicodeDecodeError as error:
        raise AutopeftError(f"{path} is not UTF-8 text (byte {error.start}). Save it as UTF-8.") from error
    except OSError as error:
        raise AutopeftError(f"Cannot read {path}: {error.strerror or _first_line(error)}.") from error


def _read_jsonl(path: Path) -> pd.DataFrame:
    rows = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                rows.append(_json_object(path, number, line))
    return pd.DataFrame(rows, dtype=object)


def _json_object(path: Path, number: int, line: str) -> dict:
    try:
        row = _parsed(line)
    except ValueError as error:
        why = getattr(error, "msg", _first_line(error))
        raise AutopeftError(f"Line {number} of {path} is not JSON ({why}). Write one object on each line.") from error
    if not isinstance(row, dict):
        raise AutopeftError(
            f'Line {number} of {path} is not an object. Write one such as {{"text": ..., "label": ...}}.'
        )
    return row


def _parsed(text: str) -> Any:
    """JSON whose texts can be written again. Raises ValueError."""
    value = parsed(text)
    if "\\ud" in text.lower() and not is_writable(json.dumps(value, ensure_ascii=False)):
        raise ValueError("a \\ud800 to \\udfff that is no half of a pair stands for no character")
    return value


def is_writable(text: str) -> bool:
    """Whether a text can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_json(path: Path) -> pd.DataFrame:
    content = path.read_text(encoding="utf-8-sig")
    try:
        rows = _parsed(content)
    except ValueError as error:
        where, why = getattr(error, "lineno", 1), getattr(error, "msg", _first_line(error))
        raise AutopeftError(
            f"Line {where} of {path} is not JSON ({why}). For one object on each line use the suffix .jsonl."
        ) from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise AutopeftError(f'{path} is not a list of objects. Write [{{"text": ..., "label": ...}}, ...].')
    return pd.DataFrame(rows, dtype=object)


def _read_parquet(path: Path) -> pd.DataFrame:
    import pyarrow.parquet

    try:
        pyarrow.parquet.read_table(path).validate(full=True)  # texts that are no UTF-8 would raise when they are used
        return pd.read_parquet(path)
    except Exception as error:  # damaged metadata raises whatever its JSON does
        raise AutopeftError(f"{path} is not a readable Parquet file ({_first_line(error)}). Write it again.") from error


READERS: dict[str, Callable[[Path], pd.DataFrame]] = {
    ".csv": delimited(","),
    ".tsv": delimited("\t"),
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".parquet": _read_parquet,
}


def is_saved_dataset(path: Path) -> bool:
    """Whether datasets' save_to_disk wrote this folder."""
    return any((path / name).is_file() for name in ("dataset_dict.json", "state.json"))


def _read_folder(path: Path) -> Frames:
    if not is_saved_dataset(path):
        raise AutopeftError(
            f"{path} is a folder but not one that datasets' save_to_disk wrote. Name a file inside it, or for folders of "
            "pictures or recordings per class say --task image-classification or audio-classification."
        )
    import datasets
    import pyarrow

    try:
        return _frames(datasets.load_from_disk(str(path)), str(path))
    except (OSError, ValueError, KeyError, pyarrow.ArrowInvalid) as error:
        raise AutopeftError(f"Cannot read the datasets folder {path} ({_first_line(error)}). Save it again.") from error


def read_hub(name: str, note: Note | None = None) -> Frames:
    """Hub name "owner/name" or "owner/name:config" -> frames, through `datasets`, which needs a connection."""
    import datasets

    repository, _, config = name.partition(":")
    (note or silent)(f"Loading {name} from the Hugging Face hub")
    try:
        return _frames(datasets.load_dataset(repository, config or None), name)
    except ConnectionError as error:
        raise AutopeftError(
            f"The Hugging Face hub cannot be reached for '{name}'. Connect, or use a local file or a "
            f"built-in source: {', '.join(SOURCES)}."
        ) from error
    except (OSError, ValueError, RuntimeError) as error:
        raise AutopeftError(f"Cannot load '{name}' from the Hugging Face hub: {_first_line(error)}.") from error


def _frames(data: Any, name: str) -> Frames:
    """A Dataset or DatasetDict -> frames whose class indices are names; -1, the hub's "no label", is missing."""
    parts = data if isinstance(data, dict) else {"train": data}
    frames = {SPLIT_NAMES[part]: _named_classes(parts[part]) for part in parts if part in SPLIT_NAMES}
    if "train" not in frames:
        raise AutopeftError(
            f"{name} has no train split; it has: {', '.join(parts)}. Name its splits train, validation and test."
        )
    return frames


def _named_classes(dataset: Any) -> pd.DataFrame:
    import datasets

    frame = dataset.to_pandas()
    for column, feature in dataset.features.items():
        if isinstance(feature, datasets.ClassLabel):
            frame[column] = frame[column].map(dict(enumerate(feature.names)))
        elif isinstance(inner := getattr(feature, "feature", None), datasets.ClassLabel):  # a list of tags
            frame[column] = frame[column].map(lambda row: None if row is None else [inner.names[n] for n in row])
    return frame


def read_source(data: str, note: Note | None = None) -> Frames:
    """Anything but a built-in name: a path when it exists or looks like one, else a hub name "owner/name"."""
    path = Path(data).expanduser()
    looks_like_path = path.suffix.lower() in READERS or data.startswith((".", "/", "~")) or data.count("/") > 1
    if path.exists() or looks_like_path:
        return read_path(path)
    if "/" in data:
        return read_hub(data, note)
    raise AutopeftError(
        f"'{data}' is neither a file nor a built-in source.{did_you_mean(data, SOURCES)} "
        "A hub data set is written owner/name."
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
