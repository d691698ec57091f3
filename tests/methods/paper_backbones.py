"""The backbones that papers count on, as BackboneShapes from their published sizes, without weights."""

from functools import cache

from autopeft.backbone.shapes import BackboneShapes

LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
ROBERTA = {"vocab_size": 50265, "max_position_embeddings": 514, "type_vocab_size": 1}
DEBERTA = {
    "vocab_size": 128100,
    "relative_attention": True,
    "position_buckets": 256,
    "norm_rel_ebd": "layer_norm",
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "type_vocab_size": 0,
    "position_biased_input": False,
    "pooler_hidden_size": 768,
}
LLAMA_13B = {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40}
LLAMA_3_8B = {"intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 128256}
LLAMA_3_2_3B = {
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 28,
    "num_attention_heads": 24,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 128256,
    "tie_word_embeddings": True,
}
GPT_3 = {
    "hidden_size": 12288,
    "word_embed_proj_dim": 12288,
    "ffn_dim": 49152,
    "num_hidden_layers": 96,
    "num_attention_heads": 96,
}
BACKBONES = {  # name -> transformers' model_type and what differs from the defaults of its config
    "BERT-base": ("bert", {}),
    "BERT-large": ("bert", LARGE),
    "RoBERTa-base": ("roberta", ROBERTA),
    "RoBERTa-large": ("roberta", ROBERTA | LARGE),
    "DeBERTaV3-base": (
        "deberta-v2",
        DEBERTA | {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    ),
    "GPT-2 medium": ("gpt2", {"n_embd": 1024, "n_layer": 24, "n_head": 16}),
    "GPT-2 large": ("gpt2", {"n_embd": 1280, "n_layer": 36, "n_head": 20}),
    "LLaMA-7B": ("llama", {}),
    "LLaMA-13B": ("llama", LLAMA_13B),
    "LLaMA-3-8B": ("llama", LLAMA_3_8B),
    "Llama-3.2-3B": ("llama", LLAMA_3_2_3B),
    "Mistral-7B": ("mistral", {}),
    "GPT-3": ("opt", GPT_3),  # in OPT's form, which has its blocks and query, key and value apart
    "128 x 128": ("bert", {"hidden_size": 128, "num_hidden_layers": 1, "num_attention_heads": 2}),
    "256 x 256": ("bert", {"hidden_size": 256, "num_hidden_layers": 1, "num_attention_heads": 2}),
}


@cache
def backbone(name: str) -> tuple[BackboneShapes, int]:
    """Its sizes, and all parameters of the model: with the head or, for a decoder, with its LM head."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from autopeft.backbone.blocks import describe

    model_type, sizes = BACKBONES[name]
    config = AutoConfig.for_model(model_type, **sizes)
    with torch.device("meta"):
        shapes = describe(AutoModelForSequenceClassification.from_config(config), name)
    if not shapes.is_decoder:
        return shapes, shapes.backbone_parameters + shapes.head_parameters
    apart = 0 if config.tie_word_embeddings else config.vocab_size * shapes.hidden_size
    return shapes, shapes.backbone_parameters + apart
