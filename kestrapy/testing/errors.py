"""What a flow test raises."""

from __future__ import annotations

from kestrapy.errors import UserError


class Stuck(UserError):
    """What the test waits for does not come: nothing runs, and nothing becomes due."""
