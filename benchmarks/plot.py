"""The plot of docs/performance.md: wall seconds of each way to bring the slide into a viewer, as plain SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, ROW, LABEL, RIGHT = 760, 34, 270, 90
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#222}.bar{fill:#3b6fb6}.ours{fill:#1a7f37}.whisker{stroke:#888}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}.bar{fill:#7aa5e0}.ours{fill:#57c977}svg{background:#111}}"
)


def plot(document: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the SVG: one bar a name, its median, a whisker from minimum to maximum."""
    rows = [(name, document["spread"][name]["wall_s"]) for name in names if name in document["spread"]]
    most = max((values["maximum"] for _, values in rows), default=1.0)
    scale = (WIDTH - LABEL - RIGHT) / most
    slide = escape(str(document["machine"].get("run", {}).get("slide", "the slide")))
    height = ROW * (len(rows) + 1) + 16
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>Wall seconds for {slide}</title><style>{STYLE}</style>",
        f'<text x="10" y="24">{slide}: wall seconds (median, minimum to maximum)</text>',
    ]
    for number, (name, values) in enumerate(rows):
        y = ROW * (number + 1) + 8
        kind = "ours" if name.startswith("slidehook") else "bar"
        length = values["median"] * scale
        low, high = LABEL + values["minimum"] * scale, LABEL + values["maximum"] * scale
        lines += [
            f'<text x="{LABEL - 10}" y="{y + 17}" text-anchor="end">{escape(name)}</text>',
            f'<rect class="{kind}" x="{LABEL}" y="{y + 2}" width="{length:.1f}" height="{ROW - 12}" rx="3"/>',
            f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{y + 13}" y2="{y + 13}" stroke-width="2"/>',
            f'<text x="{high + 8:.1f}" y="{y + 17}">{values["median"]:.2f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
