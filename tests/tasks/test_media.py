"""Pictures and recordings: folders, saved data sets, a tiny ViT and AST, and what refuses them."""

import shutil

import numpy as np
import pytest
from made_up_media import RATE, ast, tones, vit

from autopeft.backbone.blocks import describe
from autopeft.backbone.loading import load_backbone
from autopeft.backbone.prefix import PrefixCache
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.methods import REGISTRY, refusal
from autopeft.procedures import REGISTRY as PROCEDURES
from autopeft.proxy.job import Job
from autopeft.proxy.trainer import Trainer
from autopeft.tasks import load_task
from autopeft.tasks.kind import get_kind
from autopeft.tasks.tokens import tokenise

PARTS = ("train", "validation", "test")
READS_WORDS, DECODERS_ONLY = {"prompt_tuning", "p_tuning"}, {"context_pruning"}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    return {"image": vit(folder / "vit"), "audio": ast(folder / "ast"), "tones": tones(folder / "tones", 20)}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three classes of ten noisy pictures; one picture is there twice, once in another class."""
    from PIL import Image

    folder, draw = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for number, name in enumerate(("a", "b", "c")):
        (folder / name).mkdir()
        for i in range(10):
            Image.fromarray(draw.integers(80 * number, 80 * number + 60, (20, 30, 3), np.uint8)).save(
                folder / name / f"{i}.png"
            )
    (folder / "b" / "again.png").write_bytes((folder / "a" / "0.png").read_bytes())
    (folder / "notes.txt").write_text("no class")
    return folder


def test_digits_are_split_as_texts_are():
    task = load_task("digits")
    assert task.kind.name == "image-classification" and task.label_names == tuple("0123456789")
    assert [len(getattr(task, p)) for p in PARTS] == [1168, 270, 359]
    seen = [set(getattr(task, p).texts) for p in PARTS]
    assert len(set.union(*seen)) == 1797 and task.fingerprint == load_task("digits").fingerprint


def test_a_folder_of_class_folders_is_read_and_each_picture_kept_once(pictures, tmp_path):
    folder = shutil.copytree(pictures, tmp_path / "pictures")
    (folder / "a" / "twin.png").write_bytes((folder / "a" / "1.png").read_bytes())
    task = load_task(str(folder), task="image-classification")
    assert task.label_names == ("a", "b", "c") and sum(len(getattr(task, p)) for p in PARTS) == 29
    assert "Removed 1 of 32 rows whose image occurs more than once." in task.notes
    assert any("Left out 1 image in 2 rows that occur with different labels" in note for note in task.notes)


def test_splits_of_a_folder_are_kept(pictures, tmp_path):
    for part, letters in (("train", "ab"), ("val", "ab"), ("test", "ab")):
        for letter in letters:
            for i in range(2):
                place = tmp_path / part / letter
                place.mkdir(parents=True, exist_ok=True)
                row = 2 * ("train", "val", "test").index(part) + i + 1
                (place / f"{i}.png").write_bytes((pictures / letter / f"{row}.png").read_bytes())
    task = load_task(str(tmp_path), task="image-classification")
    assert [len(getattr(task, p)) for p in PARTS] == [4, 4, 4]


def test_a_saved_dataset_with_an_image_column_is_the_same_task(pictures, tmp_path):
    import datasets

    files = sorted(pictures.glob("*/*.png"))
    names = datasets.ClassLabel(names=["a", "b", "c"])
    rows = {"picture": [str(f) for f in files], "label": ["abc".index(f.parent.name) for f in files]}
    features = datasets.Features({"picture": datasets.Image(), "label": names})
    datasets.Dataset.from_dict(rows, features=features).save_to_disk(tmp_path / "saved")
    saved = load_task(str(tmp_path / "saved"), task="image-classification")
    folder = load_task(str(pictures), task="image-classification")
    assert saved.label_names == folder.label_names and saved.notes == folder.notes
    assert {p for part in PARTS for p in getattr(saved, part).texts} == {
        p for part in PARTS for p in getattr(folder, part).texts
    }


def test_bad_sources_end_in_one_sentence(pictures, checkpoints, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(AutopeftError, match="holds no image files in folders of classes"):
        load_task(str(tmp_path / "empty"), task="image-classification")
    with pytest.raises(AutopeftError, match="--task image-classification or audio-classification"):
        load_task(str(pictures))
    (tmp_path / "reviews.csv").write_text("text,label\ngood,1\nbad,0\n")
    with pytest.raises(AutopeftError, match="Cannot tell which column of reviews.csv holds the images"):
        load_task(str(tmp_path / "reviews.csv"), task="image-classification")
    with pytest.raises(AutopeftError, match="holds str good where a file's image belongs"):
        load_task(str(tmp_path / "reviews.csv"), task="image-classification", text="text")


@pytest.mark.parametrize("kind, suffix", [("image", ".png"), ("audio", ".wav")])
def test_a_file_that_is_none_is_named(kind, suffix, checkpoints, tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for i in range(8):
            (tmp_path / name / f"{i}{suffix}").write_bytes(f"not {name}{i}".encode())
    backbone = load_backbone(str(checkpoints[kind]), 2, kind=get_kind(f"{kind}-classification"))
    task = load_task(str(tmp_path), task=f"{kind}-classification")
    with pytest.raises(AutopeftError, match=rf"\d{suffix} is no readable {kind}"):
        tokenise(task, backbone.tokenizer)


def test_a_processor_that_does_not_fit_its_model_is_named(checkpoints, tmp_path):
    import shutil

    shutil.copytree(checkpoints["image"], tmp_path / "vit")
    path = tmp_path / "vit" / "preprocessor_config.json"
    path.write_text(path.read_text().replace('"height": 16', '"height": 24'))
    with pytest.raises(AutopeftError, match="What the processor of .* makes does not fit its model"):
        load_backbone(str(tmp_path / "vit"), 2, kind=get_kind("image-classification"))
    path.unlink()
    with pytest.raises(AutopeftError, match="The image processor of .* cannot be loaded"):
        load_backbone(str(tmp_path / "vit"), 2, kind=get_kind("image-classification"))


@pytest.fixture(scope="module", params=["image", "audio"])
def trained(request, checkpoints):
    """(backbone, tokenised task) of digits and of tones."""
    data = {"image": "digits", "audio": str(checkpoints["tones"])}[request.param]
    task = load_task(data, task=f"{request.param}-classification", train_rows=96, validation_rows=48)
    backbone = load_backbone(str(checkpoints[request.param]), task.outputs, kind=task.kind)
    return backbone, tokenise(task, backbone.tokenizer)


def test_every_token_of_a_row_is_counted(trained):
    backbone, tokenised = trained
    tokens = {"image": 16 + 1, "audio": 4 * 2 + 2}[tokenised.kind.modality]
    assert set(tokenised.train.lengths) == {tokens} and backbone.tokenizer.tokens == tokens
    roles = {"query", "key", "value", "attention_output", "ffn_in", "ffn_out"}
    assert set(backbone.shapes.roles) == roles and len(backbone.shapes.linears) == 4 * 6


def test_it_trains_and_stored_hidden_states_change_nothing(trained, tmp_path):
    backbone, tokenised = trained
    job = Job(Configuration.of("lora", REGISTRY["lora"].defaults, (3,), 1e-2), 0, 12, 12, (1,))
    (plain,) = Trainer(backbone, tokenised).run([job])
    cache = PrefixCache(backbone, tokenised, 10**8, tmp_path)
    (stored,) = Trainer(backbone, tokenised, prefix=cache).run([job])
    assert cache.read_rows and stored.curve.validation_loss == pytest.approx(plain.curve.validation_loss, abs=1e-5)
    assert plain.curve.validation_loss[-1] < plain.curve.validation_loss[0]


@pytest.mark.parametrize("scorer", ["trace", "variance", "gradient"])
def test_layers_are_scored(trained, scorer):
    from autopeft.importance import score_layers

    scores = score_layers(scorer, *trained, seed=0)  # AST's first token is the same for every row below block 0
    assert len(scores.scores) == 4 and np.isfinite(scores.scores).all()


def test_what_reads_words_refuses_and_the_others_run(trained):
    backbone, tokenised = trained
    assert {m for m in REGISTRY if refusal(m, backbone.shapes)} == READS_WORDS | DECODERS_ONLY
    trainer = Trainer(backbone, tokenised, 16)
    for name, procedure in PROCEDURES.items():
        if why := procedure.refuses(("lora",), backbone.shapes):
            assert why.endswith(f"{tokenised.kind.title} reads none"), name
            continue
        configuration = Configuration.of("lora", REGISTRY["lora"].defaults, (2, 3), 1e-3, name, procedure.defaults)
        (done,) = trainer.run([Job(configuration, 0, 3, 3)])
        assert not done.failure, (name, done.failure)


@pytest.mark.parametrize("model_type", ["deit", "beit", "dinov2"])
def test_other_families_of_pictures_show_their_roles(model_type):
    import torch
    from transformers import AutoConfig, AutoModelForImageClassification

    architectures = ["DeiTForImageClassification"] if model_type == "deit" else None  # of two, as checkpoints say
    config = AutoConfig.for_model(model_type, architectures=architectures)
    with torch.device("meta"):
        shapes = describe(
            AutoModelForImageClassification.from_config(config), model_type, get_kind("image-classification")
        )
    assert shapes.num_layers == 12 and len(shapes.linears) == 12 * 6 and "classifier" in shapes.head_modules


def test_a_recording_is_averaged_over_channels_and_resampled(checkpoints, tmp_path):
    from scipy.io import wavfile

    processor = load_backbone(str(checkpoints["audio"]), 2, kind=get_kind("audio-classification")).tokenizer.processor
    times = np.arange(2 * RATE) / (2 * RATE)
    tone = (0.5 * np.sin(2 * np.pi * 440 * times)).astype(np.float32)
    wavfile.write(tmp_path / "float.wav", 2 * RATE, tone)
    wavfile.write(tmp_path / "bytes.wav", RATE, np.stack([128 + 127 * tone[::2]] * 2, 1).round().astype(np.uint8))
    first, second = (
        get_kind("audio-classification").decoded(str(tmp_path / f), processor) for f in ("float.wav", "bytes.wav")
    )
    assert first.shape == second.shape == (RATE,)
    assert np.abs(first - second)[50:-50].max() < 0.02
