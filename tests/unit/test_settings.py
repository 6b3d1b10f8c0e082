"""Reading docbus.toml and the environment."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path
from typing import Any

import pytest

from docbus.documents.deadlines import Stage
from docbus.errors import ConfigurationError
from docbus.settings import DEFAULT_OUTBOX_BYTES, Settings, load_settings
from docbus.transport.time_stamps import MAX_FALLBACKS

GENESIS = "ab" * 32
EXCHANGE = f'[exchange]\nenvironment = "test"\ngenesis = "{GENESIS}"\n'
AGENCY = (
    '[agency]\nid = "vn:H26"\nname = "Hà Nội"\n'
    '[keys]\nsigning = "file:keys/signing.pem"\ncertificate = "keys/certificate.pem"\n'
    'encryption = ["file:keys/encryption.pem"]\n'
)
EMBEDDED = '[embedded]\nfile = "../bus.db"\n'
KAFKA = '[kafka]\nbootstrap = "kafka:9092"\n'
VALID = EXCHANGE + AGENCY + EMBEDDED


def load(folder: Path, text: str) -> Settings:
    """Write the settings and read them."""
    (folder / "docbus.toml").write_text(text, "utf-8")
    return load_settings(folder)


def refusal(folder: Path, text: str) -> str:
    """Return why settings are refused; the file is always named."""
    with pytest.raises(ConfigurationError) as refused:
        load(folder, text)
    assert str(folder / "docbus.toml") in refused.value.text
    assert refused.value.hint
    return refused.value.text


def test_valid_settings_are_read(tmp_path: Path) -> None:
    """An agency's settings, with defaults for what is left out."""
    settings = load(tmp_path, VALID)

    assert settings.agency is not None
    assert settings.keys is not None
    assert ("vn:H26", "Hà Nội") == (settings.agency.id, settings.agency.name)
    assert (GENESIS, bytes.fromhex(GENESIS)) == (settings.exchange.genesis, settings.exchange.genesis_bytes)
    assert (Path("documents"), DEFAULT_OUTBOX_BYTES) == (settings.sink.folder, settings.outbox.max_bytes)
    assert (tmp_path, tmp_path / "state.db") == (settings.folder, settings.state)


