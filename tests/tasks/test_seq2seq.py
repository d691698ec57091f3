"""Encoder-decoders: prompts and responses, layers of both stacks, generation, and what refuses."""

import numpy as np
import pytest
import torch
from made_up_seq2seq import DECODER, ENCODER, save_tiny_seq2seq

from autopeft.backbone.loading import load_backbone
from autopeft.backbone.prefix import PrefixCache
from autopeft.backbone.sizes import shapes_of
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY, refusal
from autopeft.procedures import REGISTRY as PROCEDURES
from autopeft.proxy.generation import generate
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise

WORDS = ("cat", "dog", "sun", "sea", "tree")
REFUSED = {
    "aside",
    "conformer_adapter",
    "context_pruning",
    "gated_prefix",
    "head_only",
    "p_tuning",
    "prefix_tuning",
    "prompt_tuning",
    "q_adapter",
    "vqt",
}


@pytest.fixture(scope="module", params=["t5", "bart"])
def loaded(request, tmp_path_factory):
    """(backbone, tokenised task): the response repeats the prompt's first word."""
    folder = tmp_path_factory.mktemp(request.param)
    rows = [(f"{a} {b} {c}", a) for a in WORDS for b in WORDS for c in WORDS]
    (folder / "echo.csv").write_text("prompt,response\n" + "".join(f"{p},{r}\n" for p, r in rows))
    model = save_tiny_seq2seq(request.param, folder / "model", [text for row in rows for text in row])
    task = load_task(str(folder / "echo.csv"), task="seq2seq")
    backbone = load_backbone(model, task.outputs, task=task.kind)
    return backbone, tokenise(task, backbone.tokenizer, 16)


def lora(layers, name="plain"):
    settings = {**REGISTRY["lora"].defaults, "target_modules": "all-linear"}
    return Configuration.of("lora", settings, layers, 1e-2, name, PROCEDURES[name].defaults)


def test_layers_are_the_blocks_of_both_stacks(loaded):
    shapes = loaded[0].shapes
    assert shapes.num_layers == ENCODER + DECODER and len(set(map(shapes.block, range(5)))) == 5
    assert [sum(x.layer == i and x.role == "query" for x in shapes.linears) for i in range(5)] == [1, 1, 1, 2, 2]
    assert [sum(x.layer == i for x in shapes.linears) for i in range(5)] == [6, 6, 6, 10, 10]
    assert [shapes.layer_of(f"base_model.model.{shapes.block(i)}.x.weight") for i in range(5)] == [0, 1, 2, 3, 4]
    assert shapes.block_parameters == tuple(
        sum(p.numel() for p in loaded[0].model.get_submodule(shapes.block(i)).parameters()) for i in range(5)
    )
    counted = shapes_of(shapes.name, 2, task="seq2seq")
    assert counted == shapes and not shapes.head_modules


def test_labels_are_the_response_and_its_end(loaded):
    backbone, tokenised = loaded
    tokenizer, split = backbone.tokenizer, tokenised.train
    assert tokenizer.decode(split.labels[0]) == tokenised.task.train.labels[0] + tokenizer.eos_token
    assert tokenizer.decode(split.input_ids[0]).startswith(tokenised.task.train.labels[0])


@pytest.mark.parametrize("layers", [(4,), (2, 3)])
def test_it_trains_and_stored_hidden_states_change_nothing(loaded, layers, tmp_path):
    """T5's first block makes the positions that the others read, so nothing of it is stored."""
    backbone, tokenised = loaded
    job = Job(lora(layers), 0, 12, 12, (1,))
    (plain,) = Trainer(backbone, tokenised).run([job])
    assert not plain.failure and plain.curve.validation_loss[-1] < plain.curve.validation_loss[0]
    assert plain.curve.validation_score[-1] == pytest.approx(-plain.curve.validation_loss[-1], abs=1e-5)
    cache = PrefixCache(backbone, tokenised, 10**8, tmp_path)
    (stored,) = Trainer(backbone, tokenised, prefix=cache).run([job])
    assert stored.curve.validation_loss == pytest.approx(plain.curve.validation_loss, abs=1e-5)
    assert bool(cache.read_rows) == (backbone.shapes.model_type == "bart")


def test_what_is_generated_is_what_is_likeliest_step_by_step(loaded):
    backbone, tokenised = loaded
    units = np.arange(6)
    written = generate(backbone.model, tokenised, "validation", units)
    for i, text in zip(units, written):
        ids = torch.as_tensor(np.asarray(tokenised.validation.input_ids[i]))[None].long()
        said = [backbone.model.config.decoder_start_token_id]
        while len(said) < 4 and said[-1] != backbone.tokenizer.eos_token_id:
            logits = backbone.model(input_ids=ids, decoder_input_ids=torch.tensor([said])).logits
            said.append(int(logits[0, -1].argmax()))
        whole = backbone.tokenizer.decode(said[1:], skip_special_tokens=True).strip()
        assert whole.startswith(text) or text.startswith(whole)


def test_methods_that_do_not_fit_say_why(loaded):
    refused = {m: why for m in REGISTRY if (why := refusal(m, loaded[0].shapes))}
    expected = REFUSED | ({"bitfit"} if loaded[0].shapes.model_type == "t5" else set())  # which has no biases
    assert set(refused) == expected and all(len(why) > 30 for why in refused.values())


def test_procedures_train_or_refuse(loaded):
    backbone, tokenised = loaded
    trainer = Trainer(backbone, tokenised, 8)
    refused = set()
    for name, procedure in PROCEDURES.items():
        if procedure.refuses(("lora",), backbone.shapes):
            refused.add(name)
            continue
        (done,) = trainer.run([Job(lora((2, 4), name), 0, 3, 3)])
        assert not done.failure, (name, done.failure)
    assert refused == {"mixup", "pace", "roste", "token_augmentation", "token_elimination"}


def test_scorers_score_both_stacks_or_refuse(loaded):
    from autopeft.importance import score_layers

    assert len(score_layers("gradient", *loaded, seed=0).scores) == ENCODER + DECODER
    for scorer in ("trace", "variance"):
        with pytest.raises(AutopeftError, match="stack|classes"):
            score_layers(scorer, *loaded, seed=0)


def test_a_model_of_one_stack_is_refused():
    with pytest.raises(AutopeftError, match="minilm-l6 is a bert model, which transformers cannot use for"):
        shapes_of("minilm-l6", 2, task="seq2seq")
