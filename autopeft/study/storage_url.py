"""The URL of an Optuna storage, whose password is neither shown nor kept.

A study is resumed and read with a password in the URL, or from where the database's own library looks: PGPASSWORD or
~/.pgpass for PostgreSQL.
"""

import re

AFTER_USER = re.compile(r"(?<=://)([^:/?#@]*):(.*)(?=@)")  # user, password
IN_QUERY = re.compile(r"(?<=[?&])password=([^&]*)&?")


def without_password(url: str) -> str:
    """A URL as it may be kept and shown."""
    return IN_QUERY.sub("", AFTER_USER.sub(r"\1", url)).rstrip("?&")


def said(error: BaseException, url: str) -> str:
    """What an error says, without the URL's password, on one line."""
    secrets = [found[2] for found in AFTER_USER.finditer(url)] + [found[1] for found in IN_QUERY.finditer(url)]
    text = str(error).replace(url, without_password(url))
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return " ".join(text.split())