def test_paths_are_seen_from_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths mean the same wherever a command is started; absolute ones stay."""
    (tmp_path / "agency").mkdir()
    (tmp_path / "agency" / "docbus.toml").write_text(VALID, "utf-8")
    monkeypatch.chdir(tmp_path)
    settings = load_settings(Path("agency"))
    monkeypatch.chdir("/")

    assert tmp_path / "agency" / "keys" / "a.pem" == settings.path(Path("keys/a.pem"))
    assert Path("/etc/a.pem") == settings.path(Path("/etc/a.pem"))
    assert f"file:{tmp_path}/agency/keys/a.pem" == settings.key_uri("file:keys/a.pem")
    assert "pkcs11:token=docbus" == settings.key_uri("pkcs11:token=docbus")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (VALID + "[sink]\nfodler = 'x'\n", "sink.fodler: unknown setting"),
        (VALID + "[sinks]\nfolder = 'x'\n", "sinks: unknown setting"),
        ("verify = false\n" + VALID, "verify: unknown setting"),
        (EXCHANGE + AGENCY.replace("[keys]", "[keys]\npassphrase = 'x'") + EMBEDDED, "keys.passphrase: unknown"),
        ('folder = "/tmp"\n' + VALID, "unknown setting folder"),
    ],
)
def test_unknown_setting_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    """A misspelt setting is an error, never a default that nobody wanted; the name stands in the error."""
    assert named in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (VALID + "[outbox]\nmax_bytes = 'much'\n", "outbox.max_bytes: "),
        (VALID + "[outbox]\nmax_bytes = 5\n", "outbox.max_bytes: "),
        (VALID.replace(GENESIS, GENESIS[:-1]), "exchange.genesis: "),
        (VALID.replace('"test"', "7"), "exchange.environment: "),
        (VALID.replace('["file:keys/encryption.pem"]', "[]"), "keys.encryption: "),
        (VALID.replace('["file:keys/encryption.pem"]', "3"), "keys.encryption: "),
        ("exchange = 3\n" + AGENCY + EMBEDDED, "exchange: "),
        (EXCHANGE + KAFKA + "replication_factor = 0\n", "kafka.replication_factor: "),
        (VALID + "[deadlines]\nurgent_minutes = 0\n", "deadlines.urgent_minutes: "),
        (VALID + "[deadlines]\nday_ends = 11:00:00\n", "deadlines: morning_ends is not before day_ends"),
        (VALID + "[deadlines]\nday_ends = '17:00+07:00'\n", "deadlines: times are Vietnamese and have no offset"),
        (VALID + "[deadlines]\nstages = ['read']\n", "deadlines.stages.0: "),
        (
            VALID + "[deadlines]\ndays_off = [2027-01-02]\ndays_worked = [2027-01-02]\n",
            "deadlines: 2027-01-02 is both in days_off and in days_worked",
        ),
        (VALID + "[metrics]\nlisten = '9464'\n", "metrics.listen: "),
        (VALID + "[metrics]\nlisten = '127.0.0.1:70000'\n", "metrics: listen: 70000 is no port"),
        (EXCHANGE + KAFKA + "sasl_mechanism = 'NTLM'\n", "kafka.sasl_mechanism: "),
    ],
)
def test_wrong_value_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    """A value of the wrong type or out of its bounds is named as it stands in the file."""
    assert named in refusal(tmp_path, text)


def test_deadlines_and_metrics(tmp_path: Path) -> None:
    """Rules for what is overdue come from the file; hosts of metrics may be IPv6 addresses."""
    settings = load(
        tmp_path,
        VALID + "[deadlines]\nmorning_ends = 11:30:00\nurgent_minutes = 5\nstages = ['sent']\n"
        "days_off = [2027-02-11]\n[metrics]\nlisten = '[::1]:9464'\n",
    )
    rules = settings.deadlines.deadlines

    assert (time(11, 30), time(17), 300_000) == (rules.morning_ends, rules.day_ends, rules.urgent_ms)
    assert frozenset({Stage.SENT}) == rules.stages
    assert not rules.calendar.works(date(2027, 2, 11))
    assert ("::1", 9464) == settings.metrics.address
    assert None is load(tmp_path, VALID).metrics.address


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (AGENCY + EMBEDDED, "exchange: "),
        (EXCHANGE + AGENCY, "exactly one of the tables [embedded] and [kafka] is needed"),
        (VALID + KAFKA, "exactly one of the tables [embedded] and [kafka] is needed"),
        (EXCHANGE + AGENCY.partition("[keys]")[0] + EMBEDDED, "[agency] needs the table [keys]"),
        (EXCHANGE + "[kafka]\n", "kafka.bootstrap: "),
        (EXCHANGE + KAFKA + "tls_certificate = 'c.pem'\n", "tls_certificate and tls_key go together"),
        (EXCHANGE + AGENCY + "next_certificate = 'c.pem'\n" + EMBEDDED, "stands there without next_signing"),
        (EXCHANGE + AGENCY + "next_overlap_minutes = 527041\n" + EMBEDDED, "next_overlap_minutes"),
        (EXCHANGE + KAFKA + "sasl_username = 'hanoi'\n", "sasl_mechanism, sasl_username and sasl_password go together"),
    ],
)
def test_missing_table_is_named(tmp_path: Path, text: str, named: str) -> None:
    """What is needed and not there, or there twice, is said in words."""
    assert named in refusal(tmp_path, text)


def test_several_errors_are_told_at_once(tmp_path: Path) -> None:
    """Nobody has to mend one mistake after the other."""
    text = refusal(tmp_path, VALID.replace('"test"', "7") + "[sink]\nfodler = 'x'\n")

    assert "exchange.environment: " in text
    assert "sink.fodler: unknown setting" in text


def test_missing_file_names_the_folder(tmp_path: Path) -> None:
    """A folder without settings is named, with the command that makes one."""
    with pytest.raises(ConfigurationError, match=f"there is no docbus.toml in {tmp_path}") as refused:
        load_settings(tmp_path)

    assert "docbus init" in (refused.value.hint or "")


def test_what_is_not_toml_names_the_line(tmp_path: Path) -> None:
    """A file that cannot be parsed is named with the line."""
    assert "is not TOML: " in (text := refusal(tmp_path, VALID + "this is no setting\n"))
    assert "line 13" in text


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_unreadable_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    """Bytes that are no text, or a directory of that name, are named."""
    path = tmp_path / "docbus.toml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)

    with pytest.raises(ConfigurationError, match=f"{path} cannot be read"):
        load_settings(tmp_path)


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One nested setting is replaced; its neighbours in the file stay."""
    monkeypatch.setenv("DOCBUS_KAFKA__BOOTSTRAP", "other:9093")
    monkeypatch.setenv("DOCBUS_OUTBOX__MAX_BYTES", "2097152")
    settings = load(tmp_path, EXCHANGE + KAFKA + "replication_factor = 2\n")

    assert settings.kafka is not None
    assert ("other:9093", 2, 2097152) == (
        settings.kafka.bootstrap,
        settings.kafka.replication_factor,
        settings.outbox.max_bytes,
    )


