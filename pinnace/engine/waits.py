"""Those who wait for a container's end."""

import threading
from concurrent.futures import Future, InvalidStateError

Exit = tuple[int, str | None]


class Waits:
    """Futures by container; one that its owner has cancelled is forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._exits: dict[str, list[Future[Exit]]] = {}
        self._removals: dict[str, list[Future[Exit]]] = {}

    def for_exit(self, ident: str) -> "Future[Exit]":
        return self._add(self._exits, ident)

    def for_removal(self, ident: str) -> "Future[Exit]":
        return self._add(self._removals, ident)

    def _add(self, table: dict[str, list[Future[Exit]]], ident: str) -> "Future[Exit]":
        future: Future[Exit] = Future()
        with self._lock:
            waiting = table.setdefault(ident, [])
            waiting[:] = [other for other in waiting if not other.cancelled()]
            waiting.append(future)
        return future

    def exited(self, ident: str, outcome: Exit) -> None:
        self._answer(self._exits, ident, outcome)

    def removed(self, ident: str, outcome: Exit) -> None:
        self._answer(self._exits, ident, outcome)
        self._answer(self._removals, ident, outcome)

    def _answer(self, table: dict[str, list[Future[Exit]]], ident: str, outcome: Exit) -> None:
        with self._lock:
            waiting = table.pop(ident, [])
        for future in waiting:
            try:
                future.set_result(outcome)
            except InvalidStateError:
                pass  # cancelled: its client is gone
