"""The rows of a study as texts: a prompt, and how a language model is to continue it."""

from autopeft.export.mechanisms.toolkit import Case

FILES = {"train": "train.jsonl", "validation": "validation.jsonl"}
COPY = "model"  # the folder of a copy without dropout
SOURCE = {"path": "json", "data_files": FILES["train"]}  # the arguments of datasets' load_dataset

# A row as data.py writes it: Python that reads prompt, completion, the classes' label, and begin and end, the texts of
# the tokens that belong around a row.
PROMPTED = '{"prompt": prompt, "completion": completion}'

CLASSES = """for text, label in zip(split.texts, split.labels):
            prompt = (text if isinstance(text, str) else "\\n".join(text)) + {pattern!r}
            label, completion = int(label), " " + words[label]"""
PAIRS = "for prompt, completion in task.kind.pairs(split, tokenizer):"


def rows_script(case: Case, row: str = PROMPTED) -> str:
    """data.py: writes train.jsonl and validation.jsonl beside itself; the test split stays untouched.

    A row for each text of a classification study, which the word of its class follows: the class's verbaliser where
    the study has them, else its name. A row for each response of other studies, behind what the tokenizer's chat
    template makes of all before it.
    """
    loop = CLASSES.format(pattern=case.spec.get("pattern") or "") if case.classifies else PAIRS
    words = f"words = {words_of_classes(case)!r}\n" if case.classifies else ""
    code = ", trust_remote_code=True" if case.spec.get("trust_remote_code") else ""
    return f'''"""Writes the study's rows as {" and ".join(FILES.values())}."""

import json
from pathlib import Path

from transformers import AutoTokenizer

from autopeft.tasks import load_task
from autopeft.tasks.language import ends

task = load_task({arguments(case)})
tokenizer = AutoTokenizer.from_pretrained({case.model!r}{code})
begin, end = ends(tokenizer)
{words}here = Path(__file__).parent
for part, name in {FILES!r}.items():
    split = getattr(task, part)
    with open(here / name, "w", encoding="utf-8") as file:
        {loop}
            file.write(json.dumps({row}) + "\\n")
'''


def copied_model(case: Case) -> str:
    """What data.py does besides for a toolkit without a key for the model's dropout: links to its files, a config of its own."""
    return f"""
# The study trained without the model's own dropout: the same checkpoint with a config that has none.
from huggingface_hub import snapshot_download  # noqa: E402

source = Path({case.model!r})
source = source if source.is_dir() else Path(snapshot_download(str(source), ignore_patterns=["*.bin", "*.h5", "*.msgpack"]))
(here / {COPY!r}).mkdir(exist_ok=True)
for file in source.iterdir():
    (here / {COPY!r} / file.name).unlink(missing_ok=True)
    if file.name != "config.json":
        (here / {COPY!r} / file.name).symlink_to(file.resolve())
config = json.loads((source / "config.json").read_text(encoding="utf-8")) | {case.no_dropout!r}
(here / {COPY!r} / "config.json").write_text(json.dumps(config, indent=2), encoding="utf-8")
"""


def words_of_classes(case: Case) -> tuple[str, ...]:
    """What the model is to write for each class."""
    from autopeft.backbone.verbalisers import words_of

    given = case.spec.get("verbalisers")
    return words_of(given, case.labels) if given else case.labels


def arguments(case: Case) -> str:
    """The study's data as keyword arguments of load_task, in Python's own spelling."""
    from autopeft.study.spec import StudySpec

    given = {**StudySpec(**case.spec).task_arguments(), "data": case.data}
    return ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
