"""Comparing plans: arguments, cost over the years, buying or renting, energy, and what drives the cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.replay import OFFERS, TODAY, read
from isthmus.blueprints.offers import offers
from isthmus.contracts.plan import files
from isthmus.contracts.plan.document import Plan
from isthmus.contracts.plan.rented_instances import rented_instances
from isthmus.contracts.reference.jurisdictions import AWS_REGIONS, PARENTS
from isthmus.contracts.reports.comparison import Comparison
from isthmus.contracts.requirements import document as requirements_of
from isthmus.contracts.requirements.document import Requirements
from isthmus.core import yaml_files
from isthmus.core.errors import InputError, Refused
from isthmus.planning import planner
from isthmus.planning.catalogues import grid_factors
from isthmus.planning.comparison import variants
from isthmus.planning.comparison.acquisition import acquisitions
from isthmus.planning.comparison.assumptions import Assumptions, list_assumptions, parse_assumptions
from isthmus.planning.comparison.compare import compare
from isthmus.planning.comparison.cost_model import CATEGORIES, CostModel, Scenario
from isthmus.planning.comparison.energy import energy
from isthmus.planning.comparison.headline import headline
from isthmus.planning.comparison.variants import Argument
from isthmus.planning.output import cost_items
from tests.blueprints.bank import ROOT
from tests.planning.test_planner import bank, workload

EXAMPLES = sorted((ROOT / "examples").glob("*.requirements.yaml"))
BANK = ROOT / "stacks" / "bank-dev.requirements.yaml"
H100 = "h100-sxm-80gb"


def planned(data: dict[str, Any]) -> tuple[Plan, Requirements]:
    requirements = read(data)
    plan = planner.make_plan(requirements, OFFERS, TODAY).plan
    assert plan.feasible
    return plan, requirements


def all_plans() -> list[tuple[str, Plan, Requirements]]:
    """A plan of each example that has one, with the catalogue's blueprints."""
    found = []
    for file in EXAMPLES:
        requirements = requirements_of.load(file)
        plan = planner.make_plan(requirements, offers(), TODAY).plan
        if plan.feasible:
            found.append((file.name, plan, requirements))
    return found


@pytest.fixture(scope="module")
def plans() -> list[tuple[str, Plan, Requirements]]:
    return all_plans()


@pytest.fixture(scope="module")
def bank_plan() -> tuple[Plan, Requirements]:
    return planned(bank())


def model(plan: Plan, requirements: Requirements, **assumed: Any) -> CostModel:
    return CostModel(plan, requirements, Assumptions(**{"price_decline": 0.0, **assumed}))


# Arguments


def argument(text: str) -> Argument:
    return variants.parse_argument(text, [offer.name for offer in offers()])


def test_an_argument_is_a_file_a_blueprint_changes_or_current(tmp_path: Path):
    assert argument("current").kind == "current"
    assert argument("sovereign").kind == "blueprint"
    assert argument(str(BANK)).kind == "requirements"
    plan = argument(str(ROOT / "stacks" / "bank-dev.plan.yaml"))
    assert (plan.kind, plan.requirements) == ("plan", BANK)
    changes = argument("budget.monthly_usd=30000,blueprint=sovereign,scale-traffic=2")
    assert changes.changes == ["budget.monthly_usd=30000", "scale-traffic=2"]
    assert changes.blueprint == "sovereign"


def test_commas_inside_values_do_not_split_changes():
    text = 'sites.x.allow=[bedrock, eks],sites.x.prices[a.b]={usd_per_hour: 1, as_of: "2026-11-01, noon"},budget=null'
    assert variants.split_at_commas(text) == [
        "sites.x.allow=[bedrock, eks]",
        'sites.x.prices[a.b]={usd_per_hour: 1, as_of: "2026-11-01, noon"}',
        "budget=null",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sovreign", "`sovreign` is no file and no blueprint. Fix: Did you mean `sovereign`?"),
        ("missing.yaml", "there is no such file"),
        ("blueprint=pilott", "blueprint `pilott` does not exist"),
        (str(ROOT / "images.lock.yaml"), "is neither a plan nor requirements"),
    ],
)
def test_an_argument_that_names_nothing_says_what_is_possible(text: str, message: str):
    with pytest.raises(InputError) as error:
        argument(text)
    assert message in str(error.value)


