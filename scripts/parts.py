"""Generated parts of pages: each stands between two comments that hold its name."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

Parts = Mapping[str, str]
"""What is written into a page, by name."""


def only_compares() -> bool:
    """Whether the script that runs was told to write nothing; other words than ``--check`` end it."""
    about = sys.modules["__main__"].__doc__
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--check", action="store_true", help="only compare; 1 if it is not current")
    return bool(parser.parse_args().check)


def filled(page: str, parts: Parts) -> str:
    """Return a page with these parts in the places of those that it had."""
    for name, part in parts.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        assert begin in page, f"no page has a place for {name}"
        head, _, rest = page.partition(begin)
        _, _, tail = rest.partition(end)
        page = f"{head}{begin}\n\n{part.rstrip()}\n\n{end}{tail}"
    return page


def written(pages: Mapping[Path, Parts]) -> int:
    """Write the parts of these pages; with ``--check`` only return 1 where one of them is not current."""
    check = only_compares()
    before = {path: path.read_text(encoding="utf-8") for path in pages}
    after = {path: filled(before[path], parts) for path, parts in pages.items()}
    if check:
        return int(before != after)
    for path, page in after.items():
        path.write_text(page, encoding="utf-8")
    return 0
