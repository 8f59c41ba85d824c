"""Internal storage, as the settings have it."""

from __future__ import annotations

from kestrapy.adapters.blobs.local import LocalBlobs
from kestrapy.config import Settings
from kestrapy.ports.blobs import Blobs


def blobs_of(settings: Settings) -> Blobs:
    """Raises SettingsRefused where what the chosen type needs is not installed."""
    if settings.storage.type == "local":
        return LocalBlobs(settings.storage_path)
    from kestrapy.adapters.blobs.s3 import S3Blobs  # an extra

    s3 = settings.storage.s3
    return S3Blobs(s3.bucket, s3.prefix, s3.endpoint, s3.region)
