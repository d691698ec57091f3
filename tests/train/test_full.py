"""Full trainings of MiniLM: each option gives what the plain run gives, or what it says."""

import json
import os
import re
import signal
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from full_study import complete, made_study, resident, trained_as
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

import autopeft
from autopeft.base.errors import AutopeftError
from autopeft.base.recipe import learning_rate_factor
from autopeft.proxy.job import Job
from autopeft.proxy.scoring import forward
from autopeft.proxy.trainer import Trainer
from autopeft.tasks.batches import collate
from autopeft.train.record import Record
from autopeft.train.saved import loaded
from autopeft.train.schedules import schedule
from autopeft.train.training import FullTraining

LORA, ROSTE, FULL_ROSTE, PACE, SERIAL, ADALORA = range(6)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    ways = [
        ("lora",),
        ("lora", "roste"),
        ("full", "roste"),
        ("lora", "pace"),
        ("serial_adapter",),
        ("adalora", "roste"),
    ]
    return made_study(tmp_path_factory.mktemp("full") / "study", *[trained_as(*way) for way in ways])


def weights(folder: Path) -> dict:
    return load_file(folder / "adapter_model.safetensors")


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], t) for n, t in other.items())


def distance(one: dict, other: dict) -> float:
    assert one.keys() == other.keys()
    return max((one[n] - t).abs().max().item() for n, t in other.items())


@pytest.fixture(scope="module")
def plain(study, tmp_path_factory):
    """The plain run of 12 steps: its record and its adapter."""
    return complete(FullTraining.of(study, LORA, tmp_path_factory.mktemp("plain") / "adapter"))


def test_without_options_it_is_the_searchs_own_run(plain):
    backbone, tokenised = resident()
    (done,) = Trainer(backbone, tokenised, 16).run([Job(trained_as("lora"), 0, 12, 12, (6,))])
    assert [e.step for e in plain[0].evaluations] == [6, 12]
    assert [e.validation_loss for e in plain[0].evaluations] == list(done.curve.validation_loss)
    assert [e.train_loss for e in plain[0].evaluations] == list(done.curve.train_loss)


def test_without_options_it_ends_as_the_studys_runs_did(tmp_path):
    """A study in epochs: the same points, the same rule, the weights of the same step."""
    study = made_study(tmp_path / "study", trained_as("lora"), full_steps=26, epochs=2.0)
    training = FullTraining.of(study, 0, tmp_path / "adapter")
    assert (training.evaluations, training.patience, training.watch) == ((6, 12, 18, 26), 2, "loss")
    record, adapter = complete(training)
    backbone, tokenised = resident()
    (done,) = Trainer(backbone, tokenised, 16).run([Job(trained_as("lora"), 0, 26, 26, (6, 12, 18, 26), patience=2)])
    assert [e.step for e in record.evaluations] == list(done.curve.steps) and record.kept.step == done.curve.best_step
    assert [e.validation_loss for e in record.evaluations] == list(done.curve.validation_loss)
    asked = FullTraining.of(study, 0, tmp_path / "adapter", steps=26)
    assert (asked.evaluations, asked.patience, asked.watch) == ((13, 26), None, "score")


@pytest.mark.parametrize("options", [{"accumulate": 2}, {"accumulate": 3}, {"gradient_checkpointing": True}])
def test_less_memory_gives_the_same_weights(study, plain, tmp_path, options):
    record, adapter = complete(FullTraining.of(study, LORA, tmp_path / "adapter", **options))
    if "accumulate" in options:
        assert 0 < distance(weights(adapter), weights(plain[1])) < 1e-4
    else:
        assert equal(weights(adapter), weights(plain[1]))
    assert record.evaluations[-1].validation_loss == pytest.approx(plain[0].evaluations[-1].validation_loss, abs=1e-4)


def test_two_passes_of_eight_are_one_of_sixteen_and_not_of_eight(study, plain, tmp_path):
    _, adapter = complete(FullTraining.of(study, LORA, tmp_path / "adapter", batch_size=8))
    assert distance(weights(adapter), weights(plain[1])) > 1e-3


