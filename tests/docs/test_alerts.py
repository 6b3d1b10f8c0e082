"""The alerts that are handed out ask only for metrics that there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ALERTS = Path("examples/alerts.yaml")
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]
]
METRICS = {
    line.split("`")[1].partition("{")[0]: "state" if "{state}" in line else ""
    for line in Path("docs/reference/metrics.md").read_text("utf-8").splitlines()
    if line.startswith("| `docbus_")
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_alert_asks_for_what_is_served(rule: dict[str, Any]) -> None:
    """Every metric of a rule is in the reference, and every rule says how bad it is, and what is the matter."""
    asked = set(re.findall(r"docbus_\w+", rule["expr"]))

    assert asked
    assert asked <= METRICS.keys()
    assert rule["labels"]["severity"] in {"info", "warning", "critical"}
    assert rule["annotations"]["summary"]


def test_every_alert_says_what_to_do() -> None:
    """The how-to has a line for each alert, and for no other."""
    page = Path("docs/how-to/watch-an-agency.md").read_text("utf-8")

    assert {rule["alert"] for rule in RULES} == set(re.findall(r"^\| `(Docbus\w+)`", page, re.MULTILINE))
