"""What the page of a preview says, and in which order; test_preview_page_browser.py looks at it in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from isthmus.contracts.reports.preview import Preview, PropertyChange
from isthmus.reports.preview.data_paths import compare_paths
from isthmus.reports.preview.page import page as preview_page
from isthmus.reports.preview.page.picture import picture
from isthmus.reports.preview.page.values import lines, visible
from isthmus.reports.preview.page.verdict import verdict
from tests.reports import page_previews as previews

pytestmark = pytest.mark.whole


class Words(HTMLParser):
    """The text of a page outside its script and style, on one line."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self._in = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in = tag

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in not in ("script", "style"):
            self.text.append(data)


def text_of(*previews_shown: Preview) -> str:
    return " ".join(" ".join(Words(preview_page.page(previews_shown)).text).split())


def with_(**more: Any) -> Preview:
    return Preview.model_validate({**previews.bank_data(), **more})


def test_the_most_dangerous_change_is_listed_first() -> None:
    text = text_of(previews.bank())
    places = [
        text.index(phrase)
        for phrase in (
            "Refused The preview is complete",
            "sensitivity: workload kyc-review",
            "audit-archive",
            "May not leave the site frankfurt".lower()[4:],
            "Restricted stays on prem",
            "Monthly cost",
            "GPUs in use",
            "All changes",
        )
    ]
    assert places == sorted(places)


def test_the_same_previews_give_the_same_bytes() -> None:
    page = preview_page.page([previews.bank(), previews.failed()])
    preview_page._template.cache_clear()
    assert preview_page.page([previews.bank(), previews.failed()]) == page


def test_the_policy_of_the_page_allows_its_own_script_and_style_and_nothing_else() -> None:
    html = preview_page.page([previews.bank()])
    for tag in ("script", "style"):
        inside = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        assert len(inside) == 1
        digest = base64.b64encode(hashlib.sha256(inside[0].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in html
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none';")
    assert "unsafe" not in policy[1]
    assert "http" not in policy[1]


@pytest.mark.parametrize(
    ("preview_shown", "kind"),
    [
        (previews.unchanged(), "unchanged"),
        (previews.failed(), "failed"),
        (previews.partial(), "partial"),
        (previews.bank(), "refused"),
        # None of these may look as if nothing were to be seen.
        (previews.bare(status="failed"), "failed"),
        (previews.bare(status="partial"), "partial"),
        (previews.bare(diagnostics=[{"severity": "error", "message": "no answer"}]), "partial"),
        (previews.bare(summary={"create": 1}), "changes"),
        (previews.bare(changes=[previews.change("create", "a:b:C", "one")]), "changes"),
        (previews.bare(data_paths={"before": [], "after": [previews.onprem("public", "a", "b")]}), "changes"),
        (previews.bare(policy=[previews.finding("identity/x", "critical", "role")]), "refused"),
        (previews.bare(rules=[{"kind": "rule", "what": "x", "loosens": True}]), "look"),
        (previews.bare(changes=[previews.change("delete", "a:b:C", "one")]), "look"),
        (previews.bare(changes=[previews.change("update", "a:b:C", "one", may_replace=["x"])]), "look"),
    ],
)
def test_a_verdict_calls_a_preview_what_it_is(preview_shown: Preview, kind: str) -> None:
    assert verdict(preview_shown).kind == kind
    html = preview_page.page([preview_shown])
    assert f'<div class="verdict {kind}">' in html
    assert ("Nothing changes." in html) is (kind == "unchanged")


def test_a_page_without_stacks_does_not_pass() -> None:
    assert "Failed: nothing was previewed" in text_of()


def test_unknown_parts_of_a_failed_preview_are_not_reported_as_empty() -> None:
    text = text_of(with_(status="failed", changes=[], policy=[], data_paths={}))
    assert text.count("None in the part that was previewed") == 2
    assert "No findings in the part that was previewed" in text
    assert "no path is known to be allowed" in text


def test_a_secret_is_never_written_even_where_it_was_not_masked() -> None:
    assert "hunter" not in preview_page.page([previews.bank()])


def test_several_stacks_each_have_their_verdict_and_an_entry_at_the_top() -> None:
    html = preview_page.page([previews.bank(), previews.unchanged(), previews.failed()])
    top = html[: html.index("<main")]
    assert re.findall(r'<a href="#(s\d)">', top) == ["s1", "s2", "s3"]
    assert re.findall(r'data-label="Verdict"><b class="\w+">(\w+)', top) == ["Refused", "Unchanged", "Failed"]
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))


def test_every_change_of_a_data_path_has_its_own_label() -> None:
    refused = previews.onprem("internal", "one", "a") | {"verdict": "refused"}
    allowed = previews.onprem("internal", "one", "a")
    onprem = previews.onprem("internal", "two", "b")

    def kinds_and_labels(
        before: list[dict[str, Any]] | None, after: list[dict[str, Any]] | None
    ) -> list[tuple[str, str]]:
        bare = previews.bare(data_paths={"before": before, "after": after})
        return [(rule.mark, rule.words) for rule in compare_paths(bare.data_paths)]

    assert kinds_and_labels([allowed], [allowed]) == [("same", "unchanged")]
    assert kinds_and_labels([], [allowed]) == [("added", "new, allowed")]
    assert kinds_and_labels([allowed, onprem], [allowed]) == [("removed", "removed"), ("same", "unchanged")]
    assert kinds_and_labels([allowed], [refused]) == [("refused", "refused, was allowed")]
    assert kinds_and_labels([], [refused]) == [("refused", "new, refused")]
    assert kinds_and_labels([refused], [allowed]) == [("allowed", "was refused, now allowed")]
    assert kinds_and_labels(None, [allowed]) == [("same", "allowed")]
    assert kinds_and_labels([allowed], None) == [], "what is not known after the change was called gone"


