"""The one error a user sees: a sentence that says what was wrong, where, and what to do."""

import difflib
from collections.abc import Iterable


class AutopeftError(Exception):
    """Bad input or a failed environment, said in one sentence; the CLI prints it and exits with 2.

    Example:
        >>> import autopeft
        >>> try:
        ...     autopeft.count("minilm-l6", "loar")
        ... except autopeft.AutopeftError as error:
        ...     print(error)
        Unknown method 'loar'. Did you mean 'lora'?
    """

    def __init__(self, sentence: str) -> None:
        super().__init__(printable(sentence))


def printable(text: str) -> str:
    """A text on one line, its control characters as escapes: what a file says must not steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the nearest choice, else " Choose from: ..."."""
    choices = sorted(choices)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else f" Choose from: {', '.join(choices)}."
