"""``python -m kestrapy.reference docs/reference``: write the pages into that folder."""

from __future__ import annotations

import sys
from pathlib import Path

from kestrapy.reference.pages import PAGES


def main(folder: Path) -> None:
    for name, make in PAGES.items():
        (folder / name).write_text(make(), encoding="utf-8")
        print(folder / name)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python -m kestrapy.reference FOLDER")
    main(Path(sys.argv[1]))
