"""Extractive question answering: a question and a context, the span of the context that answers it."""

import json
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.tasks.answer_metrics import answer_f1, exact_answer
from autopeft.tasks.batches import padded, padded_inputs
from autopeft.tasks.kind import Asked, Batch, Losses, Read, TaskKind, Values
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import Encoding, Places, TokenisedSplit, encode_with_places

if TYPE_CHECKING:
    import torch

    from autopeft.tasks.builtin import Frames


QUESTIONS = ("question", "query", "text")
CONTEXTS = ("context", "passage", "document", "paragraph", "text2")
ANSWERS = ("answers", "answer", "label", "labels")
LONGEST = 30  # tokens of a predicted span, as in the reference implementation of BERT on SQuAD
CONTEXT = 1  # marks a token of the context
NOWHERE = 2  # marks a row's first token: the target where the answer does not stand in the row


class QuestionAnswering(TaskKind):
    """The answer is the most likely span of all windows of the context (Devlin et al. 2019, arXiv 1810.04805, on SQuAD).

    A context that is too long is read in windows that overlap, a row each; in those without the whole answer the
    target is NOWHERE.

    Shapes: U questions of a batch, B windows, S tokens.
    """

    name = "question-answering"
    title = "question answering"
    columns = "question, context, answers (as SQuAD has them, or texts of the context)"
    example = "autopeft search --data sciq-spans --max-length 128"
    auto_model = "AutoModelForQuestionAnswering"
    peft_task_type = "QUESTION_ANS"
    pipeline_tag = "question-answering"
    metrics = {"f1": answer_f1, "exact-match": exact_answer}
    row_level = False

    @override
    def read(self, frames: "Frames", asked: Asked) -> Read:
        import pandas as pd

        from autopeft.tasks.cleaning import clean_texts, refuse_or_drop
        from autopeft.tasks.columns import Column, pick_columns
        from autopeft.tasks.duplicates import remove_duplicates
        from autopeft.tasks.splits import cap, cap_notes, cut

        name = asked.name
        wanted = {
            "text": Column(asked.text, QUESTIONS, "questions", "--text"),
            "text2": Column(asked.text_pair, CONTEXTS, "contexts", "--text-pair"),
            "label": Column(asked.label, ANSWERS, "answers", "--label"),
        }
        frames, notes = clean_texts(pick_columns(frames, asked, wanted), name)
        for part, frame in list(frames.items()):
            where = f"{name} ({part})" if len(frames) > 1 else name
            spans = [span(*row) for row in zip(frame["label"].map(answers), frame["text2"])]
            frame = frame.assign(label=pd.Series(spans, dtype=object), stratum=0)
            missing = frame["label"].isna()
            if missing.all() and part != "train":
                notes.append(f"The {part} split has no answers and was left out.")
                del frames[part]
                continue
            if missing.all():
                raise AutopeftError(
                    f"No answer of {where} stands in its context. Name the columns with --text-pair and --label."
                )
            frames[part] = refuse_or_drop(
                frame, missing, "answer that stands in the context", where, asked.missing_labels, notes
            )
        frames, duplicates = remove_duplicates(frames, asked)
        frames, cuts = cut(frames, name, asked.seed)
        capped = {part: cap(frame, asked.rows.get(part), asked.seed) for part, frame in frames.items()}
        splits = {
            part: Split(tuple(zip(frame["text"], frame["text2"])), tuple(frame["label"]))
            for part, frame in capped.items()
        }
        return Read((), splits, (*notes, *duplicates, *cuts, *cap_notes(frames, capped)))

    @override
    def outputs(self, task: Task) -> int:
        return 2

    @override
    def encode(self, split: Split, encoding: Encoding) -> TokenisedSplit:
        """Labels of a row of S tokens: its answer's first and last token, then a mark for each token (S + 2,).

        A question has at most half of max_length, and windows share a quarter of it, a few tokens less.
        """
        size = encoding.max_length - len(encoding.end)
        questions, cut = begun([question for question, _ in split.texts], encoding.tokenizer, size // 2)
        pairs = replace(split, texts=tuple(zip(questions, (context for _, context in split.texts))))
        encoded, places = encode_with_places(pairs, encoding, self, overlap=max(0, size // 4 - 4))
        rows = list(zip(places, encoded.unit_of_rows))
        labels = tuple(marked(row, *split.labels[unit][0]) for row, unit in rows)
        legend = tuple((split.texts[unit][1], tuple(place and place[1:] for place in row)) for row, unit in rows)
        texts = tuple(texts for _, texts in split.labels)
        return replace(encoded, labels=labels, references=texts, legend=legend, truncated=cut)

    @override
    def collate(self, split: TokenisedSplit, rows: np.ndarray, pad_token_id: int) -> Batch:
        """Targets (B, 1 + 2 + S): the number of the window's question in the batch, then its labels."""
        import torch

        inputs = padded_inputs(split, rows, pad_token_id)
        labels = padded(split.labels, rows, inputs["input_ids"].shape[1] + 2, 0)
        unit = split.unit_of_rows[rows]
        number = np.cumsum(np.r_[False, unit[1:] != unit[:-1]])
        return inputs, torch.from_numpy(np.column_stack([number, labels]))

    @override
    def logits(self, out: Any) -> "torch.Tensor":
        """(B, S, 2): how likely each token is the answer's first, its last."""
        import torch

        return torch.stack([out.start_logits, out.end_logits], dim=-1).float()

    @override
    def losses(self, logits: "torch.Tensor", targets: "torch.Tensor") -> Losses:
        """The mean of the cross-entropies of the first and the last token, and of a question's windows (U,)."""
        from torch.nn.functional import nll_loss

        likely = log_likelihoods(logits, targets)
        first, last = (nll_loss(likely[..., i], targets[:, 1 + i], reduction="none") for i in (0, 1))
        windows = targets[:, 0].bincount()
        return first.new_zeros(len(windows)).index_add(0, targets[:, 0], (first + last) / 2) / windows, None

    @override
    def predictions(self, logits: "torch.Tensor", targets: "torch.Tensor") -> list:
        """Of each question (window, first, last): the most likely span of at most LONGEST tokens of the context."""
        import torch

        likely = log_likelihoods(logits, targets).masked_fill((targets[:, 3:] != CONTEXT)[..., None], float("-inf"))
        width = likely.shape[1]
        allowed = torch.ones(width, width, dtype=torch.bool, device=likely.device).triu().tril(LONGEST - 1)
        sums = (likely[:, :, None, 0] + likely[:, None, :, 1]).masked_fill(~allowed, float("-inf"))
        best, places = sums.flatten(1).max(1)
        chosen = []
        for question in range(int(targets[-1, 0]) + 1):
            rows = (targets[:, 0] == question).nonzero()[:, 0]
            window = int(best[rows].argmax())
            chosen.append((window, *divmod(int(places[rows[window]]), width)))
        return chosen

    @override
    def decode(self, predictions: list, split: TokenisedSplit, units: np.ndarray) -> Values:
        """The text of each span."""
        texts = []
        for unit, (window, first, last) in zip(units, predictions):
            context, places = split.legend[np.searchsorted(split.unit_of_rows, unit) + window]
            texts.append(context[places[first][0] : places[last][1]] if places[first] and places[last] else "")
        return texts

    @override
    def references(self, split: TokenisedSplit, units: np.ndarray) -> Values:
        return [split.references[unit] for unit in units]

    @override
    def strata(self, split: TokenisedSplit) -> np.ndarray:
        return np.zeros(len(split), dtype=np.int64)

    @override
    def token_classes(self, split: TokenisedSplit, row: int) -> np.ndarray | None:
        """1 in the answer, 0 in the rest of the context."""
        (first, last), marks = split.labels[row][:2], split.labels[row][2:]
        inside = (np.arange(len(marks)) >= first) & (np.arange(len(marks)) <= last)
        return np.where(marks == CONTEXT, inside.astype(np.int64), -1)


def log_likelihoods(logits: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    """Logits (B, S, 2) -> log-likelihoods (B, S, 2), over the context's tokens and NOWHERE; what a prompt put before the row is left out."""
    marks = targets[:, 3:]
    return logits[:, -marks.shape[1] :].masked_fill((marks == 0)[..., None], float("-inf")).log_softmax(1)


def begun(texts: list[str], tokenizer: Any, most: int) -> tuple[list[str], int]:
    """The texts up to their first tokens, and how many were longer."""
    offsets = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    cut = [text[: places[most - 1][1]] if len(places) > most else text for text, places in zip(texts, offsets)]
    return cut, sum(len(places) > most for places in offsets)


def marked(places: Places, begin: int, end: int) -> np.ndarray:
    """Tokens' places and the answer's in the context -> first, last and marks; 0 and 0 where it is not there whole."""
    marks = np.array([CONTEXT if place and place[0] == 1 else 0 for place in places], dtype=np.int64)
    inside = [n for n, p in enumerate(places) if p and marks[n] and p[1] < end and p[2] > begin]
    whole = inside and (last := places[inside[-1]]) and last[2] >= end
    marks[0] = marks[0] or NOWHERE
    return np.concatenate([[inside[0], inside[-1]] if whole else [0, 0], marks])


def answers(value: Any) -> tuple[list[str], list[int]]:
    """SQuAD's {text: [...], answer_start: [...]}, the same as JSON, a text or a list of texts -> texts and their places."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        with suppress(json.JSONDecodeError):  # else it is a text that begins so
            value = json.loads(value)
    begins = []
    if isinstance(value, dict):
        value, begins = value.get("text"), value.get("answer_start")
    texts = value if isinstance(value, list | tuple | np.ndarray) else [value]
    begins = begins if isinstance(begins, list | tuple | np.ndarray) else [] if begins is None else [begins]
    return [text for text in texts if isinstance(text, str) and text.strip()], list(begins)


def span(found: tuple[list[str], list[int]], context: str) -> tuple[tuple[int, int], tuple[str, ...]] | None:
    """Answers -> ((begin, end) in the context of the first that stands there, all of them), or None."""
    texts, begins = found
    for text, begin in zip(texts, begins):
        if isinstance(begin, int | np.integer) and context[begin : begin + len(text)] == text:
            return (int(begin), int(begin) + len(text)), tuple(texts)
    for text in texts:
        for where, what in ((context, text.strip()), (context.lower(), text.strip().lower())):
            if (begin := where.find(what)) >= 0 and len(where) == len(context):
                return (begin, begin + len(what)), tuple(texts)
    return None
