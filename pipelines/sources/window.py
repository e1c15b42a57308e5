"""Plain content of any length, seen through a window, for those who count what is in it."""

from __future__ import annotations

from collections.abc import Iterator

from pipelines.sources.items import DamagedInputError

__all__ = ["Window"]


class Window:
    """A part of the content.

    Attributes:
        data: what is seen.
        place: of its first byte.
        damaged: no more comes because of damage.
    """

    def __init__(self, blocks: Iterator[bytes]) -> None:
        """See nothing yet; `blocks` may raise DamagedInputError behind the last one."""
        self._blocks = blocks
        self.data = b""
        self.place = 0
        self.damaged = False

    def more(self) -> bool:
        """Append a block; False at the end."""
        try:
            block = next(self._blocks, None)
        except DamagedInputError:
            self.damaged = True
            return False
        if block is None:
            return False
        self.data += block
        return True

    def drop(self, count: int) -> bool:
        """Pass `count` bytes; False where the content ends before."""
        while len(self.data) < count:
            count -= len(self.data)
            self.place += len(self.data)
            self.data = b""
            if not self.more():
                return False
        self.place += count
        self.data = self.data[count:]
        return True

    def skip(self, blanks: bytes) -> bool:
        """Pass bytes that are among `blanks`; False at the end."""
        while True:
            self.drop(len(self.data) - len(self.data.lstrip(blanks)))
            if self.data:
                return True
            if not self.more():
                return False
