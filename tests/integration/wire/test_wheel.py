"""The schemas are in the wheel, and are found there, in an editable install and in a checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kestrapy.wire.schemas import bundled

ROOT = Path(__file__).parents[3]
REPORT = """
import kestrapy.wire.schemas as schemas
found = schemas.bundled()
print(schemas.__file__)
for name, schema in sorted(found.current.items()):
    print(name, schema.fingerprint.hex())
print(*sorted(found.released))
"""


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def report(package: Path) -> list[str]:
    """What a fresh interpreter finds, with the package of that folder before all others."""
    code = f"import sys, site; sys.path.insert(0, ''); site.addsitedir({str(package)!r});\n"
    code += f"sys.path.sort(key=lambda path: path != {str(package)!r})\n{REPORT}"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=package, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


@pytest.fixture
def expected() -> list[str]:
    found = bundled()
    current = [f"{name} {found.current[name].fingerprint.hex()}" for name in sorted(found.current)]
    return [*current, " ".join(sorted(found.released))]


def test_a_wheel_has_the_schemas(tmp_path: Path, expected: list[str]) -> None:
    wheels, unpacked = tmp_path / "wheels", tmp_path / "unpacked"
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels), ".")
    (wheel,) = wheels.glob("*.whl")
    pip("install", "--no-deps", "--target", str(unpacked), str(wheel))
    where, *found = report(unpacked)
    assert Path(where).is_relative_to(unpacked)
    assert found == expected


def test_an_editable_install_finds_the_checkouts(tmp_path: Path, expected: list[str]) -> None:
    target = tmp_path / "site"
    arguments = ["--no-deps", "--no-build-isolation", "--target", str(target)]
    pip("install", *arguments, "--editable", ".")
    where, *found = report(target)
    assert Path(where).is_relative_to(ROOT)
    assert found == expected
