"""The rows of a classification study as texts that a language model learns to go on from. Imports no torch."""

from autopeft.export.toolkit import Case

FILES = {"train": "train.jsonl", "validation": "validation.jsonl"}


PROMPTED = '{"prompt": text, "completion": " " + word}'


def rows_script(case: Case, row: str = PROMPTED) -> str:
    """data.py: writes train.jsonl and validation.jsonl beside itself, a row for each text, its class's word and label.

    The word is the class's verbaliser where the study has them, else its name; the test split stays untouched.
    """
    return f'''"""Writes the study's rows as {" and ".join(FILES.values())}."""

import json
from pathlib import Path

from autopeft.tasks import load_task

task = load_task({arguments(case)})
words = {words(case)!r}
here = Path(__file__).parent
for part, name in {FILES!r}.items():
    split = getattr(task, part)
    with open(here / name, "w", encoding="utf-8") as file:
        for text, label in zip(split.texts, split.labels):
            text = (text if isinstance(text, str) else "\\n".join(text)) + {(case.spec.get("pattern") or "")!r}
            label, word = int(label), words[label]
            file.write(json.dumps({row}) + "\\n")
'''


def words(case: Case) -> tuple[str, ...]:
    """What the model is to write for each class."""
    from autopeft.backbone.verbalisers import words_of

    given = case.spec.get("verbalisers")
    return words_of(given, case.labels) if given else case.labels


def arguments(case: Case) -> str:
    """The study's data as keyword arguments of load_task, in Python's own spelling."""
    from autopeft.study.spec import StudySpec

    given = {**StudySpec(**case.spec).task_arguments(), "data": case.data}
    return ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)


def source(case: Case) -> dict:
    """The arguments of datasets' load_dataset: the rows that data.py writes, or the study's own file or hub name."""
    if case.classifies:
        return {"path": "json", "data_files": FILES["train"]}
    kinds = {"jsonl": "json", "json": "json", "csv": "csv", "parquet": "parquet"}
    kind = kinds.get(case.data.rpartition(".")[2].lower())
    return {"path": kind, "data_files": case.data} if kind else {"path": case.data}
