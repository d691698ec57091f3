"""Files that somebody made to run code or to write elsewhere: nothing of it happens."""

import ast
import json
import pickle
import shutil

import pytest
import torch
import yaml
from fuzzed_study import rewritten, values_of, write_study
from made_up import WHOLE
from tiny import tiny_backbone, tiny_config, tiny_model

import autopeft
from autopeft import AutopeftError, Result, StudySpec
from autopeft.space import load_space


class Opens:
    """What runs `open(path, "w")` where a pickle of it is opened."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.fixture
def ran(tmp_path):
    """The file that appears where a pickle was opened; that it would is checked first."""
    path = tmp_path / "ran"
    pickle.loads(pickle.dumps(Opens(path)))
    assert path.exists()
    path.unlink()
    yield path
    assert not path.exists(), "the pickle was opened"


def test_a_checkpoint_that_is_a_pickle(tmp_path, ran):
    from autopeft.backbone.loading import load_backbone

    tiny_config("bert").save_pretrained(tmp_path / "model")
    torch.save({"x": Opens(ran)}, tmp_path / "model" / "pytorch_model.bin")
    (tmp_path / "model" / "tokenizer.json").write_text("{}")
    with pytest.raises(AutopeftError):
        load_backbone(str(tmp_path / "model"), 2)


def test_a_checkpoint_whose_weights_are_a_pickle(tmp_path, ran):
    from autopeft.backbone.loading import _model
    from autopeft.tasks.kind import get_kind

    config = tiny_config("bert")
    config.save_pretrained(tmp_path / "model")
    torch.save({"x": Opens(ran)}, tmp_path / "model" / "pytorch_model.bin")
    with pytest.raises(AutopeftError, match="is a pickle .*convert it to safetensors"):
        _model("m", str(tmp_path / "model"), config, torch.float32, "eager", False, get_kind())


def test_an_adapter_that_is_a_pickle(tmp_path, ran):
    folder = tmp_path / "adapter"
    folder.mkdir()
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "task_type": "SEQ_CLS"}))
    torch.save({"x": Opens(ran)}, folder / "adapter_model.bin")
    with pytest.raises(AutopeftError, match="holds no saved adapter"):
        autopeft.compress(folder)
    (folder / "adapter_model.bin").rename(folder / "adapter_model.safetensors")
    with pytest.raises(AutopeftError, match="damaged"):
        autopeft.compress(folder)


@pytest.mark.parametrize("key", ["auto_mapping", "megatron_config"])
def test_an_adapter_that_names_code_to_import(tmp_path, key):
    from safetensors.torch import save_file

    config = {
        "peft_type": "LORA",
        "task_type": "SEQ_CLS",
        "megatron_core": "antigravity",
        key: {"parent_library": "os"},
    }
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    save_file({"x": torch.zeros(1)}, tmp_path / "adapter_model.safetensors")
    with pytest.raises(AutopeftError, match=f"names code to import .{key}"):
        autopeft.compress(tmp_path)


def test_an_adapter_of_a_training_that_is_a_pickle(tmp_path, ran):
    """peft itself takes adapter_model.bin where there is no safetensors file; torch then opens tensors only."""
    from peft import LoraConfig, get_peft_model

    from autopeft.train.saved import loaded

    model = get_peft_model(tiny_model("bert"), LoraConfig(target_modules=["query"]))
    model.save_pretrained(tmp_path / "adapter")
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    torch.save({"x": Opens(ran)}, tmp_path / "adapter" / "adapter_model.bin")
    with pytest.raises(pickle.UnpicklingError), loaded(tiny_backbone("bert"), tmp_path / "adapter"):
        pass


def test_states_and_stored_hidden_states_that_are_pickles(tmp_path, ran):
    import numpy as np
    from safetensors import SafetensorError

    from autopeft.backbone.prefix_pieces import Damaged, Layout, open_piece
    from autopeft.executor.stored import Stored
    from autopeft.proxy.checkpoint import JobFile
    from autopeft.proxy.run import Run

    evil = pickle.dumps(Opens(ran))
    (tmp_path / "a.piece").write_bytes(evil.ljust(1024, b"\0"))
    with pytest.raises(Damaged):
        open_piece(tmp_path / "a.piece", Layout("t", 1, 4, "float32"), np.array([1]))
    (tmp_path / "job").write_bytes(evil)
    assert JobFile(str(tmp_path / "job")).read() is None
    stored = Stored.write(str(tmp_path / "state"), evil)
    assert stored.read() == evil
    with pytest.raises(SafetensorError):
        Run._load(object.__new__(Run), evil)


TAG = "!!python/object/apply:os.system ['touch {}']"


@pytest.mark.parametrize("read", ["study", "space", "rates"])
def test_tags_in_yaml(tmp_path, read):
    ran = tmp_path / "ran"
    path = tmp_path / "mine.yaml"
    path.write_text(f"description: {TAG.format(ran)}\nmodel: {TAG.format(ran)}\n")
    with pytest.raises(yaml.YAMLError if read == "rates" else AutopeftError, match="python/object"):
        {
            "study": lambda: StudySpec.read(path),
            "space": lambda: load_space(str(path)),
            "rates": lambda: yaml.safe_load(path.read_text()),
        }[read]()
    assert not ran.exists()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_study(tmp_path_factory.mktemp("malicious") / "study")


@pytest.fixture
def study(whole, tmp_path):
    """A copy of a made-up study that may be changed."""
    return shutil.copytree(whole, tmp_path / "study")


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..", "trial 1/../../x", "a\0b", "a\nb", ""])
def test_a_run_whose_name_leads_out_of_the_study(study, name):
    """The adapter of a run is saved in a folder that is named after it."""
    runs = values_of(study, "outcomes.jsonl")
    rewritten(study, "outcomes.jsonl", [{**run, "name": name} for run in runs])
    with pytest.raises(AutopeftError, match="Line 1 of .*outcomes.jsonl is damaged"):
        Result.open(study)


@pytest.mark.parametrize(
    "name", ["study.json", "outcomes.jsonl", "trials.journal", "ledger.json", "packing.jsonl", "states"]
)
def test_a_file_of_a_study_that_is_a_link(study, tmp_path, name):
    """A search would have written into, or emptied, what it leads to."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    (study / name).unlink(missing_ok=True)
    (study / name).symlink_to(mine if name == "states" else mine / "letter.txt")
    for opened in (lambda: Result.open(study), lambda: autopeft.search(StudySpec(**WHOLE.spec), study)):
        with pytest.raises(AutopeftError, match=f"{name} is a link"):
            opened()
    assert (mine / "letter.txt").read_text() == "dear"


