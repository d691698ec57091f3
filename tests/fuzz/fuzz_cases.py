"""The property of every fuzz test, and texts that are nearly right."""

import click
from hypothesis import strategies as st

from autopeft.base.errors import AutopeftError


def result_or_sentence(call, *arguments, **keywords):
    """What a call gives, or None where it ends in one sentence; whatever else it raises goes on."""
    try:
        return call(*arguments, **keywords)
    except AutopeftError as error:
        sentence = str(error)
    except click.UsageError as error:
        sentence = error.format_message()
    assert sentence.strip() and sentence.isprintable()
    return None


def nearly(*pieces, most=8):
    """Texts made of pieces that belong into them, with some that do not: the parsers' inner branches are reached."""
    odd = [
        "",
        " ",
        ",",
        "=",
        "-",
        ".",
        "%",
        "e",
        "x",
        "\n",
        "\0",
        "é",
        "٣",
        "²",
        "9" * 400,
        "nan",
        "inf",
        "1e400",
        "-1",
    ]
    joined = st.lists(st.sampled_from([*pieces, *odd]) | st.text(max_size=3), max_size=most).map("".join)
    return joined | st.text(max_size=20)


NUMBERS = ("0", "1", "2", "0.5", "1/4", "300", "1e-4", ".5", "5.", "+3", "007", "1e9", "1_000")
