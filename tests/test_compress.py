"""ComPEFT on adapters that were really trained: MiniLM on some hundred film reviews."""

import json
import sys
from functools import partial

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

import autopeft
from autopeft.backbone.loading import load_backbone
from autopeft.base.errors import AutopeftError
from autopeft.base.progress import Progress
from autopeft.cli.main import commands
from autopeft.configuration import Configuration
from autopeft.export.mechanisms.compressed import FILE, Saved, expand, references
from autopeft.export.mechanisms.signs import Signs, entropy
from autopeft.methods import get_method
from autopeft.proxy.trainer import train
from autopeft.study.folder import StudyFolder
from autopeft.study.spec import StudySpec
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise
from autopeft.train.saved import save

SPEC = StudySpec(train_rows=192, validation_rows=32, test_rows=32, max_length=24)
RATES = {"lora": 2e-3, "ia3": 3e-2, "full": 2e-4}


@pytest.fixture(scope="module")
def backbone():
    return load_backbone(SPEC.model, 2)


@pytest.fixture(scope="module")
def study(tmp_path_factory, backbone):
    """A study folder with three trained adapters in it."""
    folder = tmp_path_factory.mktemp("compress") / "study"
    files = StudyFolder(folder)
    files.create()
    files.write({"spec": SPEC.model_dump()})
    task = load_task(**SPEC.task_arguments())
    tokenised = tokenise(task, backbone.tokenizer, SPEC.max_length)
    for method, rate in RATES.items():
        how = Configuration.of(method, get_method(method).defaults, (5,), rate)
        train(
            backbone,
            tokenised,
            how,
            seed=0,
            steps=8,
            batch_size=16,
            keep=partial(save, folder=folder / "adapters" / method),
        )
    return folder


@pytest.mark.parametrize("density", [0.05, 0.2, 0.5, 1.0])
def test_a_code_costs_little_more_than_the_entropy(density):
    update = np.random.default_rng(0).standard_normal(100_000).astype(np.float32) * 3
    signs = Signs.of(update, density, 2.0)
    assert signs.places.size == density * update.size and signs.scale == pytest.approx(6, rel=0.01)
    kept = np.sort(np.abs(update))[-signs.places.size]
    assert np.array_equal(
        signs.dense(), np.where(np.abs(update) >= kept, np.sign(update) * signs.scale, 0).astype("f4")
    )
    packed = signs.pack()
    bits = 8 * sum(v.nbytes for v in packed.values()) / update.size
    assert entropy(density) - 0.02 <= bits <= 1.1 * entropy(density) + 0.02
    again = Signs.unpack(packed, update.size)
    assert np.array_equal(again.dense(), signs.dense())


@pytest.mark.parametrize("method", RATES)
def test_the_adapter_is_its_start_plus_signs_and_the_compact_file_says_the_same(study, backbone, method, tmp_path):
    adapter, out = copied(study / "adapters" / method, tmp_path / method), tmp_path / "small"
    done = autopeft.compress(adapter, density=0.3, alpha=1.0, out=out)
    assert done.bytes_after < done.bytes_before / 8 and done.bits_per_parameter < 1.4
    starts, _ = references(backbone, adapter)
    before, after = load_file(adapter / "adapter_model.safetensors"), load_file(out / "adapter_model.safetensors")
    values = {}
    for name, tensor in after.items():
        if "classifier" in name:  # new: MiniLM has no such head
            assert torch.equal(tensor, before[name])
        else:
            group = "head" if "pooler" in name else "method"
            values.setdefault(group, []).append((tensor - starts[name]).abs().flatten())
    for update in map(torch.cat, values.values()):
        changed = update[update > update.max() / 2]
        assert changed.numel() == round(0.3 * update.numel()) and torch.allclose(changed, changed[0], atol=1e-6)
    expanded = expand(out / FILE, backbone, tmp_path / "expanded")
    again = load_file(expanded / "adapter_model.safetensors")
    assert again.keys() == after.keys() and all(torch.equal(again[n], t) for n, t in after.items())


