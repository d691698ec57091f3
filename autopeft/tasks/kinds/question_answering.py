"""Extractive question answering: a question and a context, the span of the context that answers it."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd

from autopeft.errors import AutopeftError
from autopeft.tasks.answer_metrics import answer_f1, exact_answer
from autopeft.tasks.kind import Asked, Read, TaskKind

QUESTIONS = ("question", "query", "text")
CONTEXTS = ("context", "passage", "document", "paragraph", "text2")
ANSWERS = ("answers", "answer", "label", "labels")
LONGEST = 30  # tokens of a predicted span, as in the reference implementation of BERT on SQuAD
CONTEXT, NOWHERE = (
    1,
    2,
)  # marks of a row's tokens: one of the context, and the first, the target of an answer that was cut


class QuestionAnswering(TaskKind):
    """A context that is too long is cut at its end; a question whose answer is cut away counts as answered wrongly."""

    name = "question-answering"
    title = "question answering"
    columns = "question, context, answers (as SQuAD has them, or texts of the context)"
    example = "autopeft search --data sciq-spans --max-length 128"
    auto_model = "AutoModelForQuestionAnswering"
    peft_task_type = "QUESTION_ANS"
    pipeline_tag = "question-answering"
    metrics = {"f1": answer_f1, "exact-match": exact_answer}
    row_level = False

    def read(self, frames, asked: Asked) -> Read:
        from autopeft.tasks.columns import Column, clean_texts, pick_columns, refuse_or_drop
        from autopeft.tasks.splits import cap, cap_notes, cut, remove_duplicates
        from autopeft.tasks.task import Split

        name = asked.name
        wanted = {
            "text": Column(asked.text, QUESTIONS, "questions", "--text"),
            "text2": Column(asked.text_pair, CONTEXTS, "contexts", "--text-pair"),
            "label": Column(asked.label, ANSWERS, "answers", "--label"),
        }
        frames, notes = clean_texts(pick_columns(frames, name, wanted, asked.group), name)
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
        frames, duplicates = remove_duplicates(frames)
        frames, cuts = cut(frames, name, asked.seed)
        capped = {part: cap(frame, asked.rows.get(part), asked.seed) for part, frame in frames.items()}
        splits = {
            part: Split(tuple(zip(frame["text"], frame["text2"])), tuple(frame["label"]))
            for part, frame in capped.items()
        }
        return Read((), splits, (*notes, *duplicates, *cuts, *cap_notes(frames, capped)))

    def outputs(self, task) -> int:
        return 2

    def encode(self, split, encoding):
        """Labels of a row of S tokens: its answer's first and last token, then a mark for each token (S + 2,)."""
        from autopeft.tasks.tokens import encode_with_places

        encoded, places = encode_with_places(split, encoding, self.name)
        labels = tuple(marked(row, *label[0]) for row, label in zip(places, split.labels))
        legend = tuple(
            (context, tuple(place and place[1:] for place in row)) for (_, context), row in zip(split.texts, places)
        )
        return replace(encoded, labels=labels, references=tuple(texts for _, texts in split.labels), legend=legend)

    def collate(self, split, rows, pad_token_id):
        import torch

        from autopeft.tasks.batches import padded, padded_inputs

        inputs = padded_inputs(split, rows, pad_token_id)
        width = inputs["input_ids"].shape[1]
        return inputs, torch.from_numpy(padded(split.labels, rows, width + 2, 0))

    def logits(self, out):
        """(B, S, 2): how likely each token is the answer's first, its last."""
        import torch

        return torch.stack([out.start_logits, out.end_logits], dim=-1).float()

    def losses(self, logits, targets):
        """The mean of the cross-entropies of the first and the last token, over the context's tokens and NOWHERE."""
        from torch.nn.functional import cross_entropy

        marks = targets[:, 2:]
        logits = logits[:, -marks.shape[1] :].masked_fill((marks == 0)[..., None], float("-inf"))
        first, last = (cross_entropy(logits[..., i], targets[:, i], reduction="none") for i in (0, 1))
        return (first + last) / 2, None

    def predictions(self, logits, targets) -> list:
        """Of each row the span (first, last) of at most LONGEST tokens of the context with the highest sum."""
        import torch

        marks = targets[:, 2:]
        width = marks.shape[1]
        logits = logits[:, -width:].masked_fill((marks != CONTEXT)[..., None], float("-inf"))
        sums = logits[:, :, None, 0] + logits[:, None, :, 1]
        allowed = torch.ones(width, width, dtype=torch.bool, device=sums.device).triu().tril(LONGEST - 1)
        best = sums.masked_fill(~allowed, float("-inf")).flatten(1).argmax(1).tolist()
        return [divmod(place, width) for place in best]

    def decode(self, predictions, split, units):
        """The text of each span."""
        texts = []
        for unit, (first, last) in zip(units, predictions):
            context, places = split.legend[unit]
            texts.append(context[places[first][0] : places[last][1]] if places[first] and places[last] else "")
        return texts

    def references(self, split, units):
        return [split.references[unit] for unit in units]

    def strata(self, split):
        return np.zeros(len(split), dtype=np.int64)

    def token_classes(self, split, row):
        """1 in the answer, 0 in the rest of the context."""
        first, last, marks = *split.labels[row][:2], split.labels[row][2:]
        inside = (np.arange(len(marks)) >= first) & (np.arange(len(marks)) <= last)
        return np.where(marks == CONTEXT, inside.astype(np.int64), -1)


def marked(places: list, begin: int, end: int) -> np.ndarray:
    """Tokens' places and the answer's in the context -> first, last and marks; 0 and 0 where the answer was cut."""
    marks = np.array([CONTEXT if place and place[0] == 1 else 0 for place in places], dtype=np.int64)
    inside = [n for n, place in enumerate(places) if marks[n] and place[1] < end and place[2] > begin]
    whole = inside and places[inside[-1]][2] >= end
    marks[0] = marks[0] or NOWHERE
    return np.concatenate([[inside[0], inside[-1]] if whole else [0, 0], marks])


def answers(value) -> tuple[list[str], list[int]]:
    """SQuAD's {text: [...], answer_start: [...]}, the same as JSON, a text or a list of texts -> texts and their places."""
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            pass
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
