"""The options of a worker's command line, laid over its settings."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path

import pytest
import yaml

from kestrapy.assembly.servers import of_group
from kestrapy.config import KEY_BYTES, load_settings
from kestrapy.errors import SettingsRefused

KEY = b64encode(bytes(KEY_BYTES)).decode()


@pytest.mark.parametrize("section", [{}, {"encryption": {"secretKey": KEY}}])
def test_options_win_and_the_rest_stays(tmp_path: Path, section: dict[str, object]) -> None:
    file = tmp_path / "kestrapy.yaml"
    file.write_text(yaml.safe_dump({"workerGroups": [{"key": "gpu"}], **section}))
    settings = load_settings(file, {})
    worker = of_group(settings, "gpu", 3, ["cuda"])
    assert (worker.worker.worker_group, worker.worker.threads) == ("gpu", 3)
    assert worker.encryption == settings.encryption
    assert worker.worker_groups == settings.worker_groups


def test_what_does_not_fit_names_the_options_and_shows_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "kestrapy.yaml"
    file.write_text(yaml.safe_dump({"encryption": {"secretKey": KEY}}))
    with pytest.raises(SettingsRefused, match="--threads") as refused:
        of_group(load_settings(file, {}), None, 0)
    assert KEY not in str(refused.value)
