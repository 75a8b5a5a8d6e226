"""What can go wrong, named by what the caller should do about it.

The message of each error is what a user of Docker would read; the API turns the class into
a status code (`api/router.py`), the command line into an exit code (`cli/main.py`).
"""


class PinnaceError(Exception):
    """Any failure of the engine that is told to the caller in a sentence."""

    @property
    def message(self) -> str:
        return str(self.args[0]) if self.args else self.__class__.__name__


class NotFound(PinnaceError):
    """The named object does not exist (404)."""


class Conflict(PinnaceError):
    """The object is in a state, or has a name, that forbids the request (409)."""


class Invalid(PinnaceError):
    """The request itself is wrong (400)."""


class NotModified(PinnaceError):
    """The object is already as the request wants it (304)."""


class Forbidden(PinnaceError):
    """The request is understood and refused (403)."""


class Unauthorized(PinnaceError):
    """Credentials are missing or wrong (401)."""


class Unavailable(PinnaceError):
    """A facility that the request needs is not there now (503)."""


class Unsupported(PinnaceError):
    """This engine does not offer what the request asks for (501)."""


class Failed(PinnaceError):
    """The request was right, and carrying it out failed (500)."""
