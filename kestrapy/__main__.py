"""``python -m kestrapy``: the same as the command ``kestrapy``."""

from kestrapy.cli import main

if __name__ == "__main__":
    main()
