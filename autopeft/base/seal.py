"""JSON objects that end with a checksum of their own text: what was cut or changed afterwards shows."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

KEY = "checksum"
SEAL = re.compile(rb',\s*"checksum":\s*"([0-9a-f]{16})"\s*\}\s*$')


def sealed(data: Mapping[str, Any], before: str = "", indent: int | None = None) -> str:
    """An object as JSON with its checksum as the last key.

    Args:
        data: the object.
        before: the checksum of the object before it, where removing one from their midst is to show.
        indent: as of `json.dumps`; on one line by default.
    """
    plain = {k: v for k, v in data.items() if k != KEY}
    text = dumped(plain, indent)[:-1].rstrip()
    return dumped({**plain, KEY: digest(text.encode(), before)}, indent)


def dumped(data: Mapping[str, Any], indent: int | None = None) -> str:
    """JSON; what is on one line has no spaces, as Optuna writes it."""
    return json.dumps(data, indent=indent, separators=None if indent else (",", ":"))


def digest(text: bytes, before: str = "") -> str:
    """The checksum of a text: the beginning of its SHA-256, as hexadecimal."""
    return hashlib.sha256(before.encode() + text).hexdigest()[:16]


def parted(text: bytes) -> tuple[bytes, str | None]:
    """The text that a checksum is of, and the checksum; None where there is none."""
    found = SEAL.search(text)
    return (text[: found.start()], found[1].decode()) if found else (text, None)


def is_whole(text: bytes, before: str = "", unsealed: bool = False) -> bool:
    """Whether a text is as it was written.

    Args:
        text: of an object.
        before: as of `sealed`.
        unsealed: what is taken of a text without a checksum, as release 0.1 wrote.
    """
    plain, stated = parted(text)
    return unsealed if stated is None else stated == digest(plain, before)


def chain(lines: Iterable[bytes], unsealed: bool = False) -> Iterator[str | None]:
    """The checksum of each line, which is also of the line before it; None from the first one that is damaged.

    Args:
        lines: without their line breaks.
        unsealed: whether the first of them may lack one, as those of release 0.1 do.
    """
    before = ""
    for line in lines:
        plain, stated = parted(line)
        unsealed = unsealed and stated is None
        own = digest(plain, before)
        if not unsealed and stated != own:
            yield None
            return
        yield own
        before = own
