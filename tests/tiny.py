"""Tiny random sequence-classification models, one per architecture family, the same weights at every call."""

import torch

TINY = [
    "bert",
    "roberta",
    "deberta-v2",
    "distilbert",
    "modernbert",
    "gpt2",
    "llama",
    "qwen3",
    "gemma",
    "gpt_neox",
    "opt",
]
SEQ2SEQ = ("t5", "bart")  # two blocks of an encoder, one of a decoder
TASKS = {"vit": "image-classification", "audio-spectrogram-transformer": "audio-classification"}  # of other modalities
TASKS |= dict.fromkeys(SEQ2SEQ, "seq2seq")
MEDIA = {"vit": ("pixel_values", (3, 8, 8)), "audio-spectrogram-transformer": ("input_values", (12, 8))}  # of one row
TOKENS = {"vit": 5, "audio-spectrogram-transformer": 8}  # patches, and one or two beside them
VOCABULARY, LABELS, PAD, WIDTH, LAYERS = 100, 3, 1, 32, 3

_ENCODER = {
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
_VISION = {**{k: v for k, v in _ENCODER.items() if k != "max_position_embeddings"}, "patch_size": 4}
_GROUPED = {**_ENCODER, "num_key_value_heads": 2, "head_dim": 8}
_SIZES = {
    "bert": _ENCODER,
    "roberta": _ENCODER,
    "deberta-v2": {
        **_ENCODER,
        "relative_attention": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_buckets": 8,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pooler_hidden_size": WIDTH,
    },
    "distilbert": {"dim": WIDTH, "n_layers": LAYERS, "n_heads": 4, "hidden_dim": 64, "max_position_embeddings": 64},
    "modernbert": {**_ENCODER, "local_attention": 8, "global_attn_every_n_layers": 2},
    "gpt2": {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": 4, "n_positions": 64},
    "llama": _GROUPED,
    "qwen3": _GROUPED,
    "gemma": _GROUPED,
    "gpt_neox": _ENCODER,
    "opt": {
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
        "ffn_dim": 64,
        "max_position_embeddings": 64,
        "word_embed_proj_dim": WIDTH,
    },
    "t5": {
        "d_model": WIDTH,
        "d_kv": 8,
        "d_ff": 64,
        "num_layers": 2,
        "num_decoder_layers": 1,
        "num_heads": 4,
        "decoder_start_token_id": 1,
    },
    "bart": {
        "d_model": WIDTH,
        "encoder_layers": 2,
        "decoder_layers": 1,
        **{
            f"{part}_{what}": n
            for part in ("encoder", "decoder")
            for what, n in (("attention_heads", 4), ("ffn_dim", 64))
        },
        "max_position_embeddings": 64,
        "decoder_start_token_id": 3,
    },
    "vit": {**_VISION, "image_size": 8},
    "audio-spectrogram-transformer": {
        **_VISION,
        "num_mel_bins": 8,
        "max_length": 12,
        "frequency_stride": 4,
        "time_stride": 4,
    },
}


def tiny_config(model_type: str):
    """The transformers config of a tiny model: 3 layers, width 32, 100 words, 3 labels, token 1 is the padding."""
    from transformers import AutoConfig

    if model_type in MEDIA:
        return AutoConfig.for_model(model_type, num_labels=LABELS, **_SIZES[model_type])
    return AutoConfig.for_model(
        model_type,
        vocab_size=VOCABULARY,
        num_labels=LABELS,
        pad_token_id=PAD,
        bos_token_id=2,
        eos_token_id=3,
        cls_token_id=2,
        sep_token_id=3,
        **_SIZES[model_type],
    )


def tiny_model(model_type: str, attention: str = "eager"):
    """A seeded random model in eval mode; every parameter, bias and head included, is off zero."""
    import transformers

    from autopeft.tasks.kind import get_kind

    auto_model = getattr(transformers, get_kind(TASKS.get(model_type, "classification")).auto_model)
    state = torch.get_rng_state()
    torch.manual_seed(0)
    model = auto_model.from_config(tiny_config(model_type), attn_implementation=attention)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.05)
    torch.set_rng_state(state)
    return model.eval()


def tiny_batch(size: int = 4, length: int = 12, labels: bool = True, model_type: str = "bert") -> dict:
    """input_ids (B, S), attention_mask (B, S) and labels (B,): the second half of the rows is padded by a third.

    For models of pictures or sounds what they read, with labels.
    """
    generator = torch.Generator().manual_seed(0)
    if model_type in MEDIA:
        name, shape = MEDIA[model_type]
        batch = {name: torch.randn(size, *shape, generator=generator)}
        return {**batch, "labels": torch.arange(size) % LABELS} if labels else batch
    input_ids = torch.randint(4, VOCABULARY, (size, length), generator=generator)
    attention_mask = torch.ones_like(input_ids)
    attention_mask[size // 2 :, -(length // 3) :] = 0
    input_ids[attention_mask == 0] = PAD
    batch = {"input_ids": input_ids, "attention_mask": attention_mask}
    if model_type in SEQ2SEQ:
        return {**batch, "labels": input_ids[:, :5].contiguous()}
    return {**batch, "labels": torch.arange(size) % LABELS} if labels else batch


def tiny_backbone(model_type: str):
    """A tiny model as the Backbone that trials share, its head new."""
    from autopeft.backbone.blocks import describe
    from autopeft.backbone.loading import Backbone
    from autopeft.tasks.kind import get_kind

    model = tiny_model(model_type).requires_grad_(False)
    shapes = describe(model, model_type, get_kind(TASKS.get(model_type, "classification")))
    head = tuple(f"{path}." for path in shapes.head_modules)
    new = tuple(n for n, _ in model.named_parameters() if n.startswith(head))
    return Backbone(model_type, model, None, shapes, new)


def tiny_task(rows: int = 24, labels: int = LABELS, model_type: str = "bert"):
    """A TokenisedTask of made-up rows of 4 to 11 tokens (or pictures, sounds), the same three splits at every call."""
    import numpy as np

    from autopeft.tasks.kind import get_kind
    from autopeft.tasks.task import Split, Task
    from autopeft.tasks.tokens import TokenisedSplit, TokenisedTask

    draw = np.random.default_rng(0)
    ids = tuple(draw.integers(4, VOCABULARY, draw.integers(4, 12)).astype(np.int32) for _ in range(rows))
    split = TokenisedSplit(ids, None, np.arange(rows) % labels, np.array([len(x) for x in ids]))
    kind = get_kind(TASKS.get(model_type, "classification"))
    if model_type in MEDIA:
        features = draw.standard_normal((rows, *MEDIA[model_type][1]), dtype=np.float32)
        lengths = np.full(rows, TOKENS[model_type])
        split = TokenisedSplit((), None, split.labels, lengths, kind=kind, features=features)
    if model_type in SEQ2SEQ:
        split = TokenisedSplit(ids, None, tuple(row[:4] for row in ids), split.lengths, kind=kind)
    nothing = Split((), ())
    task = Task("tiny", tuple("abcdefgh"[:labels]), "accuracy", nothing, nothing, nothing, kind=kind)
    return TokenisedTask(split, split, split, PAD, task)


def tiny_statistics(backbone):
    """Statistics of the tiny task, for the methods that are initialised from data."""
    from autopeft.methods.mechanisms.statistics import Statistics

    config = backbone.model.config
    return Statistics(backbone, tiny_task(labels=config.num_labels, model_type=config.model_type))
