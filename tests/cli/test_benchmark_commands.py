"""The commands that look into tabular benchmarks."""

import json

import pytest
from click.testing import CliRunner
from made_up_benchmarks import made_up_benchmark

from autopeft.base.errors import AutopeftError
from autopeft.cli.main import commands


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    return str(made_up_benchmark(tmp_path_factory.mktemp("benchmarks"), size=20).path)


def ask(*arguments) -> str:
    return (
        CliRunner().invoke(commands, [str(a) for a in arguments], catch_exceptions=False, standalone_mode=False).output
    )


def test_fidelity_prints_tables_or_json(path):
    assert "promotion by rungs" in ask("fidelity", path)
    judged = json.loads(ask("fidelity", path, "--json"))
    assert {r["step"] for r in judged["fidelity"]} == {6, 12, 24, 48, 96} and judged["promotion"]


def test_replay_prints_writes_and_compares(path, tmp_path):
    out = tmp_path / "replay.html"
    options = ("--sampler", "random", "--importance", "none", "--importance", "trace", "--seeds", 2, "--trials", 12)
    assert "with and without" in ask("replay", path, *options, "--out", out)
    assert "hypervolume" in out.read_text()
    found = json.loads(ask("replay", path, *options, "--json"))
    assert [r["search"] for r in found["searches"]] == ["random", "random + trace prior"] and len(found["pairs"]) == 1


def test_replay_takes_the_rungs_of_a_search(path):
    """1/4,1/2 was refused here: the full length had to be written."""
    options = ("--sampler", "random", "--rungs", "1/4,1/2", "--rungs", "1/4,1/2,1", "--seeds", 2, "--trials", 12)
    found = json.loads(ask("replay", path, *options, "--json"))
    assert [r["search"] for r in found["searches"]] == ["random + rungs 1/4,1/2"]


def test_both_take_the_objectives_of_a_study(path):
    weighed = ("--objectives", "train-flops,accuracy")
    default, other = (json.loads(ask("fidelity", path, *o, "--json")) for o in ((), weighed))
    assert default["fidelity"][0]["tau"] == other["fidelity"][0]["tau"] and default != other
    found = json.loads(ask("replay", path, *weighed, "--sampler", "random", "--seeds", 2, "--trials", 12, "--json"))
    assert found["searches"][0]["at_12"] > 0


@pytest.mark.parametrize("command", ["benchmark", "fidelity", "replay"])
def test_every_command_has_help(command):
    assert "Example" in ask(command, "--help")


@pytest.mark.parametrize(
    "options, sentence",
    [
        (("--sampler", "tpee"), "Did you mean 'tpe'"),
        (("--rungs", "2"), "no share between 0 and 1"),
        (("--importance", "magic"), "no layer scores 'magic'"),
        (("--transfer", "nowhere.csv"), "There is no tabular benchmark nowhere.csv"),
        (("--out", "figure.txt"), "no place for a figure"),
        (("--budget", "x"), "not a number"),
        (("--objectives", "latency,accuracy"), "cannot say what latency is"),
    ],
)
def test_bad_input_is_one_sentence(path, options, sentence):
    with pytest.raises(AutopeftError, match=sentence):
        ask("replay", path, *options)


def test_what_is_no_benchmark_is_said(tmp_path):
    for command in ("fidelity", "replay"):
        with pytest.raises(AutopeftError, match="There is no tabular benchmark"):
            ask(command, tmp_path / "x.csv")