def test_a_blueprint_needs_requirements_from_somewhere():
    with pytest.raises(InputError, match="needs requirements"):
        variants.make_variant(argument("sovereign"), None, OFFERS, TODAY)
    arguments = [argument("sovereign"), argument(str(BANK))]
    assert variants.default_requirements(arguments, None) == BANK
    assert variants.default_requirements(arguments, Path("other")) == Path("other")


def test_a_what_if_plan_file_is_compared_with_its_changes_made_again(tmp_path: Path):
    requirements = tmp_path / "bank.requirements.yaml"
    requirements.write_text(BANK.read_text())
    file = tmp_path / "bank.plan.yaml"
    made = variants.make_variant(argument("budget=null,scale-traffic=2"), requirements, OFFERS, TODAY)
    assert made.plan is not None
    assert made.plan.what_if is not None
    file.write_text(files.plan_text(made.plan))
    again = variants.make_variant(argument(str(file)), None, OFFERS, TODAY)
    assert again.requirements.digest == made.requirements.digest
    assert again.planned is not None, "the planner chooses the same, so the reasons are those of the file"


def test_a_plan_of_other_requirements_and_a_broken_boundary_are_refused(tmp_path: Path):
    file = tmp_path / "bank.plan.yaml"
    beside = tmp_path / "bank.requirements.yaml"
    data = yaml_files.load(ROOT / "stacks" / "bank-dev.plan.yaml").data
    beside.write_text(BANK.read_text().replace("mean_rps: 0.1", "mean_rps: 0.2"))
    file.write_text(yaml_files.dumps(data))
    with pytest.raises(InputError, match="the requirements have changed since the plan was made"):
        variants.make_variant(argument(str(file)), None, OFFERS, TODAY)
    beside.write_text(BANK.read_text())
    restricted = next(endpoint for endpoint in data["endpoints"] if endpoint["class"] == "restricted")
    restricted.update(site="frankfurt", target="eks-vllm")
    file.write_text(yaml_files.dumps(data))
    with pytest.raises(Refused, match="restricted work may not run on eks-vllm"):
        variants.make_variant(argument(str(file)), None, OFFERS, TODAY)


def test_a_plan_file_that_the_planner_would_not_make_today_has_no_reasons_and_says_so(tmp_path: Path):
    file = tmp_path / "bank.plan.yaml"
    (tmp_path / "bank.requirements.yaml").write_text(BANK.read_text())
    data = yaml_files.load(ROOT / "stacks" / "bank-dev.plan.yaml").data
    data["monthly_cost_usd"] += 1
    file.write_text(yaml_files.dumps(data))
    variant = variants.make_variant(argument(str(file)), None, OFFERS, TODAY)
    assert variant.planned is None
    assert "Today the planner would choose otherwise" in variant.notes[0]


# Cost items and the first month


def test_every_cost_item_of_the_examples_has_its_kind(plans: list[tuple[str, Plan, Requirements]]):
    kinds: dict[str, set[str]] = {}
    for _, plan, _ in plans:
        for item in plan.cost_items or []:
            kinds.setdefault(cost_items.kind_of(item), set()).add(item.what)
            assert item.counted == (cost_items.kind_of(item) != "idle")
    assert set(kinds) == {"owned", "idle", "instances", "tokens", "link", "other"}
    assert all(": " in name for name in kinds["other"])
    assert all(name.split(": ")[1] for name in kinds["tokens"])
    assert {name for name in kinds["other"] if "million" in name or " x " in name} == set()


def test_instances_are_read_back_from_their_title(plans: list[tuple[str, Plan, Requirements]]):
    for _, plan, _ in plans:
        for item in plan.cost_items or []:
            if rented := rented_instances(item):
                assert rented.count == round(item.quantity / 730)
                assert any(
                    (endpoint.site, endpoint.instance_type, endpoint.purchase)
                    == (rented.site, rented.instance, rented.purchase)
                    for endpoint in plan.endpoints
                )


