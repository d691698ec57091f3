"""Multiple choice by a decoder: each option is scored by its likelihood as the answer to the question."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from autopeft.tasks.kind import Asked, Batch, Losses, Metric, Read, TaskKind, Values
from autopeft.tasks.language import IGNORED, LanguageModelling, split_of, window
from autopeft.tasks.task import Split
from autopeft.tasks.tokens import Encoding, TokenisedSplit
from autopeft.tasks.unit_metrics import MeanOverUnits

if TYPE_CHECKING:
    import torch

    from autopeft.tasks.builtin import Frames


@MeanOverUnits
def by_mean(labels: Values, predictions: Values) -> np.ndarray:
    """The share of questions whose option of the highest likelihood per token is right."""
    return np.asarray(labels) == firsts(predictions)


@MeanOverUnits
def by_sum(labels: Values, predictions: Values) -> np.ndarray:
    """The share of questions whose option of the highest likelihood is right."""
    return np.asarray(labels) == [option for _, option in predictions]


PROMPT, OPTION = "Question: {}\nAnswer:", " {}"


class Choice(LanguageModelling):
    """Shapes: U questions of a batch, B rows (an option each), K predicted positions."""

    name = "choice"
    title = "multiple choice by likelihood"
    columns = "question, choices (a list, or a column each), label (number, letter or text of the right one)"
    example = "autopeft search --model smollm2-135m --data openbookqa --task choice"
    metrics = {"accuracy": by_mean, "raw-accuracy": by_sum}

    @override
    def read(self, frames: "Frames", asked: Asked) -> Read:
        from autopeft.tasks.choices import read_choices

        return read_choices(frames, asked)

    @override
    def encode(self, split: Split, encoding: Encoding) -> TokenisedSplit:
        tokenizer, rows, truncated, sizes = encoding.tokenizer, [], 0, []
        prompts = tokenizer([PROMPT.format(q) for q, _ in split.texts], return_attention_mask=False)["input_ids"]
        for prompt, (_, options) in zip(prompts, split.texts):
            said = tokenizer([OPTION.format(o) for o in options], add_special_tokens=False)["input_ids"]
            longest = max(map(len, said))
            truncated += len(options) * (len(prompt) + longest > encoding.max_length)
            sizes.append(len(options))
            for option in said:
                context, target = window(prompt, option, encoding.max_length, longest)
                rows.append((context + target, [IGNORED] * len(context) + target))
        groups = np.repeat(np.arange(len(sizes)), sizes)
        return split_of(self, rows, truncated, groups=groups, references=split.labels)

    @override
    def pairs(self, split: Split, tokenizer: Any) -> Iterator[tuple[str, str]]:
        """The right options, which are not compared with the others."""
        for (question, options), right in zip(split.texts, split.labels):
            yield PROMPT.format(question), OPTION.format(options[int(right)])

    @override
    def collate(self, split: TokenisedSplit, rows: np.ndarray, pad_token_id: int) -> Batch:
        """Targets (B, 2 + K): the number of the row's question, whether its option is the right one, its tokens."""
        import torch

        inputs, tokens = super().collate(split, rows, pad_token_id)
        unit = split.unit_of_rows[rows]
        right = rows - np.searchsorted(split.unit_of_rows, unit) == np.asarray(split.references)[unit]
        number = np.cumsum(np.r_[False, unit[1:] != unit[:-1]])  # in the order of the batch
        heads = np.stack([number, right], axis=1)
        return inputs, torch.cat([torch.from_numpy(heads), tokens], dim=1)

    @override
    def losses(self, logits: "torch.Tensor", targets: "torch.Tensor") -> Losses:
        """Cross-entropy (U,) of the right option among the options' mean log-likelihoods per token.

        The third loss of T-Few (Liu et al. 2022, arXiv 2205.05638, section 3.2): what the metric compares is trained,
        and the options of a question are in the batch anyway.
        """
        import torch

        means, _, units, right = self.scores(logits, targets)
        return torch.stack(
            [torch.logsumexp(means[units == u], 0) - means[(units == u) & right][0] for u in units.unique()]
        ), None

    @override
    def weight(self, split: TokenisedSplit, rows: np.ndarray) -> float:
        return TaskKind.weight(self, split, rows)

    def scores(self, logits: "torch.Tensor", targets: "torch.Tensor") -> "tuple[torch.Tensor, ...]":
        """Mean log-likelihood per token, its sum, the question and whether it is right, of each row (B,)."""
        sums, counts = self.log_likelihoods(logits, targets[:, 2:])
        return sums / counts, sums, targets[:, 0], targets[:, 1].bool()

    @override
    def predictions(self, logits: "torch.Tensor", targets: "torch.Tensor") -> list:
        """(option of the highest likelihood per token, option of the highest likelihood) of each question."""
        means, sums, units, _ = self.scores(logits, targets)
        return [(int(means[units == u].argmax()), int(sums[units == u].argmax())) for u in units.unique()]

    @override
    def references(self, split: TokenisedSplit, units: np.ndarray) -> Values:
        return np.asarray(split.references)[units]

    @override
    def true_rows(self, split: TokenisedSplit) -> np.ndarray:
        return np.searchsorted(split.unit_of_rows, np.arange(split.number_of_units)) + np.asarray(split.references)

    @override
    def metric(self, name: str) -> Metric:
        """One of the user's own reads the options of the highest likelihood per token."""
        found = super().metric(name)
        return found if name in self.metrics else lambda references, predictions: found(references, firsts(predictions))


def firsts(predictions: Values) -> list[int]:
    """(option per token, option by sum) of each question -> the former."""
    return [option for option, _ in predictions]
