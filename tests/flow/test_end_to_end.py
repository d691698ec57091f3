"""The main job on real weights and real data, as small as it can be: search, kill, resume, report, export, train, load."""

import json
import os
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from small_search import SMALL, autopeft


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A finished study, killed once on its way."""
    folder = tmp_path_factory.mktemp("flow") / "study"
    command = [
        sys.executable,
        "-m",
        "autopeft",
        "search",
        *SMALL,
        "--trials",
        "4",
        "--no-ceiling",
        "--workers",
        "1",
        "--out",
        str(folder),
    ]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in running.stderr:
        if line.startswith("[2/4]"):
            running.send_signal(signal.SIGKILL)
            break
    running.wait()
    before = trials_in(folder)
    assert len(before) == 2
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert trials_in(folder)[:2] == before
    return folder


def trials_in(folder):
    """(configuration, curve) of every trial that was trained to its end or stopped at a rung."""
    from autopeft import Result

    return [(t.configuration, t.curve) for t in Result.open(folder).data.trials if t.state in ("complete", "pruned")]


def test_a_killed_search_resumes_and_finishes(study):
    assert len(trials_in(study)) == 4
    names = {p.name for p in study.iterdir()}
    assert {
        "report.html",
        "front.csv",
        "front.json",
        "trials.csv",
        "study.json",
        "trials.journal",
        "outcomes.jsonl",
    } <= names
    assert not [n for n in names if n.endswith(".part")]


def test_finalists_and_baselines_are_raced_and_have_a_test_score(study):
    from autopeft import Result

    result = Result.open(study)
    outcomes = {o.name: o for o in result.data.outcomes}
    assert {"linear probe", "uniform LoRA", "the usual guess"} <= set(outcomes)
    assert any(o.role == "finalist" for o in outcomes.values())
    assert all(1 <= len(o.curves) <= 3 and all(0 <= s <= 1 for s in o.test_scores) for o in outcomes.values())
    assert all([c.seed for c in o.curves] == [1, 2, 3][: len(o.curves)] for o in outcomes.values())
    assert len(outcomes[result.best().name].curves) >= 2, "what is recommended has an interval"
    assert all(p.trainable <= result.data.budget for p in result.front.points)
    said = result.verdict
    assert all(gain.gap.half == gain.gap.half for gain in said.gains.values()), "each has an interval"
    race = json.loads((study / "front.json").read_text())["racing"]
    trained = sum(len(o.curves) for o in outcomes.values())
    assert race == {"saved": 3 * len(outcomes) - trained, "of": 3 * len(outcomes)}


def test_running_it_again_trains_nothing(study):
    again = ["search", *SMALL, "--trials", "4", "--no-ceiling", "--out", study, "--json"]
    before = (study / "outcomes.jsonl").read_bytes(), trials_in(study)
    autopeft(*again)
    assert ((study / "outcomes.jsonl").read_bytes(), trials_in(study)) == before
    printed = json.loads(autopeft(*again, "--margin", "0.3").stdout)
    assert (study / "outcomes.jsonl").read_bytes().startswith(before[0]), "another margin may ask for further seeds"
    assert trials_in(study) == before[1]
    assert printed["margin"] == 0.3, "the margin may change, and is kept"
    assert json.loads(autopeft("report", study, "--json").stdout)["margin"] == 0.3


def test_another_study_in_the_same_folder_is_refused(study):
    done = autopeft("search", *SMALL, "--trials", "4", "--no-ceiling", "--out", study, "--seed", "5", check=2)
    assert "seed=0" in done.stderr and "seed=5" in done.stderr and done.stderr.count("\n") == 1


def test_the_report_command_prints_json(study):
    printed = json.loads(autopeft("report", study, "--margin", "0.02", "--json").stdout)
    assert printed["front"] and printed["verdict"] and printed["margin"] == 0.02


def test_the_answer_per_budget_in_the_json_is_what_best_says(study):
    from autopeft import Result

    result, told = Result.open(study), json.loads((study / "front.json").read_text())
    rows = told["per_budget"]
    assert rows[0]["budgets"][0] == told["budget"] and rows[0]["name"] == told["best"]
    for budget, name, trainable in [(b, row["name"], row["trainable"]) for row in rows for b in row["budgets"]]:
        assert result.best(budget).name == name and trainable <= budget
    assert [g["against"] for g in rows[0]["gains"]] == [g["against"] for g in told["gains"]]


def test_the_export_is_what_the_search_attached(study):
    from peft import PeftConfig

    from autopeft import Result
    from autopeft.methods import peft_fields

    result = Result.open(study)
    number = next(t.number for t in result.data.complete if t.configuration.method != "head_only")
    name, configuration = result.choose(str(number))
    out = result.export("peft", str(number)).folder
    config = PeftConfig.from_pretrained(out).to_dict()
    for key, value in peft_fields(configuration, result.data.shapes).items():
        assert (sorted(config[key]) if isinstance(config[key], set) else config[key]) == (
            sorted(value) if isinstance(config[key], set) else value
        )


def test_the_export_command_writes_says_the_verdict_or_refuses(study, tmp_path):
    done = autopeft("export", study, "--to", "script", "--out", tmp_path / "script")
    assert (tmp_path / "script" / "train.py").is_file() and "Wrote train.py" in done.stdout
    assert "python train.py" in done.stdout
    verdicts = {x["toolkit"]: x for x in json.loads(autopeft("export", study, "--verdicts", "--json").stdout)}
    assert verdicts["script"]["verdict"] != "unsupported" and verdicts["trl"]["reason"]
    refused = autopeft("export", study, "--to", "trl", "--out", tmp_path / "trl", check=2)
    assert "encoder" in refused.stderr and "peft, script" in refused.stderr
    assert refused.stderr.count("\n") == 1 and not (tmp_path / "trl").exists()


def test_a_trained_adapter_gives_the_same_predictions_in_a_new_process(study, tmp_path):
    out = tmp_path / "adapter"
    scores = json.loads(autopeft("train", study, "--steps", "6", "--out", out, "--json").stdout)
    assert (out / "adapter_model.safetensors").is_file() and scores["test_score"] == pytest.approx(
        json.loads((out / "scores.json").read_text())["test_score"]
    )
    code = f"""