def killed_at(step: int, training: FullTraining) -> None:
    """Train in a process that is killed once that step is evaluated."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)  # a forked OpenMP can have no more

        class Deadly(Record):
            def add(self, evaluation):
                if evaluation.step == step:
                    os.kill(os.getpid(), signal.SIGKILL)
                return super().add(evaluation)

        try:
            sys.modules["autopeft.train.full"].Record = Deadly
            complete(training)
        finally:
            os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_killed_training_resumes_bit_for_bit(study, tmp_path):
    options = {"eval_every": 4, "patience": 5, "watch": "loss"}
    whole, reference = complete(FullTraining.of(study, LORA, tmp_path / "whole", **options))
    training = FullTraining.of(study, LORA, tmp_path / "killed", **options, checkpoint_every=5)
    killed_at(12, training)
    assert [p.name for p in sorted(training.work.glob("checkpoint-*"))] == ["checkpoint-10"]
    assert not training.folder.exists()
    again, adapter = complete(training)
    assert again.resumed == [10] and equal(weights(adapter), weights(reference))
    timeless = [[replace(e, seconds=0) for e in record.evaluations] for record in (again, whole)]
    assert timeless[0] == timeless[1] and again.kept.step == whole.kept.step


def test_a_checkpoint_of_another_training_is_refused(study, tmp_path):
    options = {"checkpoint_every": 2, "steps": 3}
    complete(FullTraining.of(study, LORA, tmp_path / "adapter", **options))
    for trial, changed, named in [
        (LORA, {"seed": 1}, "has seed 0 and this command asks for 1"),
        (LORA, {"steps": 20}, "steps 3"),
        (LORA, {"schedule": "cosine"}, "schedule 'linear'"),
        (SERIAL, {}, "configuration 'lora"),
    ]:
        with pytest.raises(AutopeftError, match=named) as error:
            complete(FullTraining.of(study, trial, tmp_path / "adapter", **options | changed))
        assert "\n" not in str(error.value)
    record, _ = complete(FullTraining.of(study, LORA, tmp_path / "adapter", overwrite=True, **options | {"seed": 1}))
    assert not record.resumed


def test_a_checkpoint_of_an_older_version_is_one_sentence(study, tmp_path):
    training = FullTraining.of(study, LORA, tmp_path / "adapter", checkpoint_every=2, steps=3)
    complete(training)
    stored = training.work / "checkpoint-2" / "checkpoint.json"
    data = json.loads(stored.read_text())
    data["record"]["points"] = data["record"].pop("evaluations")
    stored.write_text(json.dumps(data))
    with pytest.raises(AutopeftError, match="is damaged: begin anew with --overwrite"):
        complete(training)


def test_patience_stops_and_keeps_the_best_weights(study, tmp_path):
    options = {"eval_every": 2, "patience": 1, "watch": "loss", "steps": 80, "schedule": "constant"}
    record, adapter = complete(FullTraining.of(study, LORA, tmp_path / "adapter", **options))
    losses = [e.validation_loss for e in record.evaluations]
    best = losses.index(min(losses))
    assert len(losses) == best + 2 and record.evaluations[-1].step < 80, "it overfits long before"
    assert record.kept.step == 2 * (best + 1) and [p.name for p in adapter.parent.glob("adapter-*")] == [adapter.name]
    backbone, tokenised = resident()
    with loaded(backbone, adapter, trained_as("lora"), 0) as model:
        assert validation(model)[0] == pytest.approx(min(losses), abs=1e-6)
    assert (adapter.parent / "curve.csv").read_text().count("\n") == len(losses) + 1


def validation(model):
    from autopeft.proxy.scoring import evaluate

    tokenised = resident()[1]
    return evaluate(model, tokenised.validation, tokenised)


@pytest.mark.parametrize(
    "trial, way, steps",
    [(ROSTE, ("lora", "roste"), 3), (FULL_ROSTE, ("full", "roste"), 3), (ADALORA, ("adalora", "roste"), 8)],
)
def test_what_is_scored_is_what_was_trained(study, tmp_path, trial, way, steps):
    """A RoSTE adapter was scored on the unrounded backbone."""
    record, adapter = complete(FullTraining.of(study, trial, tmp_path / "adapter", steps=steps))
    backbone, _ = resident()
    with loaded(backbone, adapter, trained_as(*way), 0) as model:
        assert validation(model)[0] == pytest.approx(record.kept.validation_loss, abs=1e-6)
    with loaded(backbone, adapter, trained_as(way[0]), 0) as model:
        assert abs(validation(model)[0] - record.kept.validation_loss) > 1e-5


@pytest.mark.parametrize("name, shares", [("linear", (1.0, 0.5)), ("cosine", (1.0, 0.5)), ("constant", (1.0, 1.0))])
def test_schedules_rise_and_end(name, shares):
    factor = schedule(name, 0.1)
    assert [factor(s, 100) for s in (0, 4, 9)] == pytest.approx([0.1, 0.5, 1.0])
    assert (factor(10, 100), factor(55, 100)) == pytest.approx(shares)
    assert all(schedule("linear", 0.06)(s, 300) == learning_rate_factor(s, 300) for s in range(300))


def test_it_trains_merges_and_tells_how_to_load(study, tmp_path, monkeypatch):
    out = tmp_path / "adapter"
    done = autopeft.train(study, LORA, out, epochs=0.5, merge=True)
    assert (
        done.steps == 7
        and done.epochs == pytest.approx(7 / 13, abs=1e-3)
        and not (tmp_path / "adapter.unfinished").exists()
    )
    assert json.loads((out / "scores.json").read_text()) == done.to_json() and len(done.curve) == 2
    backbone, tokenised = resident()
    told = {}
    monkeypatch.chdir(out)
    exec(re.search(r"```python\n(.+?)```", (out / "README.md").read_text(), re.DOTALL)[1], told)
    whole = AutoModelForSequenceClassification.from_pretrained(out / "merged").eval()
    inputs, _ = collate(tokenised.test, torch.arange(12).numpy(), tokenised.pad_token_id)
    with torch.no_grad(), loaded(backbone, out, trained_as("lora"), 0) as model:
        adapted, own = forward(model, inputs, tokenised.kind), whole(**inputs).logits
        assert torch.allclose(adapted, own, atol=1e-5)
        assert torch.allclose(adapted, told["model"](**inputs).logits, atol=1e-6)
        with model.disable_adapter():
            assert not torch.allclose(forward(model, inputs, tokenised.kind), own, atol=1e-2)
    assert list(whole.config.id2label.values()) == list(tokenised.task.label_names)


def test_the_card_holds_what_the_hub_reads(study, tmp_path):
    from huggingface_hub import ModelCard

    out = study / "adapters" / "trial-1"
    done = autopeft.train(study, ROSTE, steps=2, accumulate=2)
    card = ModelCard.load(out / "README.md")
    assert (
        card.data.base_model == "minilm-l6"
        and card.data.library_name == "peft"
        and card.data.datasets == ["rotten-tomatoes"]
    )
    (result,) = card.data.eval_results
    assert result.metric_type == "accuracy" and result.metric_value == round(done.test_score, 4)
    assert (
        "16 in 2 passes" in card.text and "RoSTE changes it" in card.text and "PeftModel.from_pretrained" in card.text
    )
    assert autopeft.compress(out, density=0.5).before.test_loss == pytest.approx(done.test_loss, abs=1e-6)


@pytest.mark.parametrize(
    "trial, options, sentence",
    [
        (99, {}, "has no trial '99'"),
        (LORA, {"steps": 4, "epochs": 1}, "give one of them"),
        (LORA, {"patience": 3}, "--eval-every"),
        (LORA, {"accumulate": 17}, "cannot be taken in 17 parts"),
        (LORA, {"steps": 0}, "greater than or equal to 1"),
        (LORA, {"epoch": 3}, "Did you mean 'epochs'"),
        (PACE, {"accumulate": 2}, "pace needs a step's rows together"),
        (PACE, {"gradient_checkpointing": True}, "pace does not compute the same twice"),
        (SERIAL, {"merge": True}, "serial_adapter cannot be merged"),
        (ROSTE, {"merge": True}, "roste changes the backbone"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_writes_nothing(study, tmp_path, trial, options, sentence):
    with pytest.raises(AutopeftError, match=sentence) as error:
        autopeft.train(study, trial, tmp_path / "adapter", **options)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


def test_an_adapter_is_not_saved_into_a_folder_that_is_named_like_a_url(tmp_path, monkeypatch):
    """It was: ./s3:/bucket/mine."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AutopeftError, match=r"^--out is s3://bucket/mine: give a folder, and copy it there"):
        FullTraining.of("study", LORA, "s3://bucket/mine")
    assert not list(tmp_path.iterdir())


