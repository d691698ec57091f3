"""A head that starts as the language model's own words: its logits are the language model's."""

import pytest
import torch
from tiny import tiny_config

from autopeft.backbone.loading import load_backbone
from autopeft.backbone.verbalisers import words_of
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods.mechanisms.attach import attached

WORDS = ["<pad>", "<unk>", "<s>", "</s>", "it", "was", "good", "bad", "fine", "film"]


def checkpoint(folder, model_type: str, tied: bool):
    """A tiny language model with a tokenizer of ten words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {"pad_token": "<pad>", "unk_token": "<unk>", "eos_token": "</s>"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    config = tiny_config(model_type)
    config.tie_word_embeddings, config.pad_token_id = tied, 0
    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("model_type, tied", [("llama", False), ("gpt2", True), ("opt", True), ("gpt_neox", False)])
def test_logits_are_the_language_models_for_the_words(model_type, tied, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = checkpoint(tmp_path, model_type, tied)
    backbone = load_backbone(folder, 2, words=("bad", "good"))
    assert backbone.new_parameters == ()
    tokens, mask = torch.tensor([[4, 5, 8, 9], [9, 4, 5, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
    with torch.no_grad():
        language = AutoModelForCausalLM.from_pretrained(folder).eval()(input_ids=tokens, attention_mask=mask).logits
        wanted = language[[0, 1], [3, 2]][:, [7, 6]]
        torch.testing.assert_close(backbone.model(input_ids=tokens, attention_mask=mask).logits, wanted)
        for seed in (0, 1):  # every run begins there
            with attached(Configuration.of("head_only", {}, (), 1e-3), backbone, seed) as model:
                torch.testing.assert_close(model(input_ids=tokens, attention_mask=mask).logits, wanted)


def test_what_cannot_be_a_verbaliser_is_one_sentence(tmp_path, minilm):
    folder = checkpoint(tmp_path, "llama", True)
    for words, sentence in (
        (("bad", "excellent"), "'excellent' is not one token"),
        (("bad", "good film"), "'good film' is not one token"),
        (("bad", "bad"), "same token"),
    ):
        with pytest.raises(AutopeftError, match=sentence):
            load_backbone(folder, 2, words=words)
    with pytest.raises(AutopeftError, match="need a decoder"):
        load_backbone(minilm, 2, words=("bad", "good"))


def test_each_class_has_a_word():
    assert words_of("pos = good, neg=bad", ("neg", "pos")) == ("bad", "good")
    for text, sentence in (
        ("neg=bad", "class 'pos' has none"),
        ("neg=bad,pos=bad", "two classes share one"),
        ("neg=bad,pso=good", "Did you mean 'pos'"),
    ):
        with pytest.raises(AutopeftError, match=sentence):
            words_of(text, ("neg", "pos"))
