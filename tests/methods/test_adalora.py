from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from tiny import tiny_backbone, tiny_batch, tiny_model, tiny_task

from autopeft.configuration import Configuration
from autopeft.methods.adalora import initial_rank, schedule
from autopeft.methods.mechanisms.attach import attached
from autopeft.proxy.job import Job
from autopeft.proxy.session import Session
from autopeft.proxy.trainer import Trainer

RANK, LAYERS, MODULES = 4, (1, 2), 4
ADALORA = Configuration.of(
    "adalora", {"rank": RANK, "target_modules": "query+value", "orthogonality": 0.5}, LAYERS, 2e-2
)
JOB = Job(ADALORA, 0, 20, 20, keep_state=True)


@pytest.fixture(scope="module")
def trainer():
    return Trainer(tiny_backbone("bert"), tiny_task(), 8)


def triplets(model) -> list[torch.Tensor]:
    return [m.lora_E["default"].detach().clone() for m in model.modules() if hasattr(m, "lora_E")]


def test_a_third_of_the_triplets_is_dropped_and_the_saved_adapter_says_the_same(trainer, tmp_path):
    kept = {}

    def keep(model):
        kept["E"] = triplets(model)
        with torch.no_grad():
            kept["logits"] = model(**tiny_batch(labels=False)).logits
        model.save_pretrained(tmp_path)

    trainer.run([JOB], keep)
    assert sum(e.numel() for e in kept["E"]) == MODULES * initial_rank(RANK) == 24
    assert sum(int(e.count_nonzero()) for e in kept["E"]) == MODULES * RANK
    loaded = PeftModel.from_pretrained(tiny_model("bert"), tmp_path).eval()
    assert sum(e.numel() for e in triplets(loaded)) == MODULES * RANK
    with torch.no_grad():
        torch.testing.assert_close(loaded(**tiny_batch(labels=False)).logits, kept["logits"], rtol=0, atol=1e-6)


def test_a_resumed_run_is_bit_equal_before_while_and_after_ranks_fall(trainer):
    (whole,) = trainer.run([JOB])
    state = None
    for until in (1, 7, 14, 17, 20):
        (done,) = trainer.run([replace(JOB, until=until, state=state)])
        state = done.state
    assert state == whole.state


def test_the_regulariser_is_added_once(trainer):
    rows = trainer.rows("train", 8)
    with trainer.attached(JOB) as (model, place):
        session = Session(trainer, model, place, [trainer.run_of(model, JOB, own=True)])
        (extra,) = session.own_losses()
        logits, labels = session.logits("train", rows)
        alone = torch.nn.functional.cross_entropy(logits[0], labels)
        torch.testing.assert_close(session.losses(rows)[0], alone + extra)
        batch = tiny_batch()
        with_labels = model(**batch)
        torch.testing.assert_close(
            with_labels.loss, torch.nn.functional.cross_entropy(with_labels.logits, batch["labels"])
        )


def test_the_regulariser_is_the_mean_distance_to_orthonormal(trainer):
    with attached(ADALORA, trainer.backbone, 0) as model:
        for layer in model.modules():
            if hasattr(layer, "lora_E"):
                torch.nn.init.orthogonal_(layer.lora_A["default"])
                layer.lora_B["default"].data.zero_()
        from autopeft.methods import get_method

        extra = get_method("adalora").extra_loss(model, dict(ADALORA.settings))
        assert extra.item() == pytest.approx(0.5 * (0 + initial_rank(RANK) ** 0.5) / 2, abs=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 10, 100, 1234])
def test_every_length_of_run_has_its_phases(steps):
    phases = schedule(steps)
    assert phases["tinit"] < phases["total_step"] - phases["tfinal"] <= steps and phases["deltaT"] >= 1