def test_a_folder_that_exists_is_kept_unless_told(study, tmp_path):
    (tmp_path / "mine").write_text("text")
    with pytest.raises(AutopeftError, match="--overwrite"):
        autopeft.train(study, LORA, tmp_path)
    assert (tmp_path / "mine").read_text() == "text"


def test_quantising_without_bitsandbytes_is_one_sentence(study, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["autopeft.train.checks"], "find_spec", lambda name: None)
    with pytest.raises(AutopeftError, match="pip install bitsandbytes"):
        autopeft.train(study, LORA, tmp_path / "adapter", quantize="4bit")


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_a_quantised_backbone_trains_nearly_as_well(study, plain, tmp_path, bits):
    pytest.importorskip("bitsandbytes")
    done = autopeft.train(study, LORA, tmp_path / "adapter", quantize=bits)
    losses = [[e.validation_loss for e in found] for found in (done.curve, plain[0].evaluations)]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], abs=0.05)
    assert "BitsAndBytesConfig" in (tmp_path / "adapter" / "README.md").read_text()


def test_a_dry_run_says_what_would_happen(study, tmp_path):
    training = autopeft.train(
        study, LORA, tmp_path / "adapter", dry_run=True, epochs=2, eval_every=5, checkpoint_every=10, merge=True
    )
    assert training.steps == 26 and training.evaluations == 6 and training.checkpoints == 2 and not training.resumes
    assert training.seconds == pytest.approx(26 * 0.2) and "merged/" in training.files and not list(tmp_path.iterdir())
