"""Whether containers can be used here, without waiting long where they can't."""

from __future__ import annotations

import threading
from contextlib import closing

RYUK = "testcontainers/ryuk:0.8.1"
"""testcontainers' own container, which removes the others when their starter has died."""


def images_at_hand(*images: str, pull_timeout_s: float = 30) -> bool:
    """Whether a Docker engine answers that has the images, or pulls them within pull_timeout_s.

    False too where the packages docker and testcontainers are not installed.
    """
    try:
        import docker
        import testcontainers  # noqa: F401 - whether it is installed
    except ImportError:
        return False
    found = threading.Event()

    def pull() -> None:
        try:
            with closing(docker.from_env(timeout=pull_timeout_s)) as engine:
                for image in (RYUK, *images):
                    if not engine.images.list(name=image):
                        engine.images.pull(image)
        except (docker.errors.DockerException, OSError):
            return  # no engine, no registry, or no such image: it's "no" in all these cases
        found.set()

    # A pull has no deadline of its own: one that takes longer is left to itself.
    puller = threading.Thread(target=pull, name="image-pull", daemon=True)
    puller.start()
    puller.join(pull_timeout_s)
    return found.is_set()
