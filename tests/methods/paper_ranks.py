"""The rank that papers state of an update, beside that of ours on a 256 x 256 weight, every trained number drawn anew."""

from functools import cache

from autopeft.configuration import Configuration
from autopeft.methods import get_method

WIDTH = 256
RANKS = (  # method, settings, the paper's statement for them, the number, source
    ("lora", {"rank": 32}, "r", 32, "LoRA, 2106.09685, 4.1; FedPara, 2108.06098, table 1"),
    ("loha", {"rank": 16}, "R^2, here full", 256, "FedPara, 2108.06098, table 1"),
    ("lokr", {"rank": 4, "decompose_factor": 8}, "ranks multiply: 8 x 4", 32, "LyCORIS, 2309.14859, 3"),
    ("gralora", {"rank": 16, "gralora_k": 2}, "k r", 32, "GraLoRA, 2505.20355, 3.2"),
    ("gralora", {"rank": 16, "gralora_k": 4}, "k r", 64, "GraLoRA, 2505.20355, 3.2"),
    ("randlora", {"rank": 32}, "full", 256, "RandLoRA, 2502.00987, abstract"),
    ("c3a", {"block_size": 256}, "mostly full", 256, "C3A, 2407.19342, 4.1"),
    ("delora", {"rank": 16}, "r", 16, "DeLoRA, 2503.18225, 2"),
)


@cache
def measured(method: str, *settings: tuple) -> int:
    """The rank of the change of one linear, in float64."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    from autopeft.backbone.blocks import describe
    from autopeft.backbone.loading import Backbone
    from autopeft.methods.mechanisms.attach import attached, trainable_parameters

    sizes = {"hidden_size": WIDTH, "intermediate_size": WIDTH, "num_hidden_layers": 1, "vocab_size": 100}
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model("bert", num_attention_heads=2, **sizes))
    shapes = describe(model, "wide")
    backbone = Backbone("wide", model.eval(), None, shapes, ("classifier.weight", "classifier.bias"))
    chosen = {**get_method(method).defaults, **dict(settings), "target_modules": "query"}
    generator = torch.Generator().manual_seed(0)
    with attached(Configuration.of(method, chosen, (0,), 1e-3), backbone, 0) as peft_model, torch.no_grad():
        for _, parameter in trainable_parameters(peft_model):
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
        layer = peft_model.double().get_base_model().get_submodule(shapes.linears[0].path)
        eye = torch.eye(WIDTH, dtype=torch.float64)[None]
        change = (layer(eye) - layer.get_base_layer()(eye))[0]
    return int(torch.linalg.matrix_rank(change, rtol=1e-12))


def line(method: str, settings: dict, statement: str, number: int, source: str) -> str:
    words = ", ".join(f"{k} {v}" for k, v in settings.items())
    ours = measured(method, *settings.items())
    return (
        f"| `{method}` {words} | {statement} | {number} | {ours} | {'yes' if ours == number else '**no**'} | {source} |"
    )
