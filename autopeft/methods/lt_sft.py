"""LT-SFT: the entries that move furthest in a short full fine-tuning, which is then taken back. Imports no torch."""

from autopeft.methods.mechanisms.sparse import Sparse, among_largest


class LtSft(Sparse):
    """The furthest of all adapted weights together, so a matrix may get many of them or none."""

    name = "lt_sft"
    title = "LT-SFT"
    paper = "Ansell et al. 2021, arXiv 2110.07560"
    needs_statistics = True

    def count(self, settings, layers, shapes):
        return {"the adapted weights together": sum(super().count(settings, layers, shapes).values())}

    def before_attach(self, model, config, settings, layers, statistics):
        counts = super().count(settings, layers, statistics.backbone.shapes)
        moved = {path: statistics.change(f"{path}.weight").abs().flatten() for path in counts}
        numbers = among_largest(moved, sum(counts.values()))
        if parts := getattr(config, "parts", None):  # of a combination
            next(part for part in parts if part["peft_type"] == "SPARSE")["numbers"] = numbers
        else:
            config.numbers = numbers

    def scores(self, path, weight, settings, statistics, generator):
        return statistics.change(f"{path}.weight").abs()