def test_the_first_month_is_the_plans_cost_and_its_idle_hardware_to_the_cent(
    plans: list[tuple[str, Plan, Requirements]],
):
    for name, plan, requirements in plans:
        month = model(plan, requirements).run().by_month[0]
        idle = math.fsum(item.monthly_usd for item in plan.cost_items or [] if not item.counted)
        assert month["idle"] == pytest.approx(idle, abs=0.001), name
        counted = math.fsum(usd for category, usd in month.items() if category != "idle")
        assert counted == pytest.approx(plan.monthly_cost_usd, abs=0.001), name


def test_without_growth_and_decline_every_month_costs_the_same(bank_plan: tuple[Plan, Requirements]):
    months = model(*bank_plan, years=2).run()
    assert len(months.by_month) == 24
    assert all(month == months.by_month[0] for month in months.by_month)
    assert months.owned == pytest.approx(24 * sum(months.by_month[0].values()), abs=0.01)
    assert months.year(0) == months.year(1)
    assert months.events == []


# Growth, prices, depreciation


def test_tokens_grow_with_their_own_workload_and_get_cheaper(bank_plan: tuple[Plan, Requirements]):
    plan, requirements = bank_plan
    months = model(plan, requirements, growth=0.02, price_decline=0.1).run()
    first = months.by_month[0]["tokens"]
    expected = first * 1.02**12 * 0.9
    assert months.by_month[12]["tokens"] == pytest.approx(expected, rel=1e-4)


def test_the_growth_of_a_workload_is_its_own_unless_it_is_assumed():
    data = bank()
    workload(data, "policy-assistant")["traffic"]["growth_pct_month"] = 5
    plan, requirements = planned(data)
    assert model(plan, requirements).growth("policy-assistant", 12) == pytest.approx(1.05**12)
    assert model(plan, requirements).growth("campaign-copy", 12) == 1
    assert model(plan, requirements, growth=0.01).growth("policy-assistant", 12) == pytest.approx(1.01**12)


def test_replicas_are_enough_for_headroom_and_loss_at_every_load(plans: list[tuple[str, Plan, Requirements]]):
    """The plan's own count today; more later, each time the least that carries the load as the plan predicts it."""
    for name, plan, requirements in plans:
        costs = model(plan, requirements)
        for endpoint in plan.endpoints:
            predicted = endpoint.predicted
            if not endpoint.gpu or predicted is None or not predicted.capacity_rps:
                continue
            count = endpoint.replicas or 1
            assert costs.replicas(endpoint, 1.0, Scenario()) == count, (name, endpoint.id)
            for load in (1.5, 2.0, 4.0):
                replicas = costs.replicas(endpoint, load, Scenario())
                capacity = predicted.capacity_rps * replicas / count
                assert capacity >= 0.994 * load * predicted.peak_rps * (1 + requirements.planning.headroom)
                assert costs.replicas(endpoint, load, Scenario(utilisation=0.5)) >= replicas


def test_a_pool_that_becomes_too_small_gets_nodes_whose_price_is_paid_and_depreciated():
    data = bank(budget=None)
    plan, requirements = planned(data)
    months = model(plan, requirements, growth=0.05).run()
    assert months.events[0].endswith("1 more node of h100-sxm-80gb at fra1")
    bought = [usd for usd in months.outlay if usd]
    assert bought
    assert all(usd % 320000 == 0 for usd in bought)
    month = int(months.events[0].split()[1].rstrip(":")) - 1
    node = (320000 * 0.75 / 48) + 10.2 * 180 + 10.2 * 1.3 * 0.12 * 730
    before, after = months.by_month[month - 1], months.by_month[month]

    def hardware(costs: dict[Any, float]) -> float:
        return sum(costs[category] for category in ("hardware", "colocation", "electricity", "idle"))

    assert hardware(after) - hardware(before) == pytest.approx(node, abs=0.05)


def test_nodes_that_are_bought_later_cost_less_by_the_decline():
    plan, requirements = planned(bank(budget=None))
    months = model(plan, requirements, growth=0.05, price_decline=0.2).run()
    month = next(index for index, usd in enumerate(months.outlay) if usd)
    assert months.outlay[month] == pytest.approx(320000 * 0.8 ** (month / 12), abs=0.01)