import autopeft, json
from peft import PeftModel
from autopeft.backbone.loading import load_backbone
from autopeft.proxy.scoring import evaluate
from autopeft.study.spec import StudySpec
from autopeft.tasks import load_task
from autopeft.tasks.tokens import tokenise
spec = StudySpec(**json.load(open({str(study / "study.json")!r}))["spec"])
task = load_task(**spec.task_arguments())
backbone = load_backbone(spec.model, len(task.label_names))
model = PeftModel.from_pretrained(backbone.model, {str(out)!r}).eval()
tokens = tokenise(task, backbone.tokenizer, spec.max_length)
print(json.dumps(evaluate(model, tokens.test, tokens)))
"""
    loss, score = json.loads(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    )
    assert score == scores["test_score"] and loss == pytest.approx(scores["test_loss"], rel=1e-6)


def test_a_search_begins_with_the_front_of_the_study_it_transfers_from(study, tmp_path):
    out = tmp_path / "transferred"
    autopeft("search", *SMALL, "--trials", "3", "--no-ceiling", "--transfer", study, "--out", out)
    from autopeft import Result

    front = [p.configuration for p in Result.open(study).front.points if p.configuration.method != "head_only"]
    begun = [t.configuration for t in Result.open(out).data.trials]
    assert {(c.method, c.settings, c.layers) for c in front} <= {(c.method, c.settings, c.layers) for c in begun}


def test_ctrl_c_stops_cleanly_and_writes_the_report(tmp_path, ctrl_c):
    folder = tmp_path / "study"
    running = subprocess.Popen(
        [sys.executable, "-m", "autopeft", "search", *SMALL, "--trials", "50", "--out", str(folder)],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for line in running.stderr:
        if line.startswith("[2/50]"):
            time.sleep(0.3)
            running.send_signal(signal.SIGINT)
            break
    out, err = running.communicate(timeout=120)
    assert "Traceback" not in err and "Stopped" in err
    assert (folder / "report.html").is_file() and "report.html" in out
    assert running.returncode == 130


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_loses_nothing(study, tmp_path):
    """A real full disk: a file system of 300 kB, where this process may mount one."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting needs privileges")
    try:
        (disk / "ballast").write_bytes(os.urandom(200_000))
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "autopeft",
                "search",
                *SMALL,
                "--trials",
                "60",
                "--no-ceiling",
                "--out",
                str(disk / "study"),
            ],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
        assert "space" in done.stderr.splitlines()[-1]
        (disk / "ballast").unlink()
        kept = len(trials_in(disk / "study"))
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "autopeft",
                "search",
                *SMALL,
                "--trials",
                str(kept + 1),
                "--no-ceiling",
                "--out",
                str(disk / "study"),
                "--timeout",
                "1",
            ],
            capture_output=True,
            text=True,
        )
        assert "Traceback" not in done.stderr
        assert len(trials_in(disk / "study")) >= kept
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.parametrize(
    "change, sentence",
    [
        (lambda f: f.assign(label=1), "one class"),
        (lambda f: f.drop(columns="label"), "label"),
        (lambda f: f.iloc[:0], "no rows"),
        (lambda f: f.assign(label=[None] + list(f.label[1:])), "label"),
    ],
)
def test_bad_data_is_one_sentence(tmp_path, change, sentence):
    rows = pd.DataFrame({"text": [f"sentence number {i}" for i in range(40)], "label": [i % 2 for i in range(40)]})
    path = tmp_path / "data.csv"
    change(rows).to_csv(path, index=False)
    out = tmp_path / "study"
    done = autopeft("search", "--data", path, "--label", "label", "--text", "text", "--out", out, check=2)
    assert sentence in done.stderr.lower() and done.stderr.count("\n") == 1
    assert not out.exists()


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--data", "no-such-file.csv"], "no-such-file.csv"),
        (["--budget", "0"], "leaves nothing to train"),
        (["--budget", "-1%"], "leaves nothing to train"),
        (["--budget", "plenty"], "not a number"),
        (["--budget", "3", "--space", "lora"], "smallest is lora"),
        (["--space", "defualt"], "Did you mean 'default'"),
        (["--sampler", "tep"], "Did you mean 'tpe'"),
        (["--importance", "tracer"], "Did you mean 'trace'"),
        (["--metric", "acuracy"], "Did you mean 'accuracy'"),
        (["--trials", "0"], "greater than or equal to 1"),
        (["--pattern", "It was"], "are for decoders"),
        (["--modle", "x"], "--model"),
    ],
)
def test_a_bad_option_is_one_sentence_and_writes_nothing(tmp_path, arguments, sentence):
    out = tmp_path / "study"
    done = autopeft("search", "--out", out, *arguments, check=2)
    assert sentence in done.stderr and done.stderr.strip().count("\n") == 0
    assert not out.exists()
