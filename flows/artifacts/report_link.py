"""Where the report of a run lies."""

from __future__ import annotations

from flows.artifacts.publish import artifact_key, publish_markdown

__all__ = ["publish_report", "report_markdown"]

_WEB = ("http://", "https://")


def report_markdown(root: str, place: str) -> str:
    """A link where a browser may follow it from a web page; a file is named, for browsers follow no link to one."""
    where = f"[{place}]({place})" if place.startswith(_WEB) else f"`{place if '://' in place else f'file://{place}'}`"
    return (
        f"# The report on {root}\n\n{where}\n\n"
        "One static page with everything there is to see: open it in any browser, or hand it on.\n"
    )


def publish_report(root: str, place: str) -> None:
    """Show in the flow run that goes on where its report is."""
    name = root.rstrip("/").rpartition("/")[2]
    publish_markdown(artifact_key("report", name), report_markdown(root, place), place)
