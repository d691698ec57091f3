"""The best per budget in the terminal, on the page and in front.json."""

import json
import re
from dataclasses import replace
from io import StringIO

import pytest
from made_up import OUTCOMES, STATES, WHOLE, outcome
from rich.console import Console

from autopeft.report.files import write_report
from autopeft.report.page import page
from autopeft.report.per_budget import budget_figure
from autopeft.report.tables import result_json
from autopeft.report.terminal import print_front

GUESS = outcome("the usual guess", "baseline", 24, (0.60, 0.61, 0.62))
RESULT = replace(WHOLE, outcomes=(GUESS, *OUTCOMES), limits={"parameters": 100_000})  # trial 2 down to 10,000


def printed(result, width: int | None = None) -> list[str]:
    """The lines of the table per budget, on a terminal of that width or into a pipe."""
    out = StringIO()
    print_front(result, Console(file=out, force_terminal=width is not None, width=width, no_color=True))
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[\d;]+m", "", out.getvalue()).splitlines()]
    return lines[next((i for i, line in enumerate(lines) if "The best per budget" in line), len(lines)) :]


def test_the_terminal_says_what_each_budget_gives():
    lines = printed(RESULT)
    text = "\n".join(lines)
    assert len(max(lines, key=len)) <= 80, "also where stdout is no terminal and the front has 160 columns"
    row = next(i for i, line in enumerate(lines) if line.startswith("full"))
    assert lines[row].split() == ["full", "trial", "2", "6,144", "0.8000", "better", "better"]
    assert lines[row + 1].startswith("to 1/10") and lines[row + 1].split()[-2:] == ["+10.0", "+20.0"]
    assert "1/30" in text and "3,333" in text and "rank=16" in text and "equivalent: within 1.0 points" in text
    assert "Parameters: uniform LoRA 3,072, the usual guess 9,216." in " ".join(text.split())


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_table_fits_the_terminal(width):
    lines = printed(RESULT, width)
    assert lines and len(max(lines, key=len)) <= min(width, 80)


def test_what_is_the_best_itself_and_what_is_not_trained_are_said():
    top = outcome("uniform LoRA", "baseline", 8, (0.9, 0.91, 0.92))
    text = "\n".join(printed(replace(RESULT, outcomes=(top, *OUTCOMES[1:]))))
    assert "itself" in text and "not trained" in text


def test_one_seed_has_no_interval():
    text = "\n".join(printed(STATES["one seed"]))
    assert "undecided" in text and "±" not in text and "nan" not in text


def test_the_json_holds_the_rows():
    first, second = json.loads(json.dumps(result_json(RESULT), allow_nan=False))["per_budget"]
    assert first["shares"] == ["1", "1/3", "1/10"] and first["budgets"] == [100_000, 33_333, 10_000]
    assert (first["name"], first["trainable"], first["configuration"]["settings"]["rank"]) == ("trial 2", 6144, 16)
    assert first["accuracy"] == pytest.approx(0.80) and first["accuracy_low"] < 0.80 < first["accuracy_high"]
    assert [(g["against"], g["word"], round(g["gap"], 6)) for g in second["gains"]] == [
        ("the usual guess", "better", 0.13),
        ("uniform LoRA", "better", 0.03),
    ]


def test_the_page_shows_it_before_the_front():
    text = page(RESULT)
    body = text[text.index("<body>") :]
    assert body.index("The best per budget") < body.index('id="budgets"') < body.index("Pareto front")
    assert "<td>full<br>to 1/10<br>100,000<br>to 10,000</td>" in body
    assert "<td>better<br>+10.0<br>± 2.9</td>" in body


def test_the_figure_has_a_point_for_each_budget_and_a_line_for_each_baseline():
    guess, uniform, best = budget_figure(RESULT).data
    assert best.x == (3333, 10_000, 33_333, 100_000) and best.y == pytest.approx((0.73, 0.8, 0.8, 0.8))
    assert (guess.name, uniform.name) == ("the usual guess", "uniform LoRA")
    assert guess.y == pytest.approx((0.6, 0.6)) and uniform.y == pytest.approx((0.7, 0.7))
    assert guess.x == uniform.x == (3333, 100_000) and all(half > 0 for half in best.error_y.array)


def test_one_budget_is_no_figure():
    alone = replace(RESULT, outcomes=OUTCOMES[2:], limits={"parameters": 10_000})
    assert budget_figure(alone) is None
    assert "The best per budget" in page(alone) and 'id="budgets"' not in page(alone)


@pytest.mark.parametrize("state", ["no finalists yet", "baselines only", "nothing finished"])
def test_without_a_finalist_there_is_nothing(state, tmp_path):
    paths = write_report(STATES[state], tmp_path)
    assert "The best per budget" not in paths["report.html"].read_text() and not printed(STATES[state])
    assert json.loads(paths["front.json"].read_text())["per_budget"] == []


def test_a_log_likelihood_is_in_its_own_unit():
    outcomes = (
        outcome("uniform LoRA", "baseline", 8, (-2.5, -2.51, -2.49)),
        outcome("trial 1", "finalist", 4, (-2.25, -2.25, -2.26)),
    )
    lines = printed(replace(RESULT, outcomes=outcomes, task={**WHOLE.task, "metric": "log-likelihood"}))
    assert "+0.2467" in "\n".join(lines) and "points" not in "\n".join(lines)
