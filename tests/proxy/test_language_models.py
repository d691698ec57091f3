"""Training and scoring on an LM head: the loss, runs with nothing to train, packed runs, what is generated."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tiny_lm import save_tiny_lm, smollm2_tokenizer, tiny_lm_backbone, tiny_lm_task

from autopeft.backbone.loading import load_backbone
from autopeft.backbone.prefix import PrefixCache
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.importance import score_layers
from autopeft.importance.calibration import calibration_rows, calibration_units
from autopeft.methods import count
from autopeft.methods.mechanisms.attach import attached, count_built
from autopeft.proxy.generation import generate
from autopeft.proxy.job import Job
from autopeft.proxy.scoring import evaluate
from autopeft.proxy.trainer import Trainer
from autopeft.study.candidates import DOING_NOTHING, baselines
from autopeft.study.spec import StudySpec
from autopeft.tasks.batches import collate
from autopeft.tasks.kind import Asked, get_kind
from autopeft.tasks.language import IGNORED
from autopeft.tasks.task import Task
from autopeft.tasks.tokens import tokenise

NOTHING = Configuration.of("head_only", {}, (), 1e-3)


def lora(rate: float = 2e-2, layers=(0, 1, 2)) -> Configuration:
    return Configuration.of("lora", {"rank": 8, "target_modules": "all-linear", "rslora": False}, layers, rate)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A tiny decoder in a folder, with the real tokenizer, loaded for instructions."""
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm") / "model")
    return load_backbone(folder, 2, kind=get_kind("instruction"))


def instructions(metric: str, max_length: int = 48):
    rows = [f"Is {i} odd or even{', please' * (i % 4)}?" for i in range(24)]
    frame = pd.DataFrame({"prompt": rows, "response": ["even" if i % 2 == 0 else "odd indeed" for i in range(24)]})
    made = get_kind("instruction").read({"train": frame}, Asked("made"))
    return tokenise(
        Task("made", (), metric, **made.splits, kind=get_kind("instruction")), smollm2_tokenizer(), max_length
    )


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_the_loss_is_the_models_own(model_type):
    backbone, tokenised = tiny_lm_backbone(model_type), tiny_lm_task()
    rows = np.arange(6)
    inputs, targets = collate(tokenised.train, rows, tokenised.pad_token_id)
    loss = tokenised.kind.loss(tokenised.kind.logits(backbone.model(**inputs)), targets)
    labels = torch.full_like(inputs["input_ids"], IGNORED)
    for row in rows:
        labels[row, : tokenised.train.lengths[row]] = torch.from_numpy(tokenised.train.labels[row]).long()
    own = backbone.model(inputs["input_ids"], attention_mask=inputs["attention_mask"], labels=labels).loss
    torch.testing.assert_close(loss, own)


def test_doing_nothing_is_scored_without_a_step():
    backbone, tokenised = tiny_lm_backbone("llama"), tiny_lm_task()
    before = [p.clone() for p in backbone.model.parameters()]
    (done,) = Trainer(backbone, tokenised, 4).run([Job(NOTHING, 1, 8, 8, (4,), test=True)])
    loss, score = evaluate(backbone.model, tokenised.test, tokenised)
    assert done.curve.steps == (4, 8) and done.curve.validation_loss == (loss, loss)
    assert done.curve.test_score == score == pytest.approx(-loss)
    assert count(NOTHING, backbone.shapes) == 0 and np.isfinite(done.curve.train_loss).all()
    assert all(torch.equal(a, b) for a, b in zip(before, backbone.model.parameters()))


def test_a_method_alone_learns_and_runs_in_one_batch_learn_the_same():
    backbone, tokenised = tiny_lm_backbone("llama"), tiny_lm_task()
    jobs = [Job(lora(rate), 0, 25, 25) for rate in (2e-2, 1e-2)]
    trainer = Trainer(backbone, tokenised, 8)
    alone = [trainer.run([job])[0].curve for job in jobs]
    start, _ = evaluate(backbone.model, tokenised.validation, tokenised)
    assert alone[0].validation_loss[-1] < start - 1
    trainer.packing_pays = lambda jobs: True
    for curve, done in zip(alone, trainer.run(jobs)):
        assert done.curve.validation_loss == pytest.approx(curve.validation_loss, rel=1e-3)