def test_rented_instances_grow_whole_and_a_reserved_rate_holds_for_its_term():
    data = yaml_files.load(ROOT / "examples" / "cloud-private.requirements.yaml").data
    for site in data["sites"]:
        site["prices"] = {"g7e.2xlarge/reserved-12": {"usd_per_hour": 3.0, "as_of": TODAY}}
    data["commitments"] = {"max_term_months": 12}
    requirements = read(data)
    plan = planner.make_plan(requirements, offers(), TODAY).plan
    rented = next(r for item in plan.cost_items or [] if (r := rented_instances(item)))
    assert (rented.instance, rented.purchase) == ("g7e.2xlarge", "reserved-12")
    months = model(plan, requirements, growth=0.0, price_decline=0.5).run()
    by_year = [months.by_month[index]["instances"] for index in (0, 11, 12, 24)]
    assert by_year == [by_year[0], by_year[0], pytest.approx(by_year[0] / 2), pytest.approx(by_year[0] / 4)]
    grown = model(plan, requirements, growth=0.03).run()
    assert any("x g7e.2xlarge at frankfurt" in event for event in grown.events)
    assert (
        grown.by_month[-1]["instances"] % grown.by_month[0]["instances"] == pytest.approx(0, abs=0.01)
        or grown.by_month[-1]["instances"] > grown.by_month[0]["instances"]
    )


def test_a_scenario_changes_what_it_names_and_nothing_else(bank_plan: tuple[Plan, Requirements]):
    costs = model(*bank_plan)
    base = costs.run().by_month[0]

    def changed(**scenario: float) -> dict[str, float]:
        month = costs.run(Scenario(**scenario)).by_month[0]
        return {name: round(month[name] / base[name], 4) for name in CATEGORIES if month[name] != base[name]}

    assert changed(cloud_price=1.2) == {"tokens": 1.2}
    assert changed(electricity=2.0) == {"electricity": 2.0, "idle": changed(electricity=2.0)["idle"]}
    assert changed(life=0.5)["hardware"] == 2.0
    assert set(changed(life=0.5)) == {"hardware", "idle"}
    assert changed(load=1.2)["tokens"] == 1.2


def test_a_missing_price_leaves_the_total_unknown_and_the_cash_known():
    data = bank(objective={"cost_basis": "cash"})
    del data["sites"][0]["cost"]["capex_usd_per_node"][H100]
    plan, requirements = planned(data)
    costs = model(plan, requirements)
    assert costs.missing == [f"`cost` of site fra1 has no capex_usd_per_node.{H100}"]
    assert costs.run().by_month[0]["electricity"] > 0


# Buy, rent or reserve


