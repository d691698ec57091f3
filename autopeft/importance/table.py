"""LayerScores -> rows for a terminal table, and the same for --json."""

from autopeft.importance.scores import LayerScores


def trace_rows(scores: LayerScores) -> list[dict]:
    """One row per block (the trace has one more, for the embeddings), bottom first."""
    rows = [
        {"layer": i, "score": score, "": "frozen" if i < scores.cut else "trained"}
        for i, score in enumerate(scores.scores)
    ]
    if "deviation" not in scores.details:
        return rows
    measured = scores.details
    below = {
        "layer": "embeddings",
        **_deviation(measured, 0),
        **_gains(measured, None),
        "score": None,
        "": "frozen" if scores.cut else "trained",
    }
    return [below] + [
        {
            "layer": str(row["layer"]),
            **_deviation(measured, i + 1),
            **_gains(measured, i),
            "score": row["score"],
            "": row[""],
        }
        for i, row in enumerate(rows)
    ]


def trace_json(scores: LayerScores) -> dict:
    """Everything measured, with the rows of the table."""
    return scores.to_json() | {"scores": list(scores.scores), "layers": trace_rows(scores)}


def _deviation(measured: dict, space: int) -> dict:
    return {"deviation": measured["deviation"][space], "95 %": _span(measured["deviation_interval"][space])}


def _gains(measured: dict, block: int | None) -> dict:
    """The three gains of a block, and the interval of the raw one; empty for the embeddings."""
    if block is None:
        return {"gain": None, "gain 95 %": None, "log": None, "scaling": None}
    return {
        "gain": measured["gain"][block],
        "gain 95 %": _span(measured["gain_interval"][block]),
        "log": measured["gain_log"][block],
        "scaling": measured["gain_scaling"][block],
    }


def _span(pair: list[float]) -> str:
    return f"{pair[0]:.3f} to {pair[1]:.3f}"
