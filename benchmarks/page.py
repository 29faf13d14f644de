"""docs/performance.md: what the command writes between its marks, so that the page is never older than the results."""

from collections.abc import Mapping
from typing import Any

from benchmarks import figures


def written(text: str, document: Mapping[str, Any]) -> str:
    """Return the text of the page with the figures of `document`."""
    parts = {
        "run": run_lines(document),
        "figures": figures.table(document),
        "runs": figures.run_table(document),
        "shares": figures.share_table(document),
        "pages": figures.page_table(document),
    }
    for mark, lines in parts.items():
        head, rest = text.split(f"<!-- {mark} -->\n", 1)
        tail = rest.split(f"<!-- end of {mark} -->", 1)[1]
        text = "\n".join([f"{head}<!-- {mark} -->", "", *lines, "", f"<!-- end of {mark} -->{tail}"])
    return text


def run_lines(document: Mapping[str, Any]) -> list[str]:
    """Return what was measured, how often, and where."""
    machine = document["machine"]
    run = machine["run"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    text = (
        f"Slide `{run['slide']}`, measured {run['times']} times; {machine['cores']} cores of {machine['processor']}, "
        f"{machine['memory_gib']} GiB, load {machine['load_before']} before the run. Versions: {versions}."
    )
    return [text]