def test_the_picture_has_each_hop_in_the_place_where_it_is_and_each_mark_on_a_line_of_its_own() -> None:
    bank = previews.bank()
    drawn = picture(compare_paths(bank.data_paths), bank.capacity)
    assert drawn is not None
    assert [band.name for band in drawn.bands] == [
        "frankfurt",
        "eu-central-1",
        "regions and sites that may serve",
    ]
    assert "12 of 16 GPUs used (before: 14 of 16 GPUs used)" in drawn.bands[0].lines[0]
    for band, nodes in drawn.places():
        assert nodes, f"nothing stands in {band.name}"
        assert all(band.y < node.y < node.y + node.height <= band.y + band.height for node in nodes)
    to_endpoint = {
        edge.mark for edge in drawn.edges if edge.title.endswith("vpce-bedrock-runtime to claude-sonnet-eu")
    }
    assert to_endpoint == {"refused", "added", "same"}, "what is refused hides under what is allowed"
    marks = {node.key[1]: node.mark for node in drawn.nodes if node.key[0] != "class"}
    assert marks["eu-central-1, eu-west-1"] == "refused"
    assert marks["sagemaker-credit"] == "undecided"
    assert marks["translator-internal"] == "added"
    assert marks["gateway-public"] == "same"


def test_no_box_of_the_picture_lies_on_another() -> None:
    for preview_shown in (previews.bank(), previews.hostile()):
        drawn = picture(compare_paths(preview_shown.data_paths), preview_shown.capacity)
        assert drawn is not None
        for at, box in enumerate(drawn.nodes):
            for node in drawn.nodes[at + 1 :]:
                beside = box.x + box.width <= node.x or node.x + node.width <= box.x
                assert beside or box.y + box.height <= node.y or node.y + node.height <= box.y


def test_a_picture_of_too_many_paths_draws_what_hurts_and_says_how_many_it_leaves_out() -> None:
    after = [previews.onprem("internal", f"w{at}", f"model-{at}") for at in range(300)]
    after[250]["verdict"] = "refused"
    bare = previews.bare(data_paths={"before": after, "after": after})
    drawn = picture(compare_paths(bare.data_paths), bare.capacity)
    assert drawn is not None
    assert len(drawn.nodes) <= 70
    assert "model-250" in {node.key[1] for node in drawn.nodes}
    assert f"{drawn.left_out} more data paths not shown" in text_of(bare)


def test_a_page_is_bounded_and_the_worst_changes_keep_their_properties() -> None:
    html = preview_page.page([previews.huge(9_000, properties=8, long=500)])
    assert len(html) < preview_page.LARGEST
    assert re.search(r"[\d,]+ more changes not shown", html)
    matches = re.findall(r'<details class="change"[^>]*data-find="(\w+) ', html)
    short = re.findall(r'<div class="brief"[^>]*data-find="(\w+) ', html)
    assert set(matches) == {"delete"}
    assert "delete" not in short or "update" not in short


def test_a_long_text_is_compared_by_its_lines_and_cut_where_it_is_too_long() -> None:
    old = "\n".join(f"line {at}" for at in range(500))
    diff_lines = lines(PropertyChange(path="x", old=old, new=old.replace("line 250", "other")))
    assert [(line.sign, line.text) for line in diff_lines] == [
        (" ", "line 248"),
        (" ", "line 249"),
        ("-", "line 250"),
        ("+", "other"),
        (" ", "line 251"),
        (" ", "line 252"),
    ]
    diff_lines = lines(PropertyChange(path="x", old=old, new=old.replace("line", "other")))
    assert diff_lines[-1].text == "… 920 further lines are in the JSON"
    assert [line.text for line in lines(PropertyChange(path="x", old="2", new=2))] == ['"2"', "2"]
    assert [line.text for line in lines(PropertyChange(path="x", new=1))] == ["not set", "1"]


def test_invisible_characters_are_spelled_out() -> None:
    assert visible("a\u202eb\u200bc\x00\r\n\td\ud800\U000e0041é🏦") == (
        "a\\u202eb\\u200bc\\u0000\\u000d\n\td\\ud800\\U000e0041é🏦"
    )


def test_a_box_whose_resources_change_says_how_many_whatever_its_component_is_called_before_its_name() -> (
    None
):
    unchanged = previews.unchanged()
    drawn = picture(
        compare_paths(unchanged.data_paths),
        unchanged.capacity,
        {"bank-fra1-gateway-internal": 2, "x-qwen3-32b-y": 1},
    )
    assert drawn is not None
    marks = {node.key[1]: (node.mark, node.lines[-1][0]) for node in drawn.nodes}
    assert marks["gateway-internal"] == ("changed", "~ 2 changes")
    assert marks["qwen3-32b"] == ("same", "qwen3-32b")
