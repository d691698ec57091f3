"""What a tokenizer does not know is measured: said where it is little, refused where it is most."""

import pytest

from autopeft.base.errors import AutopeftError
from autopeft.tasks.task import Split, Task
from autopeft.tasks.token_checks import check_room, check_tokens
from autopeft.tasks.tokens import TokenisedTask, tokenise

SPECIAL = {f"{what}_token": f"[{what.upper()}]" for what in ("unk", "pad", "cls", "sep")}


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIAL.values(), *["a", "b", "c", "d", "e", "f", "g", "h"]]
    made = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(tokenizer_object=made, **SPECIAL)


def tokenised(tokenizer, *texts: str, max_length: int = 16) -> TokenisedTask:
    split = Split(texts, (0,) * len(texts))
    return tokenise(Task("toy", ("x", "y"), "accuracy", split, split, split), tokenizer, max_length)


def notes(tokenizer, *texts: str, max_length: int = 16) -> tuple[str, ...]:
    made = tokenised(tokenizer, *texts, max_length=max_length)
    check_tokens(made)
    return made.notes


def test_nothing_is_said_of_texts_that_the_tokenizer_knows(tokenizer):
    assert notes(tokenizer, "a b c", "d e") == ()


def test_a_few_unknown_tokens_empty_rows_and_rows_that_were_cut_are_said(tokenizer):
    assert notes(tokenizer, "a b c q", "d e f g") == ("12.5 % of the tokens are unknown to the tokenizer.",)
    assert notes(tokenizer, "a b", " ", "c") == ("3 of 9 rows are empty once tokenised.",)
    cut = "3 of 6 rows (50 %) are longer than 4 tokens and were cut (--max-length)."
    assert notes(tokenizer, "a b c d e f", "a", max_length=4) == (cut,)


def test_texts_of_which_most_is_unknown_or_empty_are_refused(tokenizer):
    with pytest.raises(AutopeftError, match="The tokenizer knows 25 % of the tokens of toy"):
        notes(tokenizer, "x y z a", "u v w a")
    with pytest.raises(AutopeftError, match="6 of 9 rows of toy are empty once tokenised"):
        notes(tokenizer, "a b", "", " ")


def test_rows_beyond_the_positions_and_tokens_beyond_the_vocabulary_are_refused(tokenizer):
    made = tokenised(tokenizer, "a b c", "d")
    check_room(made, positions=3, vocabulary=8, name="m")
    check_room(made, positions=None, vocabulary=None, name="m")
    with pytest.raises(AutopeftError, match="A row of toy has 3 tokens, and m has 2 positions: .* --max-length 2"):
        check_room(made, positions=2, vocabulary=8, name="m")
    with pytest.raises(AutopeftError, match="makes token 7, and the model has 7"):
        check_room(made, positions=3, vocabulary=7, name="m")
