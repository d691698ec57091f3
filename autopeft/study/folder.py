"""A study's folder: what is written, when, and how it is read back. Every write is whole or not at all. No torch.

study.json        the spec, data, sizes, budget, environment: written once the backbone and the data are known
importance.json   LayerScores
trials.journal    Optuna's own journal (unless --storage names another place)
outcomes.jsonl    one line per finished full-length training: finalists and baselines, seed by seed
"""

import json
import os
from pathlib import Path

from autopeft.backbone.shapes import BackboneShapes
from autopeft.configuration import Configuration
from autopeft.errors import AutopeftError
from autopeft.importance.scores import LayerScores
from autopeft.proxy.curve import Curve
from autopeft.study.records import Outcome

FORMAT = 1


def write_whole(path: Path, text: str) -> None:
    """Write beside the target, flush to disk, then rename: a kill or a full disk leaves the old file."""
    beside = path.with_name(path.name + ".part")
    try:
        with open(beside, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise AutopeftError(
            f"{path} could not be written ({error.strerror}): free some space or choose another folder with --out."
        ) from None


class StudyFolder:
    """Reads and writes one study's files."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @property
    def journal(self) -> Path:
        return self.path / "trials.journal"

    @property
    def exists(self) -> bool:
        return (self.path / "study.json").is_file()

    def create(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise AutopeftError(
                f"The study folder {self.path} cannot be made ({error.strerror}): choose another with --out."
            ) from None

    def read(self) -> dict:
        """study.json. Raises AutopeftError if the folder holds no study or one of another version."""
        path = self.path / "study.json"
        if not path.is_file():
            raise AutopeftError(
                f"{self.path} holds no study (no study.json): give the folder that 'autopeft search' printed."
            )
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except json.JSONDecodeError:
            raise AutopeftError(
                f"{path} is damaged (not JSON): start the study anew in another folder with --out."
            ) from None
        if data.get("format") != FORMAT:
            raise AutopeftError(
                f"{path} was written by another version of autopeft (format {data.get('format')}, this one reads "
                f"{FORMAT}): start the study anew in another folder with --out."
            )
        return data

    def write(self, data: dict) -> None:
        write_whole(self.path / "study.json", json.dumps({"format": FORMAT, **data}, indent=1))

    def shapes(self) -> BackboneShapes:
        return BackboneShapes.from_json(self.read()["shapes"])

    def write_scores(self, scores: LayerScores) -> None:
        write_whole(self.path / "importance.json", json.dumps(scores.to_json(), indent=1))

    def scores(self) -> LayerScores | None:
        path = self.path / "importance.json"
        return LayerScores.from_json(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None

    def add_run(self, name: str, role: str, configuration: Configuration, trainable: int, curve: Curve) -> None:
        """Add one full-length run to the file."""
        path = self.path / "outcomes.jsonl"
        lines = [json.dumps(x) for x in self.runs()]
        lines.append(
            json.dumps(
                {
                    "name": name,
                    "role": role,
                    "configuration": configuration.to_json(),
                    "trainable": trainable,
                    "curve": curve.to_json(),
                }
            )
        )
        write_whole(path, "\n".join(lines) + "\n")

    def runs(self) -> list[dict]:
        path = self.path / "outcomes.jsonl"
        return [json.loads(x) for x in path.read_text(encoding="utf-8").splitlines()] if path.is_file() else []

    def outcomes(self) -> tuple[Outcome, ...]:
        """The runs grouped by name, in the order in which they were first made."""
        groups: dict[str, list[dict]] = {}
        for run in (r for r in self.runs() if r["role"] != "tuning"):
            groups.setdefault(run["name"], []).append(run)
        return tuple(
            Outcome(
                name,
                runs[0]["role"],
                Configuration.from_json(runs[0]["configuration"]),
                runs[0]["trainable"],
                tuple(Curve.from_json(r["curve"]) for r in runs),
            )
            for name, runs in groups.items()
        )
