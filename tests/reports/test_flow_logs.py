"""Egress beside the records: VPC flow logs and Hubble's JSON, read strictly, and judged by what lies inside."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from isthmus.core.errors import InputError
from isthmus.reports.audit.flow_logs import Flow, Missing, parse_networks, read_flows
from isthmus.reports.audit.report import AuditReport

RESTRICTED = {"restricted": parse_networks(["10.20.4.0/24"], "x")}
AT_HOME = parse_networks(["10.0.0.0/8"], "x")
START = int(datetime(2026, 11, 26, 15, tzinfo=UTC).timestamp())
V2 = f"2 123456789012 eni-1 10.20.4.7 52.94.1.1 40000 443 6 10 8400 {START} {START + 60} ACCEPT OK"


def hubble(**changes: Any) -> dict[str, Any]:
    flow = {
        "time": "2026-11-26T15:00:00.123456789Z",
        "verdict": "FORWARDED",
        "IP": {"source": "10.0.1.2", "destination": "52.94.1.1", "ipVersion": "IPv4"},
        "l4": {"TCP": {"source_port": 40000, "destination_port": 443, "flags": {"SYN": True}}},
        "source": {"namespace": "isthmus-restricted", "pod_name": "gateway-0"},
        "destination": {"identity": 2, "labels": ["reserved:world"]},
        "traffic_direction": "EGRESS",
        "is_reply": False,
        **changes,
    }
    return {"flow": flow, "node_name": "n1", "time": flow["time"]}


def lines(folder: Path, *rows: Any) -> list[Flow | Missing]:
    file = folder / "flows.log"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows) + "\n")
    return list(read_flows(file, RESTRICTED))


def judged(*flows: Flow | Missing) -> AuditReport:
    audit_report = AuditReport(datetime(2026, 11, 26, tzinfo=UTC), datetime(2026, 11, 27, tzinfo=UTC))
    audit_report.add_flows(flows, AT_HOME)
    return audit_report


@pytest.mark.parametrize("row", [V2, hubble()])
def test_restricted_traffic_that_was_let_out_is_a_violation(tmp_path: Path, row: Any):
    (flow,) = lines(tmp_path, row)
    assert isinstance(flow, Flow)
    assert (flow.class_, flow.destination, flow.port, flow.let_through) == (
        "restricted",
        "52.94.1.1",
        443,
        True,
    )
    assert ["52.94.1.1 port 443" in violation for violation in judged(flow).violations] == [True]


@pytest.mark.parametrize("row", [V2.replace("ACCEPT", "REJECT"), hubble(verdict="DROPPED")])
def test_refused_traffic_is_counted_and_is_not_a_violation(tmp_path: Path, row: Any):
    judged_log = judged(*lines(tmp_path, row))
    assert judged_log.clean
    assert judged_log.egress == {("restricted", "52.94.1.1", 443): [0, 1, 0]}


def test_traffic_allowed_after_a_refusal_is_one_violation(tmp_path: Path):
    judged_log = judged(*lines(tmp_path, V2.replace("ACCEPT", "REJECT"), V2, V2))
    assert len(judged_log.violations) == 1
    assert judged_log.egress == {("restricted", "52.94.1.1", 443): [2, 1, 16800]}


@pytest.mark.parametrize(
    "row",
    [
        V2.replace("52.94.1.1", "10.9.9.9"),
        hubble(IP={"source": "10.0.1.2", "destination": "10.9.9.9"}),
        V2.replace(str(START), str(START - 86400)),
    ],
)
def test_internal_traffic_and_other_days_are_not_violations(tmp_path: Path, row: Any):
    assert judged(*lines(tmp_path, row)).clean


@pytest.mark.parametrize(
    "row",
    [
        V2.replace("10.20.4.7", "10.99.0.1"),
        hubble(is_reply=True),
        hubble(traffic_direction="INGRESS"),
        hubble(source={"namespace": "default"}),
        {"node_status": {"state_change": "NODE_CONNECTED"}},
        f"2 123456789012 eni-1 - - - - - - - {START} {START + 60} - NODATA",
    ],
)
def test_inbound_and_unclassified_traffic_is_ignored(tmp_path: Path, row: Any):
    assert lines(tmp_path, row) == []


def test_a_header_line_names_the_fields_and_the_packets_own_addresses_count(tmp_path: Path):
    header = "version srcaddr pkt-srcaddr dstaddr pkt-dstaddr dstport start action log-status flow-direction"
    row = f"5 10.99.0.1 10.20.4.7 10.99.0.2 8.8.8.8 53 {START} ACCEPT OK egress"
    (flow,) = lines(tmp_path, header, row)
    assert isinstance(flow, Flow)
    assert (flow.source, flow.destination) == ("10.20.4.7", "8.8.8.8")
    assert lines(tmp_path, header, row.replace("egress", "ingress")) == []


def test_lost_log_records_are_a_gap(tmp_path: Path):
    skipped = f"2 123456789012 eni-1 - - - - - - - {START} {START + 60} - SKIPDATA"
    lost = {"lost_events": {"source": "HUBBLE_RING_BUFFER", "num_events_lost": "17"}, "node_name": "n1"}
    judged_log = judged(*lines(tmp_path, skipped, lost))
    assert judged_log.clean
    assert [gap.partition(": ")[2] for gap in judged_log.gaps] == [
        "records of interface eni-1 were skipped",
        "17 events were lost on n1",
    ]


@pytest.mark.parametrize(
    "row",
    ["2 1 2", "{", V2.replace(str(START), "soon"), {"flow": {"verdict": "FORWARDED", "IP": {}}}],
)
def test_an_invalid_record_is_refused_with_its_line(tmp_path: Path, row: Any):
    with pytest.raises(InputError, match=r"flows\.log:2: this line is neither"):
        lines(tmp_path, V2, row)


def test_compressed_logs_are_read_as_aws_delivers_them(tmp_path: Path):
    file = tmp_path / "flows.log.gz"
    with gzip.open(file, "wt") as stream:
        stream.write(V2 + "\n")
    assert len(list(read_flows(file, RESTRICTED))) == 1
    file.write_bytes(file.read_bytes()[:20])
    with pytest.raises(InputError, match="cannot be read"):
        list(read_flows(file, RESTRICTED))
