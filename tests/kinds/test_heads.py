"""Heads that read every token, on every tiny encoder: found, trained, and the same with stored hidden states."""

from dataclasses import replace

import numpy as np
import pytest
import transformers
from tiny import LABELS, PAD, tiny_config, tiny_task

from autopeft.backbone.blocks import describe
from autopeft.backbone.loading import Backbone
from autopeft.backbone.prefix import PrefixCache
from autopeft.configuration import Configuration
from autopeft.methods import get_method
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer
from autopeft.tasks.kind import get_kind

ENCODERS = ["bert", "roberta", "deberta-v2", "distilbert", "modernbert"]


def tokens_of(kind: str):
    """The tiny task with a tag for each token, or with the third and fourth token as the answer."""
    made = tiny_task()
    split = replace(made.train, kind=kind)
    if kind == "token-classification":
        tags = tuple(ids.astype(np.int64) % LABELS for ids in split.input_ids)
        words = tuple(tuple(range(len(row))) for row in tags)
        named = tuple(tuple("abc"[t] for t in row) for row in tags)
        split = replace(split, labels=tags, references=named, legend=(("a", "b", "c"), words))
    else:
        marks = tuple(np.array([2, 3, 2, *[1] * (n - 1)]) for n in split.lengths)
        places = tuple((n - 1) * "x" for n in split.lengths)
        legend = tuple((text, (None, *((i, i + 1) for i in range(len(text))))) for text in places)
        each = np.arange(len(split))
        split = replace(split, labels=marks, references=(("xx",),) * len(split), legend=legend, groups=each)
    task = replace(made.task, kind=kind, metric=next(iter(get_kind(kind).metrics)))
    return replace(made, train=split, validation=split, test=split, pad_token_id=PAD, task=task)


@pytest.mark.parametrize("kind", ["token-classification", "question-answering"])
@pytest.mark.parametrize("model_type", ENCODERS)
def test_a_head_over_tokens_is_found_and_trained(model_type, kind, tmp_path):
    config = tiny_config(model_type)
    config.num_labels = 2 if kind == "question-answering" else LABELS
    auto = getattr(transformers, get_kind(kind).auto_model)
    model = auto.from_config(config, attn_implementation="eager").eval().requires_grad_(False)
    shapes = describe(model, model_type, kind)
    assert shapes.head_modules[-1] in ("classifier", "qa_outputs") and len(shapes.block_parameters) == 3
    new = tuple(n for n, _ in model.named_parameters() if n.startswith(tuple(f"{h}." for h in shapes.head_modules)))
    backbone, tokenised = Backbone(model_type, model, None, shapes, new), tokens_of(kind)
    job = Job(Configuration.of("lora", get_method("lora").defaults, (1, 2), 1e-2), 0, 3, 3, keep_state=True)
    cache = PrefixCache(backbone, tokenised, 10**8, tmp_path)
    plain, *stored = (Trainer(backbone, tokenised, 8, prefix=p).run([job])[0] for p in (None, cache, cache))
    assert not plain.failure and cache.read_rows
    assert all(done.state == plain.state for done in stored)
