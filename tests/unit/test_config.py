"""Settings come from a file and the environment, and what is wrong is named with its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from kestrapy.config import Settings, Worker, load_settings
from kestrapy.config_sources import variable_name
from kestrapy.errors import SettingsRefused


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "kestrapy.yml"


def refused(file: Path | None, text: str = "", env: Mapping[str, str] | None = None) -> str:
    if file is not None:
        file.write_text(text)
    with pytest.raises(SettingsRefused) as refused:
        load_settings(file, env or {})
    return str(refused.value)


def test_without_file_and_environment_all_have_defaults() -> None:
    settings = load_settings(None, {})
    assert settings == Settings()
    assert settings.group_keys == ("default",)
    assert settings.home.is_absolute()
    assert settings.store_url == f"sqlite:///{settings.home}/kestrapy.db"
    assert settings.storage_path == settings.home / "storage"


def test_a_file_sets_what_it_names(file: Path, tmp_path: Path) -> None:
    file.write_text(
        f"""
        dataDir: {tmp_path}
        shards: 8
        workerGroups: [{{key: gpu, description: with CUDA}}, {{key: team-a}}]
        kafka:
          bootstrapServers: one:9092,two:9092
          librdkafka: {{security.protocol: SASL_SSL, sasl.password: swordfish}}
        worker: {{workerGroup: gpu, lease: PT10.5S, lostAfter: 60000}}
        executor: {{commit: per-batch}}
        """
    )
    settings = load_settings(file, {})
    assert settings.shards == 8
    assert settings.group_keys == ("default", "gpu", "team-a")
    assert settings.kafka.bootstrap_servers == "one:9092,two:9092"
    assert settings.librdkafka["sasl.password"] == "swordfish"
    assert (settings.worker.lease, settings.worker.lost_after) == (10_500, 60_000)
    assert settings.executor.commit == "per-batch"
    assert settings.storage_path == tmp_path / "storage"


def test_an_empty_file_is_as_good_as_none(file: Path) -> None:
    file.write_text("# nothing yet\n")
    assert load_settings(file, {}) == Settings()


def test_the_environment_wins(file: Path) -> None:
    file.write_text(
        "webserver: {port: 1, host: 0.0.0.0}\nshards: 2\nworkerGroups: [{key: small}]\n"
        "worker: {lostAfter: PT3M}\nkafka: {librdkafka: {sasl.password: sesame}}\n"
    )
    settings = load_settings(
        file,
        {
            "KESTRAPY_WEBSERVER__PORT": "9000",
            "KESTRAPY_SHARDS": "16",
            "KESTRAPY_WORKER__LOST_AFTER": "PT2M",
            "KESTRAPY_STORAGE__LOCAL__BASE_PATH": "/srv/files",
            "KESTRAPY_KAFKA__LIBRDKAFKA__SASL_PASSWORD": "swordfish",
            "KESTRAPY_WORKER_GROUPS": "[{key: gpu}]",
        },
    )
    assert (settings.webserver.host, settings.webserver.port) == ("0.0.0.0", 9000)
    assert settings.shards == 16
    assert settings.worker.lost_after == 120_000
    assert settings.storage_path == Path("/srv/files")
    assert settings.librdkafka == {"sasl.password": "swordfish"}
    assert settings.group_keys == ("default", "gpu")


def test_variables_are_found_in_any_case() -> None:
    env = {"kestrapy_webserver__port": "9000", "KESTRAPY_Worker__Lost_After": "PT2M"}
    settings = load_settings(None, env)
    assert (settings.webserver.port, settings.worker.lost_after) == (9000, 120_000)


def test_the_variables_of_this_process_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KESTRAPY_SHARDS", "KESTRAPY_shards", "shards"):
        monkeypatch.setenv(name, "16")
    assert Settings().shards == load_settings(None, {}).shards == 4


def test_other_variables_are_left_alone() -> None:
    others = {
        "KESTRAPY_SUPERVISOR_FD": "7",
        "KESTRAPY_WEBSERVER_PORT": "tcp://1",
        "PATH": "/bin",
        "WEBSERVER__PORT": "1",
        "SHARDS": "2",
        "workerGroups": "[{key: gpu}]",
    }
    assert load_settings(None, others) == Settings()


def test_each_problem_has_its_line_or_variable(file: Path) -> None:
    text = refused(
        file,
        "shards: 0\nkafka:\n  topicPrefixx: a.\nworkerGroups:\n- key: gpu\n- key: a b\n",
        {"KESTRAPY_WEBSERVER__PORT": "many"},
    )
    assert text.splitlines() == [
        f"{file}:1: shards: Input should be greater than or equal to 1, not 0",
        f"{file}:6: workerGroups.1.key: String should match pattern '^[a-zA-Z0-9_-]{{1,100}}$',"
        " not 'a b'",
        f"{file}:3: kafka.topicPrefixx: unknown; did you mean topicPrefix? known here:"
        " bootstrapServers, topicPrefix, replicationFactor, schemaRegistryUrl, librdkafka",
        "KESTRAPY_WEBSERVER__PORT: webserver.port: Input should be a valid integer, unable to"
        " parse string as an integer, not 'many'",
    ]


def test_snake_case_is_no_key(file: Path) -> None:
    assert "data_dir: unknown; did you mean dataDir?" in refused(file, "data_dir: x")
    assert ":1: datadir: unknown; did you mean dataDir?" in refused(file, "datadir: x")
    assert "bootstrap_servers: unknown; did you mean bootstrapServers?" in refused(
        file, "kafka: {bootstrap_servers: x}"
    )


def test_a_variable_with_a_typing_error_is_refused() -> None:
    text = refused(None, env={"KESTRAPY_WEBSERVER__PROT": "80"})
    assert text.startswith("KESTRAPY_WEBSERVER__PROT: unknown; did you mean KESTRAPY_WEBSERVER__PO")
    assert "is a section" in refused(None, env={"KESTRAPY_WEBSERVER": "80"})
    assert "unknown" in refused(None, env={"KESTRAPY_WEBSERVER__PORT__X": "80"})
    assert "expected a list" in refused(None, env={"KESTRAPY_WORKER_GROUPS": "["})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("shards: [", ":1: no YAML: "),
        ("- shards", ":1: expected a mapping"),
        ("shards: 1\nkafka: {}\nshards: 2", ":3: shards stands in line 1 already"),
        ("worker: {threads: 1,\n threads: 2}", ":2: threads stands in line 1 already"),
        ("shards: 1\n2: 3", ":2: a key has to be text"),
        ("shards: 2020-13-45", ": no YAML: month must be"),
        ("shards: !!python/object/apply:os.getcwd []", ":1: no YAML: "),
        ("worker: {lease: soon}", ":1: worker.lease: "),
        ("worker: {lease: PX}", ":1: worker.lease: "),
        ("worker: {lease: -5}", ":1: worker.lease: "),
        ("workerGroups: [{key: a, fallback: {group: a}}]", "'a' can't stand in for itself"),
        ("workerGroups: [{key: a, fallback: fail}]", "expected WAIT, FAIL, CANCEL or {group: KEY}"),
        ("workerGroups: [{key: a, fallback: {group: a b}}]", "expected WAIT, FAIL"),
        ("workerGroups: [{key: a, fallback: {group: b, x: 1}}]", "expected WAIT, FAIL"),
        ("workerGroups: [{key: a, fallbackAfter: soon}]", "workerGroups.0.fallbackAfter: "),
        ("workerGroups: [{key: a, dispatch: fair}]", "workerGroups.0.dispatch: "),
        ("workerGroups: [{key: a, lanes: {b: 0}}]", "workerGroups.0.lanes.b: "),
        ("workerGroups: [{key: a, lanes: {b c: 1}}]", "workerGroups.0.lanes.b c.[key]: "),
        ("workerGroups: [{key: a, weights: {b: 2000}}]", "workerGroups.0.weights.b: "),
        ("workerGroups: [{key: a, minWorkers: -1}]", "workerGroups.0.minWorkers: "),
        ("workerGroups: [{key: a, tags: ['']}]", "workerGroups.0.tags.0: "),
        ("workerGroups: [{key: a, drained: true}]", "drained: unknown; known here: key, desc"),
        ("workerGroups: [{key: a}, {key: a}]", "'a' stands there more than once"),
        ("storage: {type: s3}", "storage: type s3 needs s3.bucket: name the bucket"),
        ("storage: {type: ftp}", ":1: storage.type: "),
        ("storage: {s3: {endpoint: 'http://a:b@c'}}", ":1: storage.s3.endpoint: "),
        ("worker: {workerGroup: a b}", "worker.workerGroup: "),
        ("encryption: {secretKey: c2hvcnQ=}", "expected 32 random bytes in Base64"),
        ("encryption: {secretKey: secret}", ":1: encryption.secretKey: "),
        ("kafka: &k {librdkafka: *k}", ":1: an alias leads back"),
    ],
)
def test_what_can_not_be_is_refused(file: Path, text: str, expected: str) -> None:
    assert expected in refused(file, text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "none.yml"
    with pytest.raises(SettingsRefused, match=r"none\.yml: can't be read"):
        load_settings(missing, {})
    with pytest.raises(SettingsRefused, match="no regular file"):
        load_settings(tmp_path, {})


@pytest.mark.parametrize(
    ("worker", "expected"),
    [
        ({"lostAfter": "PT27.5S"}, "raise lostAfter"),
        ({"endTasks": "PT5S"}, "raise lostAfter"),
        ({"lease": "PT9S"}, "raise lease"),
        ({"heartbeatInterval": "PT9S"}, "lower heartbeatInterval"),
    ],
)
def test_times_under_which_two_workers_could_own_a_job_are_refused(
    worker: dict[str, str], expected: str
) -> None:
    env = {variable_name(["worker", key]): value for key, value in worker.items()}
    assert expected in refused(None, env=env)


def test_the_least_times_are_accepted() -> None:
    Worker(lease=25_000, end_tasks=2_000, lost_after=27_526)
    with pytest.raises(ValueError, match="raise lostAfter"):
        Worker(lease=25_000, end_tasks=2_000, lost_after=27_525)


SECRETS = """
kafka:
  schemaRegistryUrl: https://me:swordfish@registry
  librdkafka: {sasl.password: swordfish}
