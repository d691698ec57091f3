"""Instruction tuning: a response to a prompt or a chat; the loss is on what the assistant says alone."""

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from typing_extensions import override

from autopeft.base.errors import AutopeftError
from autopeft.tasks.kind import Asked, Read
from autopeft.tasks.language import IGNORED, LanguageModelling, ends, log_likelihood, split_of
from autopeft.tasks.metrics import exact_match, rouge_l
from autopeft.tasks.task import Split
from autopeft.tasks.tokens import Encoding, TokenisedSplit

if TYPE_CHECKING:
    from autopeft.tasks.builtin import Frames


Chat = tuple[tuple[str, str], ...]  # (role, content) of each turn
PLAIN = {"system": "{}\n\n", "user": "User: {}\n", "assistant": "Assistant: {}"}  # without a chat template


class Instruction(LanguageModelling):
    """The loss is on the assistant's turns, each up to the token that ends it."""

    name = "instruction"
    title = "instruction tuning"
    columns = "prompt and response, or messages (a list of {role, content})"
    example = "autopeft search --model smollm2-135m --data chats.jsonl --task instruction"
    metrics = {"log-likelihood": log_likelihood, "exact-match": exact_match, "rouge-l": rouge_l}

    @override
    def read(self, frames: "Frames", asked: Asked) -> Read:
        from autopeft.tasks.messages import read_messages

        return read_messages(frames, asked)

    @override
    def encode(self, split: Split, encoding: Encoding) -> TokenisedSplit:
        made = [tokens_of(messages, encoding.tokenizer) for messages in split.texts]
        rows = [fitted(ids, labels, encoding.max_length) for ids, labels in made]
        truncated = sum(len(ids) > encoding.max_length for ids, _ in made)
        return split_of(self, rows, truncated, references=split.labels)

    @override
    def pairs(self, split: Split, tokenizer: Any) -> Iterator[tuple[str, str]]:
        begin, end = ends(tokenizer)
        for messages in split.texts:
            for asked, said in turns(messages, tokenizer):
                yield asked.removeprefix(begin), said.rpartition(end)[0] if end and end in said else said

    @override
    def generates(self, metric: str) -> bool:
        return metric in ("exact-match", "rouge-l") or ":" in metric

    @override
    def prompts(self, split: TokenisedSplit, units: np.ndarray) -> list[np.ndarray]:
        return [split.input_ids[i][: start_of_response(split.labels[i])] for i in units]


def tokens_of(messages: Chat, tokenizer: Any) -> tuple[list[int], list[int]]:
    """((role, content), ...) -> tokens, and the labels: the assistant's turns up to the token that ends each.

    By the tokenizer's chat template if it has one; a turn begins where the template's prompt for it ends.
    """
    ids: list[int] = []
    labels: list[int] = []
    before = ""
    for prompt, response in turns(messages, tokenizer):
        if not prompt.startswith(before):
            raise AutopeftError(
                "The tokenizer's chat template writes earlier turns anew when a later one is added: give one response "
                "a row (prompt and response columns)."
            )
        asked = encoded(tokenizer, prompt[len(before) :], first=not ids)
        said = encoded(tokenizer, response, first=False)
        spoken = up_to_end(said, tokenizer.eos_token_id)
        ids += asked + said
        labels += [IGNORED] * len(asked) + said[:spoken] + [IGNORED] * (len(said) - spoken)
        before = prompt + response
    return ids, labels


def turns(messages: Chat, tokenizer: Any) -> Iterator[tuple[str, str]]:
    """(all before it, what it says) of each of the assistant's turns, as the chat is written."""
    for turn, (role, _) in enumerate(messages):
        if role == "assistant":
            prompt, whole = written(messages[:turn], tokenizer, True), written(messages[: turn + 1], tokenizer, False)
            start = len(os.path.commonprefix([prompt, whole]))
            yield whole[:start], whole[start:]


def written(messages: Chat, tokenizer: Any, answer: bool) -> str:
    """The chat as one text; with answer, up to where the assistant is to speak."""
    if tokenizer.chat_template:
        chat = [{"role": role, "content": content} for role, content in messages]
        return tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=answer)
    end = tokenizer.eos_token or ""
    texts = [PLAIN[role].format(content) + (f"{end}\n" if role == "assistant" else "") for role, content in messages]
    return "".join(texts) + ("Assistant:" if answer else "")


def encoded(tokenizer: Any, text: str, first: bool) -> list[int]:
    """Tokens of a piece; the tokens that a tokenizer puts before a text only at the beginning, if not written there."""
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    bos = tokenizer.bos_token_id
    adds = first and not tokenizer.chat_template and bos is not None and tokenizer("")["input_ids"][:1] == [bos]
    return [bos, *ids] if adds else ids


def up_to_end(ids: list[int], end: int | None) -> int:
    """How many tokens there are up to the last that ends a text; all where there is none."""
    return max((i for i, token in enumerate(ids, 1) if token == end), default=len(ids))


def start_of_response(labels: Sequence[int] | np.ndarray) -> int:
    """The place of the first token of the last response."""
    said = np.asarray(labels) != IGNORED
    return int(np.flatnonzero(said & ~np.concatenate([[False], said[:-1]]))[-1])


def fitted(ids: list[int], labels: list[int], max_length: int) -> tuple[list[int], list[int]]:
    """A window of max_length tokens around the beginning of the last response, which gets at least half of it."""
    start = start_of_response(labels)
    response = min(len(ids) - start, max(max_length // 2, max_length - start))
    begin = max(0, start + response - max_length)
    return ids[begin : begin + max_length], labels[begin : begin + max_length]
