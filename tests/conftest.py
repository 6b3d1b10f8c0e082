"""Fixtures and rules of every test: no network, no settings from outside, one real Kafka for those that ask for it."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import hypothesis
import pytest

from tests.support import network
from tests.support.altered_softhsm import AlteredSoftHSM
from tests.support.jars import KafkaMissingError
from tests.support.kafka import running_kafka
from tests.support.softhsm import SoftHSM, SoftHSMMissingError, running_softhsm

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

TESTS = Path(__file__).parent
ON_LOOPBACK = frozenset({"contract", "faults", "integration", "scenarios"})
"""Folders whose tests may talk to this machine; elsewhere, the mark ``loopback`` is the exception."""
BROKER = pytest.StashKey[str]()
MISSING = pytest.StashKey[str]()
SOFTHSM_MISSING = pytest.StashKey[str]()
OUTCOMES = pytest.StashKey[list[str]]()

# No deadline: two cores are shared, and a slow example is not a wrong one.
hypothesis.settings.register_profile("docbus", deadline=None, print_blob=True)
hypothesis.settings.load_profile("docbus")


def _kafka_required() -> bool:
    """Whether a run without real Kafka has failed: in continuous integration, or when asked for."""
    return any(os.environ.get(name, "").lower() in {"1", "true"} for name in ("CI", "DOCBUS_REQUIRE_KAFKA"))


SOFTHSM_REQUIRED = any(os.environ.get(name, "").lower() in {"1", "true"} for name in ("CI", "DOCBUS_REQUIRE_SOFTHSM"))
"""Whether a run without SoftHSM has failed, likewise; tests do not see the variable."""


def pytest_configure(config: pytest.Config) -> None:
    """Guard the network before any test module is imported."""
    network.install()
    config.stash[OUTCOMES] = []


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses the broker, before ``-m`` selects by marks."""
    for item in items:
        if "kafka" in getattr(item, "fixturenames", ()):
            item.add_marker("kafka")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the broker once, if a selected test needs it: here, because a first start outlasts one test's time."""
    config = session.config
    if config.option.collectonly or not any(item.get_closest_marker("kafka") for item in session.items):
        return
    stack = ExitStack()
    config.add_cleanup(stack.close)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="docbus-kafka-"))
    try:
        config.stash[BROKER] = stack.enter_context(running_kafka(Path(folder)))
    except KafkaMissingError as error:
        config.stash[MISSING] = str(error)


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest) -> str:
    """Bootstrap address of a real Apache Kafka with the settings of compose.yaml; topics are each test's own."""
    stash = request.config.stash
    if MISSING in stash:
        text = f"no real Kafka: {stash[MISSING]}"
        if _kafka_required():
            pytest.fail(text, pytrace=False)
        pytest.skip(text)
    return stash[BROKER]


@pytest.fixture
def softhsm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SoftHSM]:
    """Tokens of SoftHSM 2 in the test's own folder; none is there yet."""
    try:
        with running_softhsm(tmp_path / "softhsm") as running:
            yield running
    except SoftHSMMissingError as error:
        _without_softhsm(request, error)


@pytest.fixture
def altered_softhsm(request: pytest.FixtureRequest, softhsm: SoftHSM, tmp_path: Path) -> AlteredSoftHSM:
    """Return a library for the tokens of SoftHSM that can be made to behave otherwise."""
    try:
        return AlteredSoftHSM(softhsm, tmp_path)
    except SoftHSMMissingError as error:
        _without_softhsm(request, error)


def _without_softhsm(request: pytest.FixtureRequest, error: SoftHSMMissingError) -> NoReturn:
    """Skip the test, or fail it where tokens are required; the end of the run says so."""
    request.config.stash[SOFTHSM_MISSING] = str(error)
    if SOFTHSM_REQUIRED:
        pytest.fail(f"no SoftHSM: {error}", pytrace=False)
    pytest.skip(f"no SoftHSM: {error}")


@pytest.fixture(autouse=True)
def _network(request: pytest.FixtureRequest) -> Iterator[None]:
    """Refuse every address but those of this machine, and in most folders those as well."""
    folder = request.path.relative_to(TESTS).parts[0]
    marked = any(request.node.get_closest_marker(name) for name in ("kafka", "loopback"))
    with network.reach("loopback" if marked or folder in ON_LOOPBACK else "none") as refused:
        yield
    if refused:
        pytest.fail(f"the test reached for the network: {refused}", pytrace=False)


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings and terminal out of the tests."""
    for name in [*os.environ]:
        if name.startswith("DOCBUS_") or name in {"FORCE_COLOR", "GITHUB_ACTIONS", "NO_COLOR"}:
            monkeypatch.delenv(name)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Count what became of the tests on real Kafka."""
    report = yield
    if item.get_closest_marker("kafka") and (report.when == "call" or report.skipped):
        item.config.stash[OUTCOMES].append(report.outcome)
    return report


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that had to test on real Kafka and did not."""
    config = session.config
    outcomes = config.stash[OUTCOMES]
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (
        config.option.markexpr or config.option.keyword or config.option.collectonly
    )
    untested = "skipped" in outcomes or (whole and "passed" not in outcomes)
    if _kafka_required() and untested and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        config.stash.setdefault(MISSING, "no test on real Kafka ran to its end, and this run requires it")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say loudly what was not tested."""
    if SOFTHSM_MISSING in config.stash:
        terminalreporter.section("NOT TESTED ON A TOKEN", sep="!", red=True, bold=True)
        terminalreporter.line(config.stash[SOFTHSM_MISSING])
        if not SOFTHSM_REQUIRED:
            terminalreporter.line("Tests of keys on tokens were skipped. Install softhsm2 and a C compiler for them.")
    if MISSING not in config.stash:
        return
    terminalreporter.section("NOT TESTED ON REAL KAFKA", sep="!", red=True, bold=True)
    terminalreporter.line(config.stash[MISSING])
    if not _kafka_required():
        terminalreporter.line("The tests of the Kafka adapter were skipped. Install Java 17 and Maven to run them.")
