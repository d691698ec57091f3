"""The tokens and labels that a toolkit makes of the exported rows are those that autopeft trains on."""

import subprocess
import sys

import pytest
from export_cases import case
from tiny_lm import save_tiny_lm, smollm2_tokenizer

from autopeft.export import export
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise

pytestmark = pytest.mark.toolkits

ROWS = {"train_rows": 12, "validation_rows": 4, "test_rows": 4, "max_length": 96}
STUDIES = [
    {"data": "openbookqa-answers", "task": "instruction"},
    {"data": "rotten-tomatoes", "task": "causal-lm"},
    {"data": "openbookqa", "task": "choice"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_tiny_lm(tmp_path_factory.mktemp("tiny-lm"))


def ours(study: dict) -> list[tuple]:
    """(tokens, labels) of the training rows; of a question those of its right option, and the end that toolkits add."""
    rows = {k: v for k, v in ROWS.items() if k != "max_length"}
    made = tokenise(load_task(**study, **rows), smollm2_tokenizer(), ROWS["max_length"])
    right = made.kind.true_rows(made.train)
    end = [smollm2_tokenizer().eos_token_id] if study["task"] == "choice" else []
    return sorted((made.train.input_ids[i].tolist() + end, made.train.labels[i].tolist() + end) for i in right)


def up_to_labels(ids: list[int], labels: list[int]) -> tuple[list[int], list[int]]:
    """Without what nothing is learnt from: the first token's label, and what follows the last."""
    last = max(i for i, label in enumerate(labels, 1) if label != -100)
    return ids[:last], [-100, *labels[1:last]]


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study["task"])
@pytest.mark.parametrize("toolkit", ["trl", "llamafactory", "axolotl", "swift"])
def test_the_tokens_are_the_searchs_own(inside, model, tmp_path, toolkit, study):
    one = case("lora", {"rank": 4}, model=model, **study, **ROWS)
    export(toolkit, one, tmp_path)
    subprocess.run([sys.executable, "data.py"], cwd=tmp_path, check=True)
    found = inside(toolkit, "rows", tmp_path)
    found = found[tmp_path.name] if toolkit == "swift" else found
    theirs = sorted(up_to_labels(row["input_ids"], row["labels"]) for row in found)
    expected = [up_to_labels(*row) for row in ours(study)]
    other = [(a, b) for a, b in zip(theirs, expected, strict=True) if a != b]
    assert not other[:1]  # pytest takes minutes to compare long lists
