"""Texts such as "30m" and "2GB" -> seconds and bytes."""

import math
import re

NUMBER = r"[-+]?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?"  # in one way only: no text takes long to refuse


def seconds_of(text: str) -> float:
    """Read a time such as "90s", "30m", "1.5h" or "1h30m". Raises ValueError."""
    part = r"(\d+(?:\.\d+)?)\s*([smhd])"
    text = text.strip().lower()
    if not re.fullmatch(rf"(?:{part}\s*)+", text):
        raise ValueError("give a time such as 90s, 30m, 2h or 1h30m")
    seconds = sum(
        float(number) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[unit] for number, unit in re.findall(part, text)
    )
    if not math.isfinite(seconds):
        raise ValueError("give a time such as 90s, 30m, 2h or 1h30m")
    return seconds


def bytes_of(text: str) -> int:
    """Read a size such as "2GB" as bytes. Raises ValueError."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?", str(text).strip())
    size = float(found[1]) * {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}[found[2]] if found else math.inf
    if not math.isfinite(size):
        raise ValueError("give a size such as 500MB or 2GB, or 0 for none")
    return int(size)
