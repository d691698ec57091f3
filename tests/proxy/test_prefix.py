"""Stored hidden states of frozen blocks: bit for bit what would be computed, on every architecture and method."""

from pathlib import Path

import numpy as np
import pytest
import torch
from prefix_cases import runs, tiny_task
from tiny import TINY, tiny_backbone

from autopeft.backbone.loading import load_backbone
from autopeft.backbone.prefix import PrefixCache, spread
from autopeft.backbone.prefix_folder import identity
from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY, get_method, refusal
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer
from autopeft.tasks.task import Split, Task
from autopeft.tasks.tokens import TokenisedTask


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


@pytest.mark.parametrize("model_type", TINY)
def test_cached_is_bit_equal_to_recomputed_on_every_architecture(model_type, tmp_path):
    backbone, task = tiny_backbone(model_type), tiny_task()
    before = {k: v.clone() for k, v in backbone.model.state_dict().items()}
    lora = Configuration.of("lora", get_method("lora").defaults, (2,), 1e-2)
    (plain, filling, reading), cache = runs(backbone, task, lora, tmp_path)
    assert plain.state == filling.state == reading.state
    assert plain.curve.validation_loss == filling.curve.validation_loss == reading.curve.validation_loss
    assert plain.curve.test_loss == reading.curve.test_loss
    assert cache.read_rows >= cache.computed_rows > 0
    assert all(torch.equal(before[k], v) for k, v in backbone.model.state_dict().items())
    assert not any("forward" in vars(b) for b in cache.blocks)


@pytest.mark.parametrize("method", REGISTRY)
def test_cached_is_bit_equal_to_recomputed_for_every_method(method, tmp_path):
    backbone, task = tiny_backbone("bert"), tiny_task()
    if refusal(method, backbone.shapes):
        pytest.skip("the method refuses this backbone")
    kind = get_method(method).layers
    layers = () if kind == "none" else (0, 1, 2) if kind == "all" else (1, 2)
    chosen = Configuration.of(method, get_method(method).defaults, layers, 1e-2)
    (plain, filling, reading), _ = runs(backbone, task, chosen, tmp_path)
    assert plain.state == filling.state == reading.state


def test_a_later_study_of_the_same_task_reads_what_an_earlier_one_stored(tmp_path):
    task, probe = tiny_task(), Configuration.of("head_only", {}, (), 1e-2)
    runs(tiny_backbone("bert"), task, probe, tmp_path)
    later = PrefixCache(tiny_backbone("bert"), task, 10**8, tmp_path)
    Trainer(tiny_backbone("bert"), task, 8, prefix=later)
    assert later.has(3, np.arange(40, 72)) and later.has(1, np.arange(40, 72))


def test_another_weight_or_token_is_another_task():
    backbone, task = tiny_backbone("bert"), tiny_task()
    first = identity(backbone, task)
    assert identity(tiny_backbone("bert"), tiny_task()) == first
    task.train.input_ids[0][0] += 1
    assert identity(backbone, task) != first
    task.train.input_ids[0][0] -= 1
    with torch.no_grad():
        next(backbone.model.parameters())[0, 0] += 1
    assert identity(backbone, task) != first


def test_a_small_limit_keeps_evenly_spread_boundaries(tmp_path):
    assert (
        spread(6, 6) == (1, 2, 3, 4, 5, 6) and spread(6, 3) == (2, 4, 6) and spread(6, 1) == (6,) and spread(6, 0) == ()
    )
    backbone, task = tiny_backbone("bert"), tiny_task()
    one = PrefixCache(backbone, task, 10**8, made(tmp_path / "a")).bytes // 3
    assert PrefixCache(backbone, task, one, made(tmp_path / "b")).boundaries == (3,)
    none = PrefixCache(backbone, task, one - 1, made(tmp_path / "c"))
    assert none.boundaries == () and none.bytes == 0
    with none.below(3) as place:
        assert place is None


def test_a_full_disk_stores_nothing_and_everything_is_computed(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("autopeft.backbone.prefix_pieces.os.replace", full)
    probe = Configuration.of("head_only", {}, (), 1e-2)
    (plain, filling, again), cache = runs(tiny_backbone("bert"), tiny_task(), probe, tmp_path)
    assert cache.full and [p.name for p in tmp_path.iterdir()] == ["lock"]
    assert plain.state == filling.state == again.state


def test_the_folder_is_in_the_users_cache(tmp_path, monkeypatch):
    """The folder is made in the user's cache, and only the last few tasks are kept there."""
    from autopeft.backbone import prefix_folder

    monkeypatch.setenv("AUTOPEFT_CACHE", str(tmp_path))
    monkeypatch.setattr(prefix_folder, "TASKS_KEPT", 2)
    for seed in range(3):
        task = tiny_task()
        task.train.input_ids[0][0] = seed
        PrefixCache(tiny_backbone("bert"), task, 10**8)
    assert len(list((tmp_path / "prefixes").iterdir())) == 2


def test_a_step_from_a_deep_boundary_computes_the_upper_blocks_only(minilm, tmp_path):
    backbone = load_backbone("minilm-l6", 2)
    task = tiny_task()
    calls = []
    for number, block in enumerate(backbone.model.bert.encoder.layer):
        block.attention.register_forward_hook(lambda *_, n=number: calls.append(n))
    deep = Configuration.of("lora", get_method("lora").defaults, (5,), 1e-3)
    trainer = Trainer(
        backbone,
        TokenisedTask(
            task.train, task.validation, task.test, 0, Task("t", ("a", "b"), "accuracy", *[Split((), ())] * 3)
        ),
        8,
    )
    trainer.prefix = PrefixCache(backbone, trainer.tokenised, 10**8, tmp_path)
    for split in (task.train, task.validation, task.test):
        split.labels[:] %= 2
    trainer.run([Job(deep, 0, 3, 3)])
    calls.clear()
    trainer.run([Job(deep, 0, 3, 3)])
    assert set(calls) == {5}