store: {url: 'postgresql+psycopg://me:swordfish@db/k'}
encryption: {secretKey: c3dvcmRmaXNoc3dvcmRmaXNoc3dvcmRmaXNoLi4uLi4=}
"""


def test_secrets_are_not_printed(file: Path) -> None:
    file.write_text(SECRETS)
    settings = load_settings(file, {})
    assert settings.registry_url == "https://me:swordfish@registry"
    assert settings.store_url == "postgresql+psycopg://me:swordfish@db/k"
    assert settings.encryption_key == b"swordfish" * 3 + b"....."
    shown = repr(settings) + str(settings) + settings.model_dump_json()
    assert "swordfish" not in shown
    assert "c3dvcmRm" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "store: {url: 31337}",
        "store: {url: [swordfish]}",
        "store: swordfish",
        "kafka: {schemaRegistryUrl: {password: swordfish}}",
        "kafka: {librdkafka: swordfish}",
        "encryption: {secretKey: swordfish}",
        "kafka: {librdkafka: {sasl.password: [swordfish]}}",
        "kafka: {librdkafka: {sasl.password: swordfish}}\nshards: 0",
    ],
)
def test_secrets_are_in_no_error(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(SettingsRefused) as refused:
        load_settings(file, {})
    assert "swordfish" not in str(refused.value)
    assert "31337" not in str(refused.value)
    assert refused.value.__suppress_context__
    assert refused.value.__cause__ is None


def test_a_group_says_how_its_jobs_reach_its_workers() -> None:
    groups = [{"key": "gpu", "dispatch": "share"}, {"key": "cpu"}]
    assert Settings.model_validate({"workerGroups": groups}).shared_groups == {"gpu"}
