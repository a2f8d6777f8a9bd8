"""The names that both dialects and the settings go by. Cheap to import: the command line needs them."""

from typing import Literal, TypeAlias

DialectName: TypeAlias = Literal["chat", "native"]
Effort: TypeAlias = Literal["low", "medium", "high"]
