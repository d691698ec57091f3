"""What the figures look like: colours, symbols, layout."""

ROLES = {
    "finalist": ("finalists", "#c2410c", "circle"),
    "baseline": ("baselines", "#1d4ed8", "square"),
    "ceiling": ("ceiling", "#4d7c0f", "diamond"),
    "trial": ("trials (validation, short runs)", "#9aa5b1", "circle-open"),
}
LINES = {  # of the figure per budget
    "best": {"color": "#c2410c", "width": 1, "dash": "dot"},
    "uniform LoRA": {"color": "#1d4ed8", "dash": "dash"},
    "the usual guess": {"color": "#64748b", "dash": "dashdot"},
}
PALETTE = [
    "#c2410c",
    "#1d4ed8",
    "#4d7c0f",
    "#7e22ce",
    "#0f766e",
    "#eab308",
    "#be185d",
    "#334155",
    "#0369a1",
    "#0ea5e9",
    "#15803d",
]
LAYOUT = {
    "template": "plotly_white",
    "margin": {"l": 60, "r": 40, "t": 56, "b": 50},
    "modebar": {"orientation": "v"},  # beside the plot: above it, it covers the legend
    "height": 460,
    "font": {"size": 13},
    "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.0},
}
