"""The training script runs as it is written: two steps on a tiny model, in this process."""

import json
import runpy
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from export_cases import case, save_toy

from autopeft.export import export
from autopeft.export.mechanisms.rows import rows_script
from autopeft.procedures import get_procedure


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    return save_toy(tmp_path_factory.mktemp("toy"), "bert", causal=False)


@pytest.mark.parametrize(
    "method, precision",
    [("lora", "bf16"), ("dcft", "fp32"), ("full_layers", "fp32"), ("kasa", "fp32"), ("lt_sft", "fp32")],
)
def test_the_script_trains_and_saves_what_the_search_would(method, precision, toy, tmp_path, monkeypatch, capsys):
    one = case(method, {"layers": "1-2"}, "bert", **toy)
    one = replace(one, environment={"precision": {"format": precision}, "device": "cpu"})
    export("script", one, tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "--steps", "2", "--out", str(tmp_path / "adapter")])
    ran = runpy.run_path(str(tmp_path / "train.py"))
    assert "adapter in" in capsys.readouterr().out and ran["trainer"].state.global_step == 2
    loaded = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert loaded["peft_type"] == one.fields["peft_type"]
    assert sum(p.numel() for n, p in ran["named"] if not ran["is_head"](n, ran["head"])) == one.trainable
    before = {n: p for n, p in ran["backbone"].model.named_parameters() if not p.requires_grad}
    assert before and all(p.grad is None for p in before.values())


def test_the_script_ends_where_the_search_does(toy, tmp_path, monkeypatch, capsys):
    from autopeft.backbone.loading import load_backbone
    from autopeft.proxy.job import Job
    from autopeft.proxy.trainer import Trainer
    from autopeft.study.length import evaluation_steps, with_length
    from autopeft.study.spec import StudySpec
    from autopeft.tasks import load_task
    from autopeft.tasks.tokens import tokenise

    task = load_task(toy["data"])
    spec = with_length(StudySpec(epochs=6, batch_size=4), len(task.train))
    one = case("lora", {"layers": "1-2"}, "bert", full_steps=spec.steps, epochs=spec.epochs, **toy)
    one = replace(one, configuration=replace(one.configuration, learning_rate=3e-2))
    export("script", one, tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "--out", str(tmp_path / "adapter")])
    ran = runpy.run_path(str(tmp_path / "train.py"))
    said = capsys.readouterr().out
    backbone = load_backbone(toy["model"], task.outputs)
    job = Job(one.configuration, 0, spec.steps, spec.steps, evaluation_steps(spec.steps, spec.epochs), patience=2)
    (done,) = Trainer(backbone, tokenise(task, backbone.tokenizer, 128), 4).run([job])
    assert ran["stopping"].losses == pytest.approx(list(done.curve.validation_loss), abs=1e-4)
    assert ran["trainer"].state.global_step == done.curve.steps[-1] and ran["stopping"].best == done.curve.result
    assert f"validation loss {done.curve.loss:.4f}" in said


@pytest.mark.parametrize("procedure", ["lozo", "sparse_mezo"])
def test_the_script_steps_as_forward_only_training_does(procedure, toy, tmp_path, monkeypatch):
    """The Trainer's first step has rate 0, so of two steps the second moves, along the direction of the search's own."""
    one = case("lora", {"layers": "1"}, "bert", **toy)
    how = dict(get_procedure(procedure).defaults)
    own = replace(one.configuration, procedure=procedure, procedure_settings=tuple(sorted(how.items())))
    one = replace(one, configuration=own, environment={"precision": {"format": "fp32"}, "device": "cpu"})
    assert export("script", one, tmp_path).verdict == "lossless"

    def trained(steps: int) -> dict:
        monkeypatch.setattr(sys, "argv", ["train.py", "--steps", str(steps), "--out", str(tmp_path / "adapter")])
        return runpy.run_path(str(tmp_path / "train.py"))

    start, ran = dict(trained(1)["named"]), trained(2)
    assert isinstance(ran["optimizer"], torch.optim.SGD) and not any(ran["optimizer"].state.values())
    run = SimpleNamespace(parameters=start, seed=ran["SEED"], step=1, shapes=ran["backbone"].shapes)
    z = get_procedure(procedure).directions(run, how)
    for name, parameter in ran["named"]:
        moved = parameter.detach() - start[name].detach()
        assert moved.any() and torch.cosine_similarity(moved.flatten(), z[name].flatten(), dim=0).abs() > 0.98, name


@pytest.mark.parametrize(
    "data, kind",
    [
        ("vader-ratings", "regression"),
        ("twitter-ner", "token-classification"),
        ("sciq-spans", "question-answering"),
        ("openbookqa", "multiple-choice"),
    ],
)
def test_the_script_trains_every_kind_of_task(data, kind, toy, tmp_path, monkeypatch, capsys):
    rows = {"train_rows": 12, "validation_rows": 6, "test_rows": 6, "max_length": 32}
    one = case("dcft", {"layers": "1-2"}, "bert", model=toy["model"], data=data, task=kind, **rows)
    one = replace(one, task={**one.task, "kind": kind, "classes": []})
    assert export("script", one, tmp_path).verdict == "lossless"
    monkeypatch.setattr(sys, "argv", ["train.py", "--steps", "2", "--out", str(tmp_path / "adapter")])
    ran = runpy.run_path(str(tmp_path / "train.py"))
    assert "adapter in" in capsys.readouterr().out and ran["trainer"].state.global_step == 2
    loss = ran["trainer"].state.log_history[-1]["train_loss"]
    assert 0 < loss < 20 and (tmp_path / "adapter" / "adapter_config.json").is_file()


def test_the_rows_are_texts_with_the_word_of_their_class(toy, tmp_path):
    one = case("lora", **toy, pattern=" so it was", verbalisers="bad=poor,good=fine,odd=strange")
    (tmp_path / "data.py").write_text(rows_script(one))
    runpy.run_path(str(tmp_path / "data.py"))
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert {row["completion"] for row in rows} == {" poor", " fine", " strange"}
    assert all(row["prompt"].endswith(" so it was") for row in rows)
    assert len((tmp_path / "validation.jsonl").read_text().splitlines()) < len(rows)


@pytest.mark.parametrize("method", ["lora", "full_layers"])
def test_the_script_takes_the_steps_of_the_search(method, toy, tmp_path, monkeypatch):
    """Its batches came in another order, and its schedule began at a rate of 0."""
    from autopeft.proxy.job import Job
    from autopeft.proxy.scoring import evaluate
    from autopeft.proxy.trainer import Trainer

    one = case(method, {}, "bert", **toy, seed=5)
    export("script", one, tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "--steps", "6", "--out", str(tmp_path / "adapter")])
    ran = runpy.run_path(str(tmp_path / "train.py"))
    tokens, backbone = ran["tokens"], ran["backbone"]
    loss, score = evaluate(ran["model"], tokens.validation, tokens)
    ran["model"].resident.restore()
    trainer = Trainer(backbone, tokens, one.spec["batch_size"], one.head_learning_rate)
    (found,) = trainer.run([Job(one.configuration, 5, 6, 6)])
    assert found.curve.validation_loss[-1] == pytest.approx(loss, rel=1e-6)
    assert found.curve.validation_score[-1] == score
