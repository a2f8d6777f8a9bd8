"""When to look at a growing text as a whole."""


class Looks:
    """Looks at lengths that grow by a quarter, so that all of them together cost little."""

    def __init__(self) -> None:
        self._next = 1

    def due(self, length: int) -> bool:
        """Whether a text of this length is to be looked at."""
        if length < self._next:
            return False
        self._next = max(length + 16, length + length // 4)
        return True
