"""The benchmark of tasks: a file per task and backbone, a line per run, from which portfolios and rates are learnt.

The first line says what the runs are of. A run that was ruled out at an eighth or a quarter of its length ends there; every other one is
trained to its full length and carries the scores of the test split.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autopeft.backbone.shapes import BackboneShapes
from autopeft.base.errors import AutopeftError
from autopeft.configuration import Configuration
from autopeft.proxy.curve import Curve

FORMAT = 1


@dataclass(frozen=True)
class EvidenceRun:
    """One run of one configuration with one seed.

    Attributes:
        role: "candidate", or the name of a baseline: "linear probe", "usual guess", "full fine-tuning".
        relative: `RelativeConfiguration.to_json()` of a candidate, which is the same on every backbone.
        trainable: numbers trained, the head aside.
        curve: None of a run that failed.
    """

    role: str
    relative: dict[str, Any] | None
    configuration: Configuration
    trainable: int
    seed: int
    curve: Curve | None
    failure: str | None = None

    @property
    def whole(self) -> bool:
        """Whether it was trained to its full length."""
        return self.curve is not None and self.curve.test_score is not None

    def to_json(self) -> dict[str, Any]:
        """As plain values, measurements with five digits."""
        data: dict[str, Any] = {"role": self.role, "configuration": self.configuration.to_json()}
        if self.relative is not None:
            data["relative"] = self.relative
        data |= {"trainable": self.trainable, "seed": self.seed}
        if self.curve is None:
            return {**data, "failure": self.failure}
        kept = {k: v for k, v in self.curve.to_json().items() if v not in (None, {}) and k != "seed"}
        return {**data, "curve": {k: rounded(v) for k, v in kept.items()}}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "EvidenceRun":
        """Read what `to_json` wrote."""
        curve = Curve(**points_of(data["curve"]), seed=data["seed"]) if "curve" in data else None
        configuration = Configuration.from_json(data["configuration"])
        found = data["role"], data.get("relative"), configuration, data["trainable"], data["seed"]
        return cls(*found, curve, data.get("failure"))


@dataclass(frozen=True)
class Evidence:
    """The runs of one task on one backbone.

    Attributes:
        name: of the file.
        about: the first line: spec, task, shapes, environment.
    """

    name: str
    about: dict[str, Any]
    runs: tuple[EvidenceRun, ...]

    @property
    def shapes(self) -> BackboneShapes:
        """The backbone's sizes."""
        return BackboneShapes.from_json(self.about["shapes"])

    @classmethod
    def read(cls, path: str | Path) -> "Evidence":
        """Read a file of the benchmark; the last line of a run that is being written is left out.

        Raises:
            AutopeftError: there is no such file, or a line before the last cannot be read.
        """
        path = Path(path)
        if not path.is_file():
            raise AutopeftError(f"There is no evidence file {path}: `autopeft evidence` makes one.")
        lines = list(json_lines(path))
        if not lines or lines[0].get("format") != FORMAT:
            raise AutopeftError(f"{path} does not begin as an evidence file of format {FORMAT}: build it again.")
        try:
            return cls(path.stem, lines[0], tuple(EvidenceRun.from_json(x) for x in lines[1:]))
        except (KeyError, TypeError, ValueError) as error:
            raise AutopeftError(f"{path} holds a run that cannot be read ({error!r}): build it again.") from None


def points_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a curve; unlike a study's it may lack scores on the way."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in data.items()}


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a file. Raises AutopeftError for one that is no JSON."""
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(keepends=True), 1):
        try:
            if line.endswith("\n"):
                yield json.loads(line)
        except ValueError:
            raise AutopeftError(f"Line {number} of {path} is damaged: remove it; its run is trained again.") from None


def rounded(value: Any) -> Any:
    """Floats with five significant digits; lists, tuples and dicts of them too."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, list | tuple):
        return [rounded(v) for v in value]
    return value