def test_environment_cannot_move_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCBUS_FOLDER is for the command line; settings lie where they were read."""
    monkeypatch.setenv("DOCBUS_FOLDER", "/elsewhere")

    assert tmp_path == load(tmp_path, VALID).folder


def test_wrong_value_from_the_environment_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable is checked as the file is."""
    monkeypatch.setenv("DOCBUS_OUTBOX__MAX_BYTES", "much")

    assert "outbox.max_bytes" in refusal(tmp_path, VALID)


def test_list_of_brokers_is_joined(tmp_path: Path) -> None:
    """Brokers may be written as a list."""
    settings = load(tmp_path, EXCHANGE + '[kafka]\nbootstrap = ["a:9092", "b:9092"]\n')

    assert settings.kafka is not None
    assert "a:9092,b:9092" == settings.kafka.bootstrap


def secrets() -> list[tuple[str, dict[str, str]]]:
    """Return settings with a secret, valid and wrong ones, from the file and from the environment."""
    sasl = "sasl_mechanism = 'PLAIN'\nsasl_username = 'hanoi'\n"
    return [
        (EXCHANGE + KAFKA + sasl + "sasl_password = 'hunter2'\n", {}),
        (EXCHANGE + KAFKA + sasl, {"DOCBUS_KAFKA__SASL_PASSWORD": "hunter2"}),
        (EXCHANGE + KAFKA + "sasl_password = 'hunter2'\n", {}),
        (EXCHANGE + KAFKA + sasl + "sasl_password = ['hunter2']\n", {}),
        (EXCHANGE + KAFKA + sasl + "sasl_pasword = 'hunter2'\n", {}),
        (EXCHANGE + KAFKA + "[keys]\nsigning = 'hunter2'\n", {}),
        (EXCHANGE + AGENCY + EMBEDDED, {"DOCBUS_KAFKA__SASL_PASSWORD": "hunter2"}),
        (EXCHANGE + KAFKA + sasl + "sasl_password = 'hunter2\n", {}),
    ]