def test_owned_nodes_are_compared_with_the_instances_of_the_stated_regions():
    data = bank()
    data["sites"][1]["prices"] = {
        "p5.48xlarge": {"usd_per_hour": 60.0, "as_of": TODAY},
        "p5.48xlarge/reserved-12": {"usd_per_hour": 40.0, "as_of": TODAY},
    }
    data["sites"][1]["region"] = "eu-north-1"
    data["sites"][1]["jurisdiction"] = "se"
    plan, requirements = planned(data)
    row = next(row for row in acquisitions("A", plan, requirements, Assumptions()) if row.gpu == H100)
    nodes = -(-row.gpus // 8)
    assert row.chosen == "buy"
    running = nodes * (10.2 * 180 + 10.2 * 1.3 * 0.12 * 730)
    assert row.buy_usd == pytest.approx(nodes * 320000 * 0.75 / 48 + running, abs=0.01)
    assert row.rent_usd == nodes * 60 * 730
    assert row.reserve_usd == nodes * 40 * 730
    assert row.cheapest == "buy"
    assert row.buy_usd is not None
    assert row.rent_usd is not None
    assert row.break_even_months == round(nodes * 320000 / (row.rent_usd - running), 1)
    assert row.break_even_share == round(row.buy_usd / row.rent_usd, 3)
    assert "given" in row.buy_source
    assert "eu-north-1, on-demand: given" in row.rent_source


def test_without_a_stated_reserved_price_a_discount_is_assumed_and_called_so(
    plans: list[tuple[str, Plan, Requirements]],
):
    _, plan, requirements = next(entry for entry in plans if entry[0].startswith("cloud-private"))
    row = acquisitions("A", plan, requirements, Assumptions())[0]
    assert (row.chosen, row.buy_usd, row.cheapest) == ("rent", None, "reserve")
    assert row.rent_usd is not None
    assert row.reserve_usd == round(row.rent_usd * 0.65, 2)
    assert row.reserve_source.startswith("assumption: 35% below on demand")
    assert "no on-prem site of the requirements states a cost" in row.buy_source


def test_a_region_without_a_price_is_named_and_never_priced_by_another(bank_plan: tuple[Plan, Requirements]):
    row = acquisitions("A", *bank_plan, Assumptions())[0]
    assert row.rent_usd is None
    assert row.rent_source == f"not known: no price of an instance with {H100} in eu-central-1"
    assert row.cheapest is None


# Energy and carbon


def test_owned_hardware_uses_its_stated_power_and_the_countrys_grid(bank_plan: tuple[Plan, Requirements]):
    result = energy([bank_plan], Assumptions(idle_power=0.0))
    row = next(row for row in result.rows if row.site == "fra1")
    kwh = 10 / 8 * 10.2 * 1.3 * 730
    assert row.kwh == [round(kwh, 1)]
    germany = grid_factors.find("de")
    assert germany is not None
    assert row.kg_co2e == [round(round(kwh, 1) * germany.g_co2e_per_kwh / 1000, 1)]
    assert "@tgwf/co2 0.19.0" in row.source
    assert "2025-12-31" in row.source


def test_idle_hardware_draws_its_assumed_part(bank_plan: tuple[Plan, Requirements]):
    none, some = (energy([bank_plan], Assumptions(idle_power=share)).kwh[0] for share in (0.0, 0.5))
    idle = (6 / 8 * 10.2 + 8 / 4 * 2.2) * 1.3 * 730 * 0.5
    assert none is not None
    assert some == pytest.approx(none + idle, abs=0.2)


def test_the_energy_of_an_api_is_unknown_unless_it_is_assumed(bank_plan: tuple[Plan, Requirements]):
    unknown = energy([bank_plan], Assumptions())
    assert any("AWS does not publish it" in reason for reason in unknown.unknown[0])
    known = energy([bank_plan], Assumptions(api_energy=0.5))
    assert known.unknown == [[]]
    frankfurt = next(row for row in known.rows if row.site == "frankfurt")
    tokens = (0.4 * 3850 + 0.1 * 1100) * 3600 * 730 / 1000
    assert frankfurt.kwh[0] == pytest.approx(tokens * 0.5 / 1000, abs=0.1)
    assert frankfurt.notes == ["assumption: 0.5 Wh for a thousand tokens of an API"]


def test_a_stated_grid_factor_replaces_the_countrys(bank_plan: tuple[Plan, Requirements]):
    row = energy([bank_plan], Assumptions(grid={"fra1": 0.0})).rows[0]
    assert (row.g_per_kwh, row.kg_co2e) == (0.0, [0.0])
    assert row.source == "given by --assume grid.fra1"


def test_a_site_in_a_union_has_no_factor_and_its_carbon_is_called_unknown():
    data = bank()
    data["sites"][0]["jurisdiction"] = "eu"
    plan, requirements = planned(data)
    result = energy([(plan, requirements)], Assumptions())
    row = next(row for row in result.rows if row.site == "fra1")
    assert (row.g_per_kwh, row.kg_co2e) == (None, [None])
    assert any("the grid of fra1 has no factor" in reason for reason in result.unknown[0])


def test_sites_of_one_name_in_two_countries_have_a_row_each(bank_plan: tuple[Plan, Requirements]):
    data = bank()
    data["sites"][0]["jurisdiction"] = "fr"
    result = energy([bank_plan, planned(data)], Assumptions())
    german, french = (row for row in result.rows if row.site == "fra1")
    assert (german.kwh[1], french.kwh[0]) == (None, None)
    assert german.kwh[0] == french.kwh[1]
    assert (german.g_per_kwh or 0) > (french.g_per_kwh or 0)
    assert result.kwh == [german.kwh[0], french.kwh[1]]


def test_every_aws_region_has_a_grid_factor_and_the_data_name_their_licence():
    from isthmus.planning.catalogues import tables

    assert {country for country in AWS_REGIONS.values() if grid_factors.find(country) is None} == set()
    assert {row["country"] for row in tables.rows("grid_factors")} <= set(PARENTS)
    for row in tables.rows("grid_factors"):
        assert 0 <= row["g_co2e_per_kwh"] < 1200
        assert row["evidence"]["licence"] == "ODbL-1.0"
    assert "Open Database License" in (tables.DATA / "NOTICE").read_text()


# Assumptions


def test_assumptions_are_changed_by_name_and_listed_with_reason_and_option():
    requirements = [read(bank())]
    changed = parse_assumptions(["years=5", "growth=2", "price-decline=0", "grid.fra1=20"], requirements)
    assert (changed.years, changed.growth, changed.price_decline) == (5, 0.02, 0.0)
    assert changed.grid == {"fra1": 20}
    listed = {assumption.name: assumption for assumption in list_assumptions(changed)}
    assert listed["growth"].value == "2 % a month, all workloads"
    assert listed["growth"].why == "given by --assume"
    assert listed["grid.fra1"].value == "20 g CO2e a kWh"
    assert all(one.why and one.option.startswith("--assume ") for one in listed.values())
    assert set(listed) >= {"reserved-discount", "server-power", "aws-pue", "idle-power", "driver-range"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("year=5", "`year` is not an assumption. Fix: Did you mean `years`?"),
        ("years=2.5", "is not a whole number of years"),
        ("years=0", "expected a number from 1 to 10"),
        ("growth=lots", "expected a number from -50 to 50"),
        ("grid.fra2=3", "Did you mean `grid.fra1`?"),
        ("growth=nan", "expected a number"),
    ],
)
def test_a_wrong_assumption_names_what_is_possible(text: str, message: str):
    with pytest.raises(InputError) as error:
        parse_assumptions([text], [read(bank())])
    assert message in str(error.value)