def test_an_adapter_that_tells_its_seed_is_measured_from_its_very_start(study, backbone, tmp_path):
    adapter = copied(study / "adapters" / "lora", tmp_path / "lora")
    how = Configuration.of("lora", get_method("lora").defaults, (5,), RATES["lora"])
    (adapter / "scores.json").write_text(json.dumps({"configuration": how.to_json(), "seed": 0}))
    saved, blind = (Saved.read(folder, backbone) for folder in (adapter, study / "adapters" / "lora"))
    drawn = [n for n in saved.starts if "lora_A" in n]
    assert all(saved.starts[n].any() and not blind.starts[n].any() for n in drawn)
    moved = sum((saved.tensors[n] - saved.starts[n]).norm() for n in drawn)
    assert 0 < moved < 0.5 * sum(saved.tensors[n].norm() for n in drawn)
    done = autopeft.compress(adapter, density=0.3, out=tmp_path / "small")
    assert done.kept == 0  # the new head's start is known too
    again = load_file(expand(tmp_path / "small" / FILE, backbone, tmp_path / "expanded") / "adapter_model.safetensors")
    assert all(torch.equal(again[n], t) for n, t in load_file(tmp_path / "small" / "adapter_model.safetensors").items())


def test_starts_are_those_of_each_kind_of_parameter(study, backbone):
    lora, _ = references(backbone, study / "adapters" / "lora")
    assert all(not t.any() for n, t in lora.items() if "lora_" in n)
    ia3, _ = references(backbone, study / "adapters" / "ia3")
    assert all((t == 1).all() for n, t in ia3.items() if "ia3" in n)
    full, _ = references(backbone, study / "adapters" / "full")
    own = backbone.model.state_dict()
    assert all(torch.equal(t, own[n.removeprefix("base_model.model.")]) for n, t in full.items())


def test_tuning_takes_the_best_of_validation_and_says_what_it_did(study, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["autopeft.compress"], "ALPHAS", (0.5, 2.0))
    progress, notes = Progress(quiet=True), []
    monkeypatch.setattr(progress, "note", notes.append)
    done = autopeft.compress(
        study / "adapters" / "lora", density=0.3, tune=True, out=tmp_path / "out", progress=progress
    )
    assert done.density == 0.3 and done.alpha in (0.5, 2.0) and len(notes) == 2
    assert done.after.validation_score == pytest.approx(max(float(n.split()[-1]) for n in notes), abs=1e-4)
    assert 0 <= done.after.test_score <= 1 and done.before.test_loss > 0


def copied(adapter, to):
    """The adapter outside any study."""
    to.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        (to / name).write_bytes((adapter / name).read_bytes())
    return to


def test_the_command_prints_json_and_errors_are_one_sentence(study, tmp_path):
    def run(*arguments):
        return CliRunner().invoke(commands, ["compress", *map(str, arguments)])

    done = run(study / "adapters" / "ia3", "--density", "0.3", "--out", tmp_path / "out", "--json")
    assert json.loads(done.stdout)["after"]["test_score"] >= 0 and (tmp_path / "out" / FILE).is_file()
    alone = copied(study / "adapters" / "lora", tmp_path / "alone")
    broken = copied(alone, tmp_path / "broken")
    (broken / "adapter_model.safetensors").write_bytes(b"nothing")
    for arguments, sentence in [
        ((tmp_path,), "holds no saved adapter"),
        ((broken,), "damaged"),
        ((alone, "--density", "2"), "density is 2"),
        ((alone, "--alpha", "0"), "alpha is 0"),
        ((alone, "--tune"), "lies in no study folder"),
        ((alone, "--out", alone), "choose another folder"),
    ]:
        error = run(*arguments).exception
        assert isinstance(error, AutopeftError) and sentence in str(error) and "\n" not in str(error)


def test_an_adapter_without_a_study_is_compressed_unscored(study, tmp_path):
    alone = copied(study / "adapters" / "lora", tmp_path / "alone")
    done = autopeft.compress(alone)
    assert done.before is done.after is None and (tmp_path / "alone-compressed" / FILE).is_file()
