"""The generated pages of ``docs/reference``: ``python -m kestrapy.reference docs/reference``."""