@pytest.mark.parametrize(("text", "environment"), secrets())
def test_no_secret_is_ever_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, environment: dict[str, str]
) -> None:
    """Neither the settings' own text nor any error has a password in it, nor the error's cause or context."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    shown: list[Any] = []
    try:
        settings = load(tmp_path, text)
        shown = [repr(settings), str(settings), repr(settings.kafka), settings.model_dump_json()]
    except ConfigurationError as error:
        shown = [error.text, error.hint, repr(error), repr(error.__cause__)]

    assert shown
    assert [] == [one for one in shown if one and "hunter2" in one]


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    """Settings are read once; nothing can change them afterwards."""
    settings = load(tmp_path, VALID)

    with pytest.raises(ValueError, match="frozen"):
        settings.sink.folder = Path("/tmp")  # noqa: S108 - not used


def test_list_in_the_environment_that_is_no_json_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list in a variable is JSON; anything else is an error of the user's, with the form that is wanted."""
    monkeypatch.setenv("DOCBUS_DEADLINES__DAYS_OFF", "[2027-02-11]")
    with pytest.raises(ConfigurationError, match="deadlines") as caught:
        load(tmp_path, VALID)
    assert '["2027-02-11"]' in (caught.value.hint or "")

    monkeypatch.setenv("DOCBUS_DEADLINES__DAYS_OFF", '["2027-02-11"]')
    assert (date(2027, 2, 11),) == load(tmp_path, VALID).deadlines.days_off


STAMPS = '[timestamps]\nurl = "http://tsa.example/tsa"\nanchor = "tsa-ca.pem"\n'


def test_time_stamps_are_wished_by_a_table(tmp_path: Path) -> None:
    """Without the table nobody is asked; with it, once an hour unless it says otherwise."""
    assert load(tmp_path, VALID).timestamps is None
    found = load(tmp_path, VALID + STAMPS).timestamps

    assert found is not None
    assert ("http://tsa.example/tsa", Path("tsa-ca.pem"), 60, None) == (
        found.url,
        found.anchor,
        found.interval_minutes,
        found.policy,
    )


def test_other_authorities_are_asked_in_their_order(tmp_path: Path) -> None:
    """Each has its own anchor, and a policy if it says so."""
    second = '[[timestamps.fallback]]\nurl = "http://b.example"\nanchor = "b.pem"\npolicy = "1.2.3"\n'
    third = '[[timestamps.fallback]]\nurl = "http://c.example"\nanchor = "c.pem"\n'
    found = load(tmp_path, VALID + STAMPS + second + third).timestamps

    assert found is not None
    assert [("http://b.example", Path("b.pem"), "1.2.3"), ("http://c.example", Path("c.pem"), None)] == [
        (one.url, one.anchor, one.policy) for one in found.fallback
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('[timestamps]\nurl = "http://tsa.example/"\n', "timestamps.anchor"),
        ('[timestamps]\nurl = "tsa.example"\nanchor = "a.pem"\n', "timestamps.url: 'tsa.example' is no address"),
        (STAMPS + "interval_minutes = 4\n", "timestamps.interval_minutes"),
        (STAMPS + 'policy = "one"\n', "timestamps.policy: 'one' is no object identifier"),
        (STAMPS + 'policy = "1.40.1"\n', "the second number below 1 is at most 39"),
        (STAMPS + '[[timestamps.fallback]]\nurl = "tsa.example"\nanchor = "b.pem"\n', "timestamps.fallback"),
        (STAMPS + '[[timestamps.fallback]]\nurl = "http://b.example"\n', "timestamps.fallback.0.anchor"),
        (
            STAMPS + '[[timestamps.fallback]]\nurl = "http://b.example"\nanchor = "b.pem"\n' * (MAX_FALLBACKS + 1),
            f"timestamps.fallback: Tuple should have at most {MAX_FALLBACKS} items",
        ),
    ],
)
def test_time_stamps_that_cannot_be_asked_for_are_refused(text: str, named: str, tmp_path: Path) -> None:
    """The setting is named."""
    assert named in refusal(tmp_path, VALID + text)
