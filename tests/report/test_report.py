import csv
import json
import re
from dataclasses import replace
from io import StringIO

import pytest
from made_up import STATES, WHOLE
from rich.console import Console

from autopeft.base.errors import AutopeftError
from autopeft.report.figures import pareto
from autopeft.report.files import write_report
from autopeft.report.page import page
from autopeft.report.tables import front_columns, result_json, trial_columns
from autopeft.report.terminal import print_front


@pytest.mark.parametrize("state", STATES)
def test_every_state_is_reported(state, tmp_path):
    paths = write_report(STATES[state], tmp_path)
    assert all(p.is_file() for p in paths.values()) and not list(tmp_path.glob("*.part"))
    json.loads(paths["front.json"].read_text())
    print_front(STATES[state], Console(file=StringIO()))


def test_the_page_is_self_contained():
    text = page(WHOLE)
    assert text.count("plotly.js v") == 1
    own = text[text.index("</script>") :]
    assert not re.search(r"""(src|href)\s*=\s*["']?https?:""", own) and "cdn" not in own.lower()
    for section in (
        "Pareto front",
        "Trials by method",
        "Hypervolume",
        "Layer importance",
        "Learning curves",
        "All points",
        "How it was made",
    ):
        assert section in text


def test_what_the_user_named_is_escaped():
    text = page(WHOLE)
    body = text[text.index("<body>") :]
    assert "<script>alert(1)" not in body and "m<b>" not in body and "<duplicates>" not in body


def test_the_tables_hold_every_point(tmp_path):
    paths = write_report(WHOLE, tmp_path)
    rows = list(csv.DictReader(paths["front.csv"].open()))
    assert {r["name"]: r["on_front"] for r in rows} == {
        "trial 1": "True",
        "trial 2": "True",
        "uniform LoRA": "False",
        "full fine-tuning": "False",
    }
    trials = list(csv.DictReader(paths["trials.csv"].open()))
    assert trials[4]["state"] == "failed" and trials[4]["reason"] == "the loss was nan"


def test_json_has_no_nan():
    text = json.dumps(result_json(STATES["one seed"]))
    assert "NaN" not in text and json.loads(text)["front"][0]["accuracy_sd"] is None


def test_the_terminal_names_front_baselines_and_verdict():
    out = StringIO()
    print_front(WHOLE, Console(file=out))
    text = out.getvalue()
    assert (
        "uniform LoRA" in text
        and "0.8000" in text
        and "Against uniform LoRA" in text
        and "better" in text
        and "classifier" in text
    )


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    write_report(WHOLE, tmp_path)
    old = (tmp_path / "report.html").read_text()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(AutopeftError, match="No space left"):
        write_report(replace(WHOLE, folder="elsewhere"), tmp_path)
    assert (tmp_path / "report.html").read_text() == old


@pytest.mark.parametrize("state", STATES)
def test_the_tables_agree_with_the_front(state, tmp_path):
    said = result_json(STATES[state])
    assert {said["best"], said["knee"]} - {None} <= {r["name"] for r in said["front"]}
    paths = write_report(STATES[state], tmp_path)
    for name, columns in (("front.csv", front_columns), ("trials.csv", trial_columns)):
        assert tuple(next(csv.reader(paths[name].open()))) == columns(WHOLE.objectives)


def test_a_limit_is_named_where_its_line_stands():
    figure = pareto(WHOLE)
    assert (
        10 ** figure.layout.annotations[0].x == pytest.approx(figure.layout.shapes[0].x0) == WHOLE.limits["parameters"]
    )


@pytest.mark.parametrize("state", STATES)
def test_no_point_is_drawn_twice(state):
    names = [json.loads(text)["name"] for trace in pareto(STATES[state]).data for text in trace.customdata or ()]
    proxies = [n for n in names if names.count(n) > 1]
    finalists = {o.name for o in STATES[state].outcomes if o.role == "finalist"}
    assert set(proxies) <= finalists and len(names) - len(set(names)) == len(set(proxies))