# The whole


def compared(texts: Sequence[str], **more: Any) -> Comparison:
    arguments = [argument(text) for text in texts]
    default = variants.default_requirements(arguments, BANK)
    made = [variants.make_variant(one, default, offers(), TODAY) for one in arguments]
    return compare(made, more.pop("assumptions", Assumptions()), TODAY, reasons=more.pop("reasons", False))


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    return compared(["current", "budget=null,scale-traffic=2", "sovereign"])


def test_the_columns_say_what_they_are_and_why_there_is_no_plan(comparison: Comparison):
    current, doubled, sovereign = comparison.columns
    assert (current.status, doubled.status, sovereign.status) == ("feasible", "feasible", "infeasible")
    assert doubled.changes == ["budget=null", "scale-traffic=2"]
    assert sovereign.why_not
    assert sovereign.ways_out
    assert "C is infeasible" in comparison.headline[-1]
    assert compared(["current", "pilot"]).columns[1].why_not == [
        "blueprint pilot does not fit: it does not support confidential, restricted workloads"
    ]


def test_the_cost_lines_of_each_column_add_up_to_its_plan(comparison: Comparison):
    for index, column in enumerate(comparison.columns[:2]):
        counted = [line.amounts[index] for line in comparison.cost_lines if line.counted]
        total = math.fsum(amount for amount in counted if amount is not None)
        assert round(total, 2) == column.monthly_cost_usd
        assert column.costs is not None
        idle = [line.amounts[index] for line in comparison.cost_lines if not line.counted]
        assert round(math.fsum(amount for amount in idle if amount), 2) == column.costs.idle_usd
    assert all(line.sources for line in comparison.cost_lines)