def test_a_report_is_not_written_through_a_link(study, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    (study / "report.html.part").symlink_to(tmp_path / "letter.txt")
    with pytest.raises(AutopeftError, match="report.html could not be written"):
        Result.open(study).write_report()
    assert (tmp_path / "letter.txt").read_text() == "dear"


QUOTES = 'x"""\nimport os\nos.system("touch ran")\n"""\\'


@pytest.mark.parametrize("to", ["peft", "script", "trl", "adapters", "axolotl", "llamafactory"])
def test_a_name_in_an_exported_script_is_no_code(study, tmp_path, to):
    """A data file may be called what ends a docstring."""
    about = values_of(study, "study.json")[0]
    rewritten(
        study,
        "study.json",
        [{**about, "task": {**about["task"], "name": QUOTES}, "spec": {**about["spec"], "data": QUOTES}}],
    )
    try:
        done = Result.open(study).export(to, "best", tmp_path / "out")
    except AutopeftError:
        pytest.skip("this toolkit writes nothing of it")
    for path in (tmp_path / "out").rglob("*.py"):
        tree = ast.parse(path.read_text())
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.Import) and n.names[0].name == "os"], done


@pytest.mark.parametrize("ask", ["yaml", "train", "compress"])
def test_code_of_a_model_is_run_only_where_the_command_says_so(study, tmp_path, ask):
    """A study of somebody else asked for it, and its code would have been run."""
    about = values_of(study, "study.json")[0]
    rewritten(study, "study.json", [{**about, "spec": {**about["spec"], "trust_remote_code": True}}])
    (tmp_path / "mine.yaml").write_text("model: a/b\ntrust_remote_code: true\n")
    asked = {
        "yaml": lambda: StudySpec.read(tmp_path / "mine.yaml"),
        "train": lambda: autopeft.train(study, dry_run=True),
        "compress": lambda: autopeft.compress(adapter_in(tmp_path), study=study),
    }
    with pytest.raises(AutopeftError, match="asks to run Python code .*add --trust-remote-code"):
        asked[ask]()
    if ask == "yaml":
        assert StudySpec.read(tmp_path / "mine.yaml", trust_remote_code=True).trust_remote_code
    if ask == "train":
        Result.open(study).write_report()
        assert "Python code that came with the model was run" in (study / "report.html").read_text()


def adapter_in(folder):
    """An empty adapter."""
    from safetensors.torch import save_file

    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "task_type": "SEQ_CLS"}))
    save_file({"x": torch.zeros(1)}, folder / "adapter_model.safetensors")
    return folder


def test_where_a_study_says_that_its_states_lie_nothing_else_is_removed(tmp_path):
    """A search that ends removes its states, and all else that lay there."""
    from autopeft.base.artefacts import Artefacts

    (tmp_path / "letter.txt").write_text("dear")
    (tmp_path / "trial-1-4-0.001.state").write_text("")
    Artefacts(str(tmp_path)).remove()
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]
