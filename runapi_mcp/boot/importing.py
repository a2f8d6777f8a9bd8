"""Import what serving takes, with what slows it down out of the way. Standard library only."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import in this block; nothing that was imported is garbage, so none is looked for.

    The collector runs again afterwards, and passes over what the imports left: a fifth of a
    million objects that live as long as the process. httpx does without its own command line, and
    70 modules of rich and pygments, when that cannot be imported, which is what None means here.
    """
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]  # as in the import system's own docs
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
