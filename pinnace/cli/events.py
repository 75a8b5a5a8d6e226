"""`events`: what happens in the engine, as it happens."""

from __future__ import annotations

import time

from pinnace.cli import document, moments, terminal
from pinnace.cli.arguments import FORMAT_HELP, Command, Failure, Option

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pinnace.cli.invocation import Invocation

    Event = dict[str, Any]


def events(invocation: Invocation) -> None:
    layout = invocation["format"]
    if layout and layout != "json":
        from pinnace.cli import template

        try:
            template.parse(layout)
        except template.TemplateError as error:
            raise Failure(f"Error parsing format: {error}", status=64) from None
    try:
        query = {
            "since": moments.timestamp(invocation["since"]) or None,
            "until": moments.timestamp(invocation["until"]) or None,
            "filters": invocation["filter"] or None,
        }
    except ValueError as error:
        raise Failure(str(error)) from None
    for event in invocation.client.request("GET", "/events", query).messages():
        terminal.say(_shown(event, layout))


def _shown(event: Event, layout: str) -> str:
    if layout == "json":
        return document.encode(event)
    if layout:
        from pinnace.cli import template

        try:
            return template.render(layout, event)
        except template.TemplateError as error:
            raise Failure(str(error)) from None
    return line(event)


def line(event: Event) -> str:
    actor = event.get("Actor") or {}
    attributes = sorted((actor.get("Attributes") or {}).items())
    text = f"{event.get('Type', '')} {event.get('Action', '')} {actor.get('ID', '')}"
    if attributes:
        text += f" ({', '.join(f'{key}={value}' for key, value in attributes)})"
    return f"{_moment(event)}{text}"


def _moment(event: Event) -> str:
    nanoseconds = event.get("timeNano") or event.get("time", 0) * 1_000_000_000
    if not nanoseconds:
        return ""
    local = time.localtime(nanoseconds // 1_000_000_000)
    zone = time.strftime("%z", local)
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    fraction = nanoseconds % 1_000_000_000
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', local)}.{fraction:09d}{zone} "


EVENTS = Command(
    "events",
    "[OPTIONS]",
    "Get real time events from the server",
    events,
    (
        Option("filter", "filter", "Filter output based on conditions provided", short="f"),
        Option(
            "format",
            "string",
            FORMAT_HELP,
        ),
        Option("since", "string", "Show all events created since timestamp"),
        Option("until", "string", "Stream events until this timestamp"),
    ),
    aliases=("system events", "events"),
)
