"""The page of the bank's own lock, whatever the planner makes of the bank."""

from __future__ import annotations

from isthmus.reports import plan_page
from tests.blueprints.bank import requirements_and_plan
from tests.reports.test_plan_page import check_harmless, section, sections, text_of


def test_the_page_of_the_banks_own_lock_holds_all_of_it():
    """Nothing of it is left out, nothing on the page is loaded."""
    requirements, plan = requirements_and_plan()
    html = plan_page.page(plan, requirements)
    check_harmless(html)
    assert (
        sections(html) == "map placements predictions availability cost stress alternatives warnings evidence"
    )
    assert f"USD {plan.monthly_cost_usd:,.0f} a month" in text_of(html)
    assert "its parts come to" not in section(html, "cost"), "the total is not the sum of its parts"
    assert [item.what for item in plan.cost_items or [] if item.what not in section(html, "cost")] == []
    placed = section(html, "placements")
    for placement in plan.placements:
        assert " ".join(placement.why.split()) in placed
    assert [warning for warning in plan.warnings if warning not in section(html, "warnings")] == []
    assert [
        endpoint.id for endpoint in plan.endpoints if endpoint.id not in section(html, "predictions")
    ] == []
    assert "shown here are others" not in text_of(html)
