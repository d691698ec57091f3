"""Multiple choice by a decoder: each option is scored by its likelihood as the answer to the question."""

import numpy as np

from autopeft.tasks.kind import Asked, Read, TaskKind
from autopeft.tasks.language import IGNORED, LanguageModelling, split_of, window
from autopeft.tasks.metrics import accuracy

PROMPT, OPTION = "Question: {}\nAnswer:", " {}"


class Choice(LanguageModelling):
    """Shapes: U questions of a batch, B rows (an option each), K predicted positions."""

    name = "choice"
    title = "multiple choice by likelihood"
    columns = "question, choices (a list, or a column each), label (number, letter or text of the right one)"
    example = "autopeft search --model smollm2-135m --data openbookqa --task choice"
    metrics = {"accuracy": accuracy, "raw-accuracy": accuracy}

    def read(self, frames, asked: Asked) -> Read:
        from autopeft.tasks.choices import read_choices

        return read_choices(frames, asked)

    def encode(self, split, encoding):
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

    def pairs(self, split, tokenizer):
        """The right options, which are not compared with the others."""
        for (question, options), right in zip(split.texts, split.labels):
            yield PROMPT.format(question), OPTION.format(options[int(right)])

    def collate(self, split, rows, pad_token_id):
        """Targets (B, 2 + K): the number of the row's question, whether its option is the right one, its tokens."""
        import torch

        inputs, tokens = super().collate(split, rows, pad_token_id)
        unit = split.groups[rows]
        right = rows - np.searchsorted(split.groups, unit) == np.asarray(split.references)[unit]
        number = np.cumsum(np.r_[False, unit[1:] != unit[:-1]])  # in the order of the batch
        heads = np.stack([number, right], axis=1)
        return inputs, torch.cat([torch.from_numpy(heads), tokens], dim=1)

    def losses(self, logits, targets):
        """Cross-entropy (U,) of the right option among the options' mean log-likelihoods per token.

        The third loss of T-Few (Liu et al. 2022, arXiv 2205.05638, section 3.2): what the metric compares is trained,
        and the options of a question are in the batch anyway.
        """
        import torch

        means, _, units, right = self.scores(logits, targets)
        return torch.stack(
            [torch.logsumexp(means[units == u], 0) - means[(units == u) & right][0] for u in units.unique()]
        ), None

    def weight(self, split, rows):
        return TaskKind.weight(self, split, rows)

    def scores(self, logits, targets) -> tuple:
        """Mean log-likelihood per token, its sum, the question and whether it is right, of each row (B,)."""
        sums, counts = self.log_likelihoods(logits, targets[:, 2:])
        return sums / counts, sums, targets[:, 0], targets[:, 1].bool()

    def predictions(self, logits, targets) -> list:
        """(option of the highest likelihood per token, option of the highest likelihood) of each question."""
        means, sums, units, _ = self.scores(logits, targets)
        return [(int(means[units == u].argmax()), int(sums[units == u].argmax())) for u in units.unique()]

    def references(self, split, units):
        return np.asarray(split.references)[units]

    def true_rows(self, split):
        return np.searchsorted(split.groups, np.arange(split.number_of_units)) + np.asarray(split.references)

    def score(self, metric, references, predictions):
        return super().score(metric, references, [p[metric == "raw-accuracy"] for p in predictions])
