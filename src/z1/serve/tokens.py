"""What can a client learn of a reply's single tokens?

Their ids, where a request asks for them: all of the reply, hint and stop included. They come beside the text: in a
stream as chunks without text, one a round.
"""

from __future__ import annotations

from typing import Any

from z1.serve.room import Came


class Tokens:
    """One reply's tokens. `take` hands out what came since it was last asked."""

    def __init__(self) -> None:
        self._ids: list[int] = []

    def came(self, event: Came) -> None:
        """These came."""
        self._ids += event.ids

    def take(self) -> dict[str, Any]:
        """Fields of a choice; none where nothing came."""
        ids, self._ids = self._ids, []
        return {"token_ids": ids} if ids else {}
