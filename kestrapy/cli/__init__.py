"""The command line. Exit codes: 0 well; 1 the operator, or the execution, failed; 2 bad input."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command in ``sys.argv``; errors are one line each, without a traceback."""
    from kestrapy.cli.app import app
    from kestrapy.cli.errors import exit_code_of, show_error
    from kestrapy.errors import KestrapyError

    try:
        app()
    except KestrapyError as error:
        show_error(error)
        sys.exit(exit_code_of(error))
    except KeyboardInterrupt:
        sys.exit(130)
