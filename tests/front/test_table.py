import json

import pandas as pd
import pytest
from click.testing import CliRunner

from autopeft.base.errors import AutopeftError
from autopeft.cli.main import commands
from autopeft.front.table import front_of_table

TABLE = pd.DataFrame(
    {"parameters": [10, 1000, 100_000, 1000, None], "accuracy": [0.5, 0.7, 0.8, 0.6, 0.9], "name": list("abcde")}
)


@pytest.fixture
def csv(tmp_path):
    path = tmp_path / "points.csv"
    TABLE.to_csv(path, index=False)
    return str(path)


def test_the_front_of_a_table(csv):
    table, front, dropped = front_of_table(csv, ("parameters",), ("accuracy",))
    assert table[front].name.tolist() == ["a", "b", "c"] and dropped == 1


def test_it_is_printed_drawn_and_written(csv, tmp_path):
    out = tmp_path / "front.html"
    arguments = ["front", "--points", csv, "--minimize", "parameters", "--maximize", "accuracy"]
    text = CliRunner().invoke(commands, [*arguments, "--out", str(out)], catch_exceptions=False).stdout
    drawing = text[text.index("│") : text.index("└")]
    assert drawing.count("*") == 3 and drawing.count("·") == 1 and "3 of 4 points" in text and "1 rows" in text
    assert "Plotly.newPlot" in out.read_text(encoding="utf-8")
    printed = json.loads(CliRunner().invoke(commands, [*arguments, "--json"], catch_exceptions=False).stdout)
    assert [r["name"] for r in printed["front"]] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "columns, sentence",
    [(("paramters", "accuracy"), "Did you mean 'parameters'"), (("name", "accuracy"), "no row with numbers")],
)
def test_bad_columns_are_one_sentence(csv, columns, sentence):
    with pytest.raises(AutopeftError, match=sentence):
        front_of_table(csv, columns[:1], columns[1:])


def test_bad_files_are_one_sentence(tmp_path):
    with pytest.raises(AutopeftError, match="no file"):
        front_of_table(str(tmp_path / "none.csv"), ("a",), ("b",))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(AutopeftError, match="cannot be read as CSV"):
        front_of_table(str(tmp_path / "empty.csv"), ("a",), ("b",))


def test_the_figure_never_replaces_the_table(csv):
    arguments = ["front", "--points", csv, "--minimize", "parameters", "--maximize", "accuracy", "--out", csv]
    with pytest.raises(AutopeftError, match="is the table itself"):
        CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert pd.read_csv(csv).shape == TABLE.shape


def test_cells_are_escaped_in_the_figure(tmp_path):
    path, out = tmp_path / "t.csv", tmp_path / "t.html"
    pd.DataFrame({"p": [1], "a": [1.0], "note": ["<b>x</b>"]}).to_csv(path, index=False)
    arguments = ["front", "--points", str(path), "--minimize", "p", "--maximize", "a", "--out", str(out)]
    CliRunner().invoke(commands, arguments, catch_exceptions=False)
    assert "&lt;b" in out.read_text(encoding="utf-8") or "\\u0026lt;b" in out.read_text(encoding="utf-8")
