"""The table of alerts in `docs/monitoring.md` is that of the rules and the runbooks."""

from __future__ import annotations

from tests.components import alerts_table, watched


def test_the_page_has_the_table_of_today() -> None:
    text = alerts_table.DOC.read_text("utf-8")
    assert alerts_table.fill_document(text) == text, "run `python -m tests.components.alerts_table`"


def test_each_alert_has_a_row_with_severity_time_owner_and_runbook() -> None:
    names = {alert["alert"] for alert in watched.alerts()}
    assert alerts_table.meanings().keys() == names, "each runbook begins with **Means.** and a sentence"
    rows = {
        line.split("]")[0][3:]: line for line in alerts_table.table().splitlines() if line.startswith("| [")
    }
    assert rows.keys() == names
    assert "| page or ticket |" in rows["ServiceDown"]
    assert rows["MonthUsed"].endswith("| 5 min | the team |")
    assert rows["CanaryFails"].endswith("| at once | the workload's team |")
    assert rows["GatewayDown"].startswith("| [GatewayDown](runbooks.md#gatewaydown) | page |")
