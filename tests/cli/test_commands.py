"""Each command through the command line: its output, its JSON, its exit code."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from autopeft.cli.main import commands
from autopeft.study.spec import StudySpec


def run(*arguments) -> str:
    done = CliRunner().invoke(commands, [str(a) for a in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture
def bert(tmp_path):
    """A folder that holds nothing but the config of BERT-base."""
    from transformers import BertConfig

    BertConfig().save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["search"],
        ["report"],
        ["export"],
        ["train"],
        ["trace"],
        ["space"],
        ["space", "show"],
        ["count"],
        ["front"],
        ["data"],
        ["methods"],
        ["procedures"],
    ],
)
def test_every_command_has_help(command):
    assert "--help" in run(*command, "--help")


def test_every_study_field_is_an_option():
    text = run("search", "--help")
    assert all("--" + name.replace("_", "-") in text for name in StudySpec.model_fields)


def test_count_from_a_config_alone(bert):
    counted = json.loads(
        run(
            "count",
            "--model",
            bert,
            "--method",
            "lora",
            "--set",
            "rank=8",
            "--set",
            "target_modules=query+value",
            "--json",
        )
    )
    assert counted["trainable"] == 12 * 2 * 8 * (768 + 768)
    assert counted["head"] == 768 * 768 + 768 + 2 * 768 + 2
    assert counted["percent"] == pytest.approx(100 * counted["trainable"] / counted["total"])
    known = {"configuration", "objectives", "uniform_lora"}  # modules are for --verbose
    assert set(counted) == {"trainable", "total", "percent", "head"} | known


def test_count_of_layers_and_modules(bert):
    verbose = json.loads(
        run(
            "count",
            "--model",
            bert,
            "--method",
            "dcft",
            "--set",
            "kernel_size=8",
            "--set",
            "target_modules=all-linear",
            "--set",
            "layers=0,2-3",
            "--set",
            "frozen_layers=2",
            "--verbose",
            "--json",
        )
    )
    assert verbose["trainable"] == 2 * 2112 and len(verbose["modules"]) == 12
    assert (
        json.loads(run("count", "--model", bert, "--method", "dcft", "--set", "kernel_size=8", "--json"))["trainable"]
        == 25_344
    )


def test_space_show_counts_exactly(bert):
    shown = json.loads(run("space", "show", "autopeft", "--model", bert, "--json"))
    assert shown["assignments"] == 11**3 * 2**12 and shown["configurations"] == 1330 * 4095 + 1
    assert "discrete configurations" in run("space", "show", "default", "--model", bert)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["--method", "loar"], "Did you mean 'lora'"),
        (["--method", "lora", "--set", "rnk=3"], "Did you mean 'rank'"),
        (["--method", "lora", "--set", "rank=three"], "whole number"),
        (["--method", "lora", "--set", "rank=0"], "above zero"),
        (["--method", "lora", "--set", "rank"], "NAME=VALUE"),
        (["--method", "lora", "--set", "layers=12"], "layers 0 to 11"),
        (["--method", "lora", "--set", "target_modules=quary"], "Did you mean 'query'"),
        (["--method", "lora", "--model", "no/such/folder"], "no/such/folder"),
    ],
)
def test_bad_counts_are_one_sentence(bert, arguments, sentence):
    model = [] if "--model" in arguments else ["--model", str(bert)]
    done = subprocess.run(
        [sys.executable, "-m", "autopeft", "count", *model, *arguments], capture_output=True, text=True
    )
    assert done.returncode == 2 and sentence in done.stderr and done.stderr.strip().count("\n") == 0


def test_a_dry_run_trains_nothing(tmp_path):
    out = tmp_path / "study"
    text = run("search", "--budget", "0.5%", "--dry-run", "--out", out)
    assert "Nothing was trained" in text and "uniform LoRA" in text and not out.exists()
    assert json.loads(run("search", "--budget", "0.5%", "--dry-run", "--json"))["budget"] > 100_000


def test_lists():
    assert "rotten-tomatoes" in run("data", "list")
    assert "licence" in run("data", "show", "rotten-tomatoes")
    assert "kind: token-classification" in run("data", "show", "twitter-ner")
    assert "entity-f1" in run("data", "tasks")
    assert "autopeft" in run("space", "list") and "lora" in run("methods")


def test_procedures_and_the_methods_they_train(bert):
    assert "plain training" in run("procedures")
    listed = {row["procedure"]: row for row in json.loads(run("procedures", "--model", bert, "--json"))}
    assert all(set(row["settings"]) == set(row["defaults"]) for row in listed.values())
    assert "head_only" in listed["plain"]["trains"] and "head_only" not in listed["lisa"]["trains"]


def test_a_space_with_procedures_says_whom_they_train(bert, tmp_path):
    space = tmp_path / "mine.yaml"
    space.write_text(
        "methods: {lora: {rank: [8], target_modules: [attention], rslora: [false]}, full: }\n"
        "procedures: {pace: {variant: [exact, fast], sigma: [1.0], weight: [1.0]}}\nlayers: suffix\n"
    )
    shown = json.loads(run("space", "show", space, "--model", bert, "--json"))
    assert shown["configurations"] == 12 * (1 + 2) + 12 and list(shown["refused_procedures"]["pace"]) == ["full"]
    rows = {d["name"]: d for d in shown["dimensions"]}
    assert rows["procedure"]["choices"] == ["plain", "pace"] and rows["pace.variant"]["choices"] == ["exact", "fast"]
    text = run("space", "show", space, "--model", bert)
    assert "pace.variant" in text and "Left out: pace with full (full adds nothing" in text


def test_trace_prints_a_table_and_json():
    arguments = ("trace", "--rows", "64", "--quiet")
    assert "would freeze the lowest" in run(*arguments)
    printed = json.loads(run(*arguments, "--json"))
    assert len(printed["scores"]) == 6 and len(printed["details"]["deviation"]) == 7 and 0 <= printed["cut"] < 6


def test_the_kinds_of_tasks_are_listed_with_what_they_need():
    kinds = {row["task"]: row for row in json.loads(run("data", "tasks", "--json"))}
    assert kinds["instruction"]["metrics"][0] == "log-likelihood" and kinds["choice"]["models"] == "decoders"
    assert all(row["columns"] and row["metrics"] and row["example"] for row in kinds.values())
    assert "choice" in run("data", "tasks")
