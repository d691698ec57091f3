"""Models of a middling size and what a training step of theirs takes, measured."""

from contextlib import ExitStack
from functools import cache
from types import SimpleNamespace

import tiny
import torch
from contract_cases import REGISTRY
from tiny import SEQ2SEQ, TASKS, tiny_statistics
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from autopeft.backbone.blocks import describe
from autopeft.backbone.loading import Backbone
from autopeft.configuration import Configuration
from autopeft.costs import Step
from autopeft.methods.mechanisms.attach import attached, trainable_parameters
from autopeft.procedures import get_procedure
from autopeft.proxy.generation import number_format
from autopeft.tasks.kind import get_kind
from autopeft.train.recompute import recomputed

aten = torch.ops.aten
WIDTH, INNER, LAYERS = 64, 160, 4
WIDTHS = {"hidden_size", "dim", "n_embd", "d_model", "word_embed_proj_dim", "pooler_hidden_size"}
INNERS = {"intermediate_size", "hidden_dim", "ffn_dim", "d_ff", "encoder_ffn_dim", "decoder_ffn_dim"}
DEPTHS = {"num_hidden_layers", "n_layers", "n_layer"}
LENGTHS = {"max_position_embeddings", "n_positions"}
BY_NAME = {**dict.fromkeys(WIDTHS, WIDTH), **dict.fromkeys(INNERS, INNER), **dict.fromkeys(DEPTHS, LAYERS)}
BY_NAME |= {**dict.fromkeys(LENGTHS, 512), "head_dim": WIDTH // 4, "d_kv": WIDTH // 4}
LANGUAGE_MODEL = "causal-lm"


@cache
def backbone(model_type: str, attention: str = "eager", task: str | None = None) -> Backbone:
    """A frozen random model: four blocks of width 64 and inner width 160, 100 words, 3 labels."""
    import transformers

    task = task or TASKS.get(model_type, "classification")
    config = tiny.tiny_config(model_type)
    if "layer_types" in vars(config) and config.layer_types:
        config.layer_types = (config.layer_types * LAYERS)[:LAYERS]
    for name, value in BY_NAME.items():
        if name in vars(config) or name in getattr(config, "attribute_map", {}):
            setattr(config, name, value)
    torch.manual_seed(0)
    auto = getattr(transformers, get_kind(task).auto_model)
    model = auto.from_config(config, attn_implementation=attention).eval().requires_grad_(False)
    return Backbone(model_type, model, None, describe(model, model_type, get_kind(task)), ())


def batch(found: Backbone, step: Step) -> dict:
    """The inputs of a step without padding, and its targets."""
    kind, config = found.shapes.kind, found.model.config
    if kind.modality != "text":
        return tiny.tiny_batch(step.rows, model_type=found.shapes.model_type)
    ids = torch.randint(4, config.vocab_size, (step.rows, step.tokens))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if found.shapes.model_type in SEQ2SEQ:
        return {**inputs, "labels": ids[:, : step.targets].contiguous()}
    return {**inputs, "labels": torch.arange(step.rows) % 3 if kind.new_head else ids}


@cache
def statistics(model_type: str, attention: str = "eager", task: str | None = None):
    return tiny_statistics(backbone(model_type, attention, task))


def on_cpu(formula):
    """The count of a kernel whose name the counter does not know: the CPU's own attention."""

    def count(*args, out_val=None, **kwargs):
        shapes = [x.shape for x in args if isinstance(x, torch.Tensor)]
        return formula(*shapes[: 4 if formula is sdpa_backward_flop_count else 3])

    count._get_raw = True
    return count


ATTENTION = {
    aten._scaled_dot_product_flash_attention_for_cpu: on_cpu(sdpa_flop_count),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: on_cpu(sdpa_backward_flop_count),
}


def measured_flops(found: Backbone, configuration: Configuration, step: Step) -> tuple[int, int]:
    """(forward, backward with whatever is computed again) of a step of the attached model."""
    needed = any(REGISTRY[name].needs_statistics for name in configuration.methods)
    shapes = found.shapes
    given = statistics(shapes.model_type, step.attention, shapes.kind.name) if needed else None
    with ExitStack() as stack:
        model = stack.enter_context(attached(configuration, found, 0, given))
        if step.gradient_checkpointing:
            blocks = model.get_base_model().get_submodule(shapes.blocks_path)
            stack.enter_context(recomputed(blocks[configuration.frozen_layers or 0 :]))
        with FlopCounterMode(display=False, custom_mapping=ATTENTION) as forward:
            loss = loss_of(model, found, configuration, step)
        with FlopCounterMode(display=False, custom_mapping=ATTENTION) as backward:
            loss.backward()
        return forward.get_total_flops(), backward.get_total_flops()


def loss_of(model, found: Backbone, configuration: Configuration, step: Step):
    """A batch's loss with what the methods add to it, as a training step has it."""
    inputs = batch(found, step)
    labels = inputs["labels"] if found.shapes.decoder_path else inputs.pop("labels")
    no_cache = {"use_cache": False} if step.gradient_checkpointing and found.shapes.is_decoder else {}
    with number_format(model):
        logits = found.shapes.kind.logits(model(**inputs, **no_cache))
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten())
    for name in configuration.methods:
        extra = REGISTRY[name].extra_loss(model, configuration.settings_of(name))
        loss = loss if extra is None else loss + extra
    return loss


def measured_memory(found: Backbone, configuration: Configuration, step: Step) -> int:
    """Peak bytes of the second training step, when the optimiser has its moments."""
    from tracked import tracked

    needed = any(REGISTRY[name].needs_statistics for name in configuration.methods)
    shapes = found.shapes
    given = statistics(shapes.model_type, step.attention, shapes.kind.name) if needed else None
    with ExitStack() as stack:
        model = stack.enter_context(attached(configuration, found, 0, given))
        if step.gradient_checkpointing:
            blocks = model.get_base_model().get_submodule(shapes.blocks_path)
            stack.enter_context(recomputed(blocks[configuration.frozen_layers or 0 :]))
        model.resident.values.clear()  # the copy of a rewritten backbone is the search's, not the step's
        tracker = stack.enter_context(tracked(model))
        parameters, procedure = dict(trainable_parameters(model)), get_procedure(configuration.procedure)
        session = SimpleNamespace(parameters=parameters, seed=0, step=0, shapes=shapes)
        session.losses = lambda _: loss_of(model, found, configuration, step)[None]
        if procedure.moments:
            optimiser = torch.optim.AdamW(parameters.values(), foreach=False)
        else:
            optimiser = procedure.optimiser([{"params": list(parameters.values()), "lr": 1e-3, "foreach": False}])
        for _ in range(2):
            tracker.peak = tracker.now
            if procedure.own_gradients:
                procedure.gradients(session, None, dict(configuration.procedure_settings))
            elif (loss := session.losses(None)).requires_grad:
                loss.sum().backward()
            loss = None
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return tracker.peak