def test_texts_are_written_as_each_would_be_alone(tiny, tmp_path):
    tokenised = instructions("rouge-l")
    units = np.arange(len(tokenised.validation))
    with attached(lora(), tiny, 0) as model:
        together = generate(model, tokenised, "validation", units)
        assert together == [generate(model, tokenised, "validation", units[i : i + 1])[0] for i in units]
    assert len({len(p) for p in tokenised.kind.prompts(tokenised.validation, units)}) > 1


def test_a_stored_prefix_changes_nothing_that_is_written(tiny, tmp_path):
    tokenised = instructions("rouge-l")
    cache = PrefixCache(tiny, tokenised, 10**8, tmp_path)
    job = Job(lora(layers=(2,)), 0, 6, 6, (3,))
    (plain,), (stored,) = (Trainer(tiny, tokenised, 4, prefix=p).run([job]) for p in (None, cache))
    assert cache.read_rows and not stored.failure
    assert stored.curve.validation_score == plain.curve.validation_score
    assert stored.curve.validation_loss == pytest.approx(plain.curve.validation_loss, rel=1e-4)
    again = Trainer(tiny, tokenised, 4, prefix=cache).run([job])[0].curve
    assert again.validation_loss == stored.curve.validation_loss


def test_full_fine_tuning_keeps_the_head_tied_to_the_embeddings(tiny, tmp_path):
    from peft import PeftModel

    full = Configuration.of("full", {}, (0, 1, 2), 1e-2)
    saved, tokenised = [], instructions("log-likelihood")

    def keep(model):
        assert count_built(model, ()) == count(full, tiny.shapes) == tiny.shapes.backbone_parameters
        base = model.get_base_model()
        assert (
            base.lm_head.modules_to_save["default"].weight is base.model.embed_tokens.modules_to_save["default"].weight
        )
        model.save_pretrained(str(tmp_path))
        saved.append(evaluate(model, tokenised.test, tokenised))

    (done,) = Trainer(tiny, tokenised, 8).run([Job(full, 0, 4, 4)], keep)
    fresh = load_backbone(tiny.name, 2, kind=get_kind("instruction"))
    loaded = PeftModel.from_pretrained(fresh.model, str(tmp_path)).eval()
    assert evaluate(loaded, tokenised.test, tokenised) == pytest.approx(saved[0], rel=1e-5)
    assert saved[0] != pytest.approx(evaluate(tiny.model, tokenised.test, tokenised), rel=1e-3)


def test_layers_are_scored_on_the_responses(tiny):
    tokenised = instructions("log-likelihood")
    scores = score_layers("trace", tiny, tokenised, rows=12)
    chosen = calibration_rows(np.zeros(len(tokenised.train)), 12, 0)
    said = sum(int((tokenised.train.labels[row] != IGNORED).sum()) for row in chosen)  # fewer than are drawn of a row
    assert scores.details["basis"] == "lm-head" and scores.details["positions"] == said
    assert sum(score_layers("gradient", tiny, tokenised, rows=8).scores) == pytest.approx(1)
    for scorer, options in (("variance", {}), ("trace", {"basis": "class-means"})):
        with pytest.raises(AutopeftError, match="needs classes, and this task has none"):
            score_layers(scorer, tiny, tokenised, rows=8, **options)


def test_calibration_takes_whole_questions():
    groups = np.repeat(np.arange(10), 3)
    task = tiny_lm_task(30)
    chosen = calibration_units(replace(task, train=replace(task.train, groups=groups)), 12, 0)
    assert len(chosen) == 12 and all((groups[chosen] == g).sum() == 3 for g in set(groups[chosen]))


def test_doing_nothing_takes_the_place_of_the_linear_probe():
    shapes = tiny_lm_backbone("llama").shapes
    found = {c.name: c for c in baselines(shapes, None, True, StudySpec(full_steps=300))}
    assert DOING_NOTHING in found and "linear probe" not in found and not found[DOING_NOTHING].rates
    with_head = replace(shapes, head_modules=("score",))
    assert DOING_NOTHING not in {c.name for c in baselines(with_head, None, True, StudySpec(full_steps=300))}
