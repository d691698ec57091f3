"""HiRA: a linear's weight is multiplied, entry by entry, by one plus a low-rank matrix. Imports no torch."""

from collections.abc import Mapping

from typing_extensions import override

from autopeft.methods.mechanisms.low_rank import LowRank
from autopeft.methods.mechanisms.method import TARGETS
from autopeft.methods.mechanisms.work import Place, Work, built_update, joined


class Hira(LowRank):
    """W' = W * (1 + B A): an update of high rank from low-rank factors. B starts at zero."""

    name = "hira"
    title = "HiRA"
    paper = "Huang et al. 2025, openreview TwJrTz9cRS (ICLR 2025)"
    hyperparameters = {"rank": (1, 2, 4, 8, 16, 32, 64), "target_modules": TARGETS}
    defaults = {"rank": 16, "target_modules": "query+value"}
    learning_rate = (5e-4, 1e-1)  # the update is scaled by the entries of W, which are a few hundredths

    def peft_fields(self, settings, layers, shapes):
        return {
            "peft_type": "HIRA",
            "r": settings["rank"],
            "target_modules": [x.path for x in shapes.select(settings["target_modules"], layers)],
        }

    @override
    def work(self, settings: Mapping, place: Place) -> Work:
        building = 2 * settings["rank"] * place.weights
        update = built_update(place, building, 2 * building)
        return joined(update, Work(saved=place.weights))
