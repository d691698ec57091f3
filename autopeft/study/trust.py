"""Python code that comes with a model is run where whoever gives the command says so: no file of others can ask for it."""

from autopeft.base.errors import AutopeftError


def check_trusted(asked: bool, given: bool | None, where: str) -> None:
    """Refuse what a file asks for and the command does not.

    Args:
        asked: whether the file does.
        given: whether the command does.
        where: the file, as the sentence begins.

    Raises:
        AutopeftError: the file alone does.
    """
    if asked and not given:
        raise AutopeftError(
            f"{where} asks to run Python code that comes with its model: add --trust-remote-code if you trust that code."
        )
