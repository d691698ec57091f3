"""What every tuner of ours must do, checked on one tiny model: the tests of each tuner call `check_tuner`."""

import copy
from dataclasses import dataclass

import torch
from peft import PeftModel, get_peft_config, get_peft_model
from tiny import tiny_batch, tiny_model

import autopeft.methods.tuners  # noqa: F401  (registers the tuners)
from autopeft.backbone.blocks import describe
from autopeft.configuration import Configuration
from autopeft.methods import count, get_method, peft_fields


@dataclass
class Attached:
    """A tuner on a tiny model that has seen two steps."""

    model: PeftModel
    batch: dict
    trained: torch.Tensor


def fields_and_count(method: str, model_type: str, layers=(1, 2), **settings) -> tuple[dict, int]:
    shapes = describe(tiny_model(model_type), model_type)
    configuration = Configuration.of(method, {**get_method(method).defaults, **settings}, layers, 1e-3)
    return peft_fields(configuration, shapes), count(configuration, shapes)


def logits(model, batch) -> torch.Tensor:
    with torch.no_grad():
        return model(**{key: value for key, value in batch.items() if key != "labels"}).logits


def attach(fields: dict, base=None):
    torch.manual_seed(1)
    return get_peft_model(base, get_peft_config(copy.deepcopy(fields))).eval()


def two_steps(model, batch) -> None:
    """Two steps of gradient descent, after which every trainable tensor has received a gradient."""
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05)
    for _ in range(2):
        optimizer.zero_grad()
        model(**batch).loss.backward()
        optimizer.step()
    assert not [n for n, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]


def check_tuner(fields: dict, counted: int, model_type: str, folder, attention="eager", zero_start=True) -> Attached:
    """Count, start, gradients, disable, save, load and unload; returns a freshly loaded model."""
    base, batch = tiny_model(model_type, attention), tiny_batch()
    bytes_before = {key: value.clone() for key, value in base.state_dict().items()}
    before = logits(base, batch)
    head = describe(tiny_model(model_type), model_type).head_parameters

    model = attach(fields, base)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) - head == counted
    assert torch.equal(logits(model, batch), before) == zero_start

    two_steps(model, batch)
    trained = logits(model, batch)
    assert trained.shape == before.shape and not torch.equal(trained, before)
    with model.disable_adapter():
        assert torch.equal(logits(model, batch), before)

    model.save_pretrained(folder)
    loaded = PeftModel.from_pretrained(tiny_model(model_type, attention), folder).eval()
    assert torch.equal(logits(loaded, batch), trained)

    after = model.unload().state_dict()
    assert list(after) == list(bytes_before)
    assert all(torch.equal(after[key], value) for key, value in bytes_before.items())
    return Attached(loaded, batch, trained)


def check_merge(attached: Attached) -> None:
    """Merging gives the same logits up to rounding, in a model without any wrapper left."""
    keys = list(attached.model.get_base_model().state_dict())
    merged = attached.model.merge_and_unload(safe_merge=True)
    torch.testing.assert_close(logits(merged, attached.batch), attached.trained, atol=1e-4, rtol=1e-4)
    assert any("base_layer" in key or "modules_to_save" in key for key in keys)
    assert not any("base_layer" in key or "modules_to_save" in key for key in merged.state_dict())
