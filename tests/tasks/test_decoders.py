"""Decoder tasks: what is read, which tokens are predicted, and how options are compared."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_lm import smollm2_tokenizer
from tokenizers.processors import TemplateProcessing

from autopeft.base.errors import AutopeftError
from autopeft.tasks.batches import collate
from autopeft.tasks.kind import Asked, get_kind
from autopeft.tasks.kinds.instruction import tokens_of
from autopeft.tasks.language import IGNORED, ends, window
from autopeft.tasks.metrics import exact_match, rouge_l
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import tokenise

PROMPTS = [f"Is {i} odd or even?" for i in range(20)]
WORDS = ["even" if i % 2 == 0 else "odd" for i in range(20)]


def task(kind: str, metric: str | None = None, **columns) -> Task:
    kind = get_kind(kind)
    made = kind.read({"train": pd.DataFrame(columns)}, Asked("made.jsonl"))
    return Task("made", made.label_names, metric or kind.default_metric, **made.splits, kind=kind)


def predicted(split, row: int) -> str:
    labels = np.asarray(split.labels[row])
    assert (labels[labels != IGNORED] == split.input_ids[row][labels != IGNORED]).all()
    return smollm2_tokenizer().decode(labels[labels != IGNORED])


def chats() -> list:
    return [
        [{"role": "user", "content": p}, {"role": "assistant", "content": w}, {"role": "user", "content": "Sure?"}]
        + [{"role": "assistant", "content": "Yes."}]
        for p, w in zip(PROMPTS, WORDS)
    ]


def test_the_loss_is_on_the_responses_and_their_end_alone():
    split = tokenise(task("instruction", prompt=PROMPTS, response=WORDS), smollm2_tokenizer(), 64).train
    text = smollm2_tokenizer().decode(split.input_ids[0])
    assert text.startswith("<|im_start|>system") and text.endswith(f"<|im_start|>assistant\n{WORDS[0]}<|im_end|>\n")
    assert predicted(split, 0) == f"{WORDS[0]}<|im_end|>" and split.references[0] == WORDS[0]
    prompt = smollm2_tokenizer().decode(get_kind("instruction").prompts(split, np.array([0]))[0])
    assert text.startswith(prompt) and prompt.endswith("assistant\n")


def test_every_turn_of_the_assistant_is_predicted():
    split = tokenise(task("instruction", messages=chats()), smollm2_tokenizer(), 96).train
    assert predicted(split, 1) == f"{WORDS[1]}<|im_end|>Yes.<|im_end|>" and split.references[1] == "Yes."
    whole = smollm2_tokenizer().apply_chat_template(chats()[1], tokenize=True)["input_ids"]
    assert split.input_ids[1].tolist() == whole


def test_a_tokenizer_without_a_chat_template_writes_plainly():
    from transformers import AutoTokenizer

    plain = AutoTokenizer.from_pretrained(smollm2_tokenizer().name_or_path)
    plain.chat_template = None
    split = tokenise(task("instruction", instruction=PROMPTS, input=["", *WORDS[1:]], output=WORDS), plain, 64).train
    assert plain.decode(split.input_ids[0]) == f"User: {PROMPTS[0]}\nAssistant: {WORDS[0]}<|im_end|>\n"
    assert predicted(split, 1).strip() == f"{WORDS[1]}<|im_end|>"
    assert plain.decode(split.input_ids[1]).startswith(f"User: {PROMPTS[1]}\n\n{WORDS[1]}\nAssistant:")


def test_a_row_too_long_keeps_the_beginning_of_its_response_and_the_prompt_before_it():
    long = task("instruction", prompt=["word " * 90 + p for p in PROMPTS], response=["yes " * 90] * 20)
    split = tokenise(long, smollm2_tokenizer(), 32).train
    assert split.truncated == len(split) and (split.lengths == 32).all()
    assert ((np.stack(split.labels) != IGNORED).sum(1) == 16).all()
    assert window(list(range(10)), [1, 2], 6, longest=3) == ([7, 8, 9], [1, 2])
    assert window([1], list(range(9)), 6) == ([1], [0, 1, 2, 3, 4])


def test_a_long_text_becomes_rows_that_lose_nothing():
    made = task("causal-lm", text=[f"{i} " + "a b c d " * 20 for i in range(20)])
    split = tokenise(made, smollm2_tokenizer(), 32).train
    tokens = [t for row in split.input_ids for t in row]
    whole = [
        t for x in made.train.texts for t in [*smollm2_tokenizer()(x)["input_ids"], smollm2_tokenizer().eos_token_id]
    ]
    assert tokens == whole and len(split) > len(made.train) and max(split.lengths) == 32


def test_only_the_positions_that_predict_go_through_the_head():
    tokenised = tokenise(task("instruction", prompt=PROMPTS, response=WORDS), smollm2_tokenizer(), 64)
    inputs, targets = collate(tokenised.train, np.array([0, 1]), 0)
    keep, width = inputs["logits_to_keep"], inputs["input_ids"].shape[1]
    assert targets.shape == (2, len(keep)) and (keep < 0).all()
    for row in (0, 1):
        said = targets[row] != IGNORED
        assert (inputs["input_ids"][row][keep[said] + width + 1] == targets[row][said]).all() and said.sum() == 2


def quiz(**columns):
    options = [[f"{w} indeed", "prime"] if i % 3 else ["prime", f"{w} indeed", "odd"] for i, w in enumerate(WORDS)]
    return task("choice", question=PROMPTS, choices=options, label=[0 if i % 3 else 1 for i in range(20)], **columns)


def test_options_are_compared_by_their_likelihood():
    tokenised, kind = tokenise(quiz(), smollm2_tokenizer(), 32), get_kind("choice")
    split = tokenised.train
    rows = split.expand(np.array([2, 0]))
    inputs, targets = collate(split, rows, 0)
    logits = torch.randn(len(rows), targets.shape[1] - 2, 49152, generator=torch.Generator().manual_seed(0))
    per_row = []
    for row, tokens in zip(logits.log_softmax(-1), targets[:, 2:]):
        said = tokens != IGNORED
        per_row.append(row[said].gather(1, tokens[said][:, None]).sum().item() / said.sum().item())
    losses, weights = kind.losses(logits, targets)
    sizes = [len(tokenised.task.train.texts[unit][1]) for unit in (2, 0)]
    found = torch.tensor(per_row).split(sizes)  # in the order of the batch
    expected = [torch.logsumexp(means, 0) - means[split.references[unit]] for unit, means in zip((2, 0), found)]
    torch.testing.assert_close(losses, torch.stack(expected), atol=1e-4, rtol=1e-4)
    assert weights is None and sorted(sizes) == [2, 3]
    assert [p for p, _ in kind.predictions(logits, targets)] == [int(means.argmax()) for means in found]


def test_the_two_accuracies_read_the_two_predictions():
    kind = get_kind("choice")
    assert (
        kind.score("accuracy", [0, 1], [(0, 1), (1, 0)]) == 1
        and kind.score("raw-accuracy", [0, 1], [(0, 1), (1, 0)]) == 0
    )


def test_texts_are_compared_word_by_word():
    assert exact_match(["The  cat", "a"], ["the cat", "b"]) == 0.5
    assert rouge_l(["police killed the gunman"], ["police kill the gunman"]) == 0.75  # Lin 2004, section 3.1
    assert rouge_l(["police killed the gunman"], ["the gunman kill police"]) == 0.5
    assert rouge_l(["a"], [""]) == 0


@pytest.mark.parametrize(
    "columns, sentence",
    [
        ({"prompt": PROMPTS}, "holds the responses"),
        ({"prompt": [1] * 20, "response": WORDS}, "Row 1 of made.jsonl holds int 1"),
        ({"messages": [[{"role": "robot", "content": "x"}]] * 20}, "Row 1 of made.jsonl is no chat"),
        ({"messages": [[{"role": "user", "content": "x"}]] * 20}, "No row of made.jsonl has a response"),
    ],
)
def test_what_is_no_instruction_is_refused(columns, sentence):
    with pytest.raises(AutopeftError, match=sentence):
        task("instruction", **columns)


def test_chats_may_be_json_and_of_other_names():
    turns = [json.dumps([{"from": "human", "value": p}, {"from": "gpt", "value": w}]) for p, w in zip(PROMPTS, WORDS)]
    assert task("instruction", conversations=turns).train.texts[0][1] == ("assistant", WORDS[0])


def test_an_encoder_is_refused_for_a_decoders_task():
    from tiny import tiny_model

    from autopeft.backbone.blocks import describe

    with pytest.raises(AutopeftError, match="bert encoder and multiple choice by likelihood is for decoders"):
        describe(tiny_model("bert"), "my-bert", get_kind("choice"))


CHAT = (
    ("system", "Be brief."),
    ("user", "2 + 2?"),
    ("assistant", "4"),
    ("user", "and 3 + 3?"),
    ("assistant", "6 it is"),
)


@pytest.mark.parametrize("template", [True, False])
def test_pairs_are_the_same_tokens_as_texts(template):
    """What another trainer reads: each response behind all before it, without the token that ends it."""
    tokenizer = copy.deepcopy(smollm2_tokenizer())
    tokenizer.chat_template = tokenizer.chat_template if template else None
    pairs = list(get_kind("instruction").pairs(Split((CHAT,), ("6 it is",)), tokenizer))
    assert [said.strip() for _, said in pairs] == ["4", "6 it is"] and pairs[0][0] in pairs[1][0]
    ids, labels = tokens_of(CHAT, tokenizer)
    prompt, said = (tokenizer(text)["input_ids"] for text in pairs[1])
    end = tokenizer.eos_token_id
    learnt = max(n for n, label in enumerate(labels, 1) if label != IGNORED)
    assert [*prompt, *said, end] == ids[:learnt] and labels[len(prompt) : learnt] == [*said, end]


def test_a_token_that_the_tokenizer_puts_first_is_not_written_twice():
    """As Llama's does, whose chat template writes it as well."""
    tokenizer = copy.deepcopy(smollm2_tokenizer())
    assert ends(tokenizer) == ("", tokenizer.eos_token)
    first = tokenizer.bos_token
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{first} $A", special_tokens=[(first, tokenizer.bos_token_id)]
    )
    assert ends(tokenizer) == (first, tokenizer.eos_token)
    ((prompt, said),) = get_kind("instruction").pairs(Split((CHAT[:3],), ("4",)), tokenizer)
    assert not prompt.startswith(first)
    ids, _ = tokens_of(CHAT[:3], tokenizer)
    assert tokenizer(prompt + said)["input_ids"] == ids[: len(tokenizer(prompt + said)["input_ids"])]
