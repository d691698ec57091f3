"""Words that stand for classes -> the start of a decoder's classification head.

Pattern-based fine-tuning: Schick and Schuetze 2020, arXiv 2001.07676; of decoders: Mosbach et al. 2023, arXiv
2305.16938. The head reads the last token, so with the LM head's rows of the words (C, H) as its weight its logits are
the language model's own for these words as the next token, restricted to them.
"""

from typing import TYPE_CHECKING, Any

from autopeft.base.errors import AutopeftError, did_you_mean

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel


def words_of(verbalisers: str, label_names: tuple[str, ...]) -> tuple[str, ...]:
    """Read "neg=bad,pos=good": a word per class, in the classes' order. Raises AutopeftError unless each has its own."""
    pairs = [pair.partition("=")[::2] for pair in verbalisers.split(",")]
    words = {label.strip(): word.strip() for label, word in pairs}
    for label in words:
        if label not in label_names:
            raise AutopeftError(f"The verbalisers name a class '{label}'." + did_you_mean(label, label_names))
    without = [label for label in label_names if not words.get(label)]
    if without or len(set(words.values())) < len(pairs):
        what = f"class '{without[0]}' has none" if without else "two classes share one"
        raise AutopeftError(f"Each class needs a verbaliser of its own, but {what}: write CLASS=WORD,CLASS=WORD.")
    return tuple(words[label] for label in label_names)


def start_head(model: "PreTrainedModel", tokenizer: Any, folder: str, words: tuple[str, ...], name: str) -> str:
    """Write the words' rows into the head and return its parameter's name.

    Raises AutopeftError for an encoder, a head of another form, and a word that is not one token.
    """
    import torch

    from autopeft.backbone.blocks import _is_decoder

    head = getattr(model, "score", None)
    if not _is_decoder(model.config) or head is None or getattr(head, "bias", None) is not None:
        raise AutopeftError(f"Verbalisers need a decoder that reads its last token, and {name} is none.")
    tokens = [token_of(word, tokenizer, name) for word in words]
    if len(set(tokens)) < len(tokens):
        raise AutopeftError(f"Two verbalisers are the same token of {name}: choose other words.")
    rows = language_model_rows(model, folder, tokens)
    if rows.shape != head.weight.shape:
        raise AutopeftError(f"The LM head of {name} reads another width than its classifier: leave verbalisers out.")
    with torch.no_grad():
        head.weight.copy_(rows)
    return "score.weight"


def token_of(word: str, tokenizer: Any, name: str) -> int:
    """The token of a word that follows another. Raises AutopeftError if it is more than one or unknown."""
    tokens = tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
    if len(tokens) != 1 or tokens[0] == tokenizer.unk_token_id:
        raise AutopeftError(f"The verbaliser '{word}' is not one token of {name}: choose a more common word.")
    return tokens[0]


def language_model_rows(model: "PreTrainedModel", folder: str, tokens: list[int]) -> "torch.Tensor":
    """The LM head's rows (C, H) of the tokens: the input embeddings where they are tied, else from the checkpoint."""
    from transformers import AutoModelForCausalLM

    if model.config.tie_word_embeddings:
        return model.get_input_embeddings().weight[tokens]
    whole = AutoModelForCausalLM.from_pretrained(folder, dtype=model.dtype, use_safetensors=True)
    return whole.get_output_embeddings().weight[tokens]
