"""Options on the command line: what a command that trains nothing says, or one sentence."""

import click
import pandas as pd
import pytest
from click.testing import CliRunner
from fuzz_cases import NUMBERS, nearly
from fuzzed_study import write_study
from hypothesis import example, given
from hypothesis import strategies as st

from autopeft.base.errors import AutopeftError
from autopeft.cli.main import commands
from autopeft.study.spec import StudySpec

FREE = [n for n in StudySpec.model_fields if n not in ("time", "transfer", "storage", "address", "executor")]
WORDS = ("lora", "ia3", "rank=8", "layers=0,2-4", "parameters,accuracy", "train-memory=", "neg=bad,pos=good", "0.5%", "300k",
         "text", "label", "bf16", "none", "1/4,1/2", "f1", "os:system", "../..", "--", "[/b]", "[link=x]", "{", "$HOME")  # fmt: skip
VALUES = nearly(*WORDS, *NUMBERS, most=3).filter(lambda text: "\0" not in text)
RUNNER = CliRunner()


def said(*arguments: str) -> str:
    """What a command prints; a sentence where it refuses."""
    done = RUNNER.invoke(commands, arguments, standalone_mode=False)
    if done.exception is None or isinstance(done.exception, SystemExit):
        return done.output
    if not isinstance(done.exception, AutopeftError | click.ClickException):
        raise done.exception
    return str(done.exception)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(data, study)."""
    folder = tmp_path_factory.mktemp("fuzz")
    pd.DataFrame({"text": [f"row {n}" for n in range(40)], "label": [n % 2 for n in range(40)]}).to_csv(
        folder / "d.csv"
    )
    return folder / "d.csv", write_study(folder / "study")


@given(options=st.dictionaries(st.sampled_from(FREE), VALUES, max_size=4))
@example(options={"epochs": "1e308"})
@example(options={"epochs": "inf"})
@example(options={"margin": "nan"})
@example(options={"full_steps": "9" * 400})
@example(options={"model": "a" * 300})
@example(options={"space": "[/b]"})
def test_dry_runs(made, options):
    flags = [StudySpec.model_fields[n].annotation is bool for n in options]
    given_ = [
        x for (n, v), flag in zip(options.items(), flags) for x in ([f"--{n}".replace("_", "-")] + [v] * (not flag))
    ]
    assert said("search", "--dry-run", "--data", str(made[0]), "--text", "text", *given_)


@given(
    settings=st.lists(VALUES, max_size=3), method=st.sampled_from(["lora", "lora+ia3", "full"]) | VALUES, rest=VALUES
)
@example(settings=["layers=0-99999999999"], method="lora", rest="")
@example(settings=["rank=1e400"], method="lora", rest="")
@example(settings=["rank=nan"], method="adalora", rest="")
def test_count(settings, method, rest):
    options = [x for setting in settings for x in ("--set", setting)]
    assert said("count", "--model", "minilm-l6", "--method", method, *options, *([rest] if rest else []))


@given(command=st.sampled_from([["export"], ["train"], ["report"], ["space", "show"], ["methods"], ["data", "show"], ["front"]]),
       words=st.lists(VALUES | st.sampled_from(["--json", "--dry-run", "--verdicts", "--to", "--trial", "peft", "best"])))  # fmt: skip
def test_other_commands(made, command, words):
    place = [str(made[1])] if command[0] in ("export", "train") else []
    assert said(*command, *place, *words, *(["--dry-run"] if place else [])) is not None
