"""Greets."""

GREETING = "Hello"


class InvalidName(Exception):
    """The event has no name."""


def handle(event, _context):
    """Returns a greeting for the event's name."""
    name = event.get("name", "").strip()
    if not name:
        raise InvalidName("the name is blank")
    return {"greeting": f"{GREETING} {name}"}