def test_the_years_and_the_parts_both_add_up_to_the_total(comparison: Comparison):
    total = comparison.total_cost
    for index in range(2):
        parts = math.fsum(row.amounts[index] or 0 for row in total.rows)
        years = math.fsum(year[index] or 0 for year in total.by_year)
        assert total.totals[index] == pytest.approx(parts, abs=0.005)
        assert total.totals[index] == pytest.approx(years, abs=0.005)
    assert (total.totals[2], total.cash[2]) == (None, None)


def test_what_moves_and_the_load_of_each_column_are_said(comparison: Comparison):
    moves = comparison.moves[0]
    assert (moves.from_, moves.to) == ("A", "B")
    assert any("replicas" in sentence for sentence in moves.sentences)
    assert any("do not carry the same load" in sentence for sentence in comparison.headline)


def test_drivers_are_ordered_by_their_range_and_their_ends_are_totals_of_the_model(comparison: Comparison):
    ranges = [
        max(abs(cell.high_usd - cell.low_usd) for cell in effect.cells if cell is not None)
        for effect in comparison.drivers
    ]
    assert ranges == sorted(ranges, reverse=True)
    assert {effect.driver for effect in comparison.drivers} == {
        "cloud price",
        "load",
        "electricity price",
        "life of hardware",
        "utilisation",
    }
    variant = variants.make_variant(argument("current"), BANK, offers(), TODAY)
    assert variant.plan is not None
    costs = CostModel(variant.plan, variant.requirements, Assumptions())
    effect = next(effect for effect in comparison.drivers if effect.driver == "electricity price")
    cell = effect.cells[0]
    assert cell is not None
    assert cell.low_usd == costs.run(Scenario(electricity=0.8)).owned
    assert cell.high_usd == costs.run(Scenario(electricity=1.2)).owned


def test_a_driver_that_changes_the_order_is_in_the_headline():
    two = compared(["current", "budget=null,scale-traffic=2"])
    first, second = two.total_cost.totals
    assert first is not None
    assert second is not None
    assert first < second
    load = next(effect for effect in two.drivers if effect.driver == "load")
    others = [effect for effect in two.drivers if effect is not load]
    for winner, sentence in (
        ("A", "A is the cheapest over the years, and no single driver within 20% changes that."),
        ("B", "A is the cheapest over the years, but 20 % more traffic makes B the cheapest."),
    ):
        effects = [
            *(effect.model_copy(update={"cheapest_low": "A", "cheapest_high": "A"}) for effect in others),
            load.model_copy(update={"cheapest_low": "A", "cheapest_high": winner}),
        ]
        assert sentence in headline(two.columns, two.total_cost, effects, 0.2)


def test_better_scores_on_idle_hardware_cost_nothing_more_over_the_years():
    """The near tie pays 3,999 USD a month for them on the allocated basis, for GPUs that stand idle otherwise."""
    two = compared(["current", "objective.near_tie_pct=15"])
    monthly = [column.monthly_cost_usd or 0.0 for column in two.columns]
    assert monthly[1] > monthly[0]
    assert two.total_cost.totals[0] == pytest.approx(two.total_cost.totals[1], abs=1)
    assert any("A and B are the cheapest over the years" in sentence for sentence in two.headline)


def test_the_cheapest_plan_at_each_end_of_a_driver_is_found(comparison: Comparison):
    for effect in comparison.drivers:
        for end, cheapest in (("low_usd", effect.cheapest_low), ("high_usd", effect.cheapest_high)):
            totals = {
                column.id: getattr(cell, end)
                for column, cell in zip(comparison.columns, effect.cells, strict=True)
                if cell is not None
            }
            assert cheapest == min(totals, key=lambda id: totals[id])


def test_the_same_arguments_give_the_same_report():
    first, second = (compared(["current", "scale-traffic=0.5"]) for _ in range(2))
    assert first == second


def test_reasons_are_given_for_each_feasible_column_if_they_are_asked_for():
    requirements = str(ROOT / "examples" / "pilot.requirements.yaml")
    with_reasons = compared([requirements, "scale-traffic=0.5"], reasons=True)
    assert all(
        column.explanation is not None for column in with_reasons.columns if column.status == "feasible"
    )
    assert all(column.explanation is None for column in compared([requirements, "current"]).columns)
