"""Open WebUI's switches: each that the pinned package reads is decided on, and none that it does not read."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from isthmus.contracts.reference.open_webui import SWITCHES_FILE, OpenWebUi, switches
from isthmus.core import yaml_files
from sandbox.local import chats

TRUE = ("true", "false")


def switches_in(text: str) -> set[str]:
    """Names of variables whose default is `true` or `false`, or that are compared with `true`."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if (read := _read(node)) is not None and str(read[1]).lower() in TRUE:
            names.add(read[0])
        if isinstance(node, ast.Compare) and any(
            isinstance(side, ast.Constant) and str(side.value).lower() == "true" for side in node.comparators
        ):
            names |= {read[0] for inner in ast.walk(node) if (read := _read(inner)) is not None}
    return names


def _read(node: ast.AST) -> tuple[str, object] | None:
    """Name and default of a variable that an expression reads."""
    if not isinstance(node, ast.Call) or ast.unparse(node.func) not in (
        "os.getenv",
        "os.environ.get",
        "getenv",
    ):
        return None
    first, *others = [argument.value for argument in node.args if isinstance(argument, ast.Constant)] or [
        None
    ]
    return (first, others[0] if others else None) if isinstance(first, str) else None


def test_a_switch_is_recognised_by_its_default_and_by_its_comparison():
    text = (
        "a = os.getenv('A', 'True')\nb = os.environ.get('B', '').lower() == 'true'\nc = os.getenv('C', '5')"
    )
    assert switches_in(text) == {"A", "B"}


def test_no_switch_is_decided_on_twice():
    read = yaml_files.load(SWITCHES_FILE).data
    names = [name for key in ("on", "off", "without_history", "of_the_image") for name in read[key]]
    assert len(names) == len(set(names))


def test_what_leaks_or_asks_elsewhere_is_off_in_every_chat():
    for keeps_history in (True, False):
        values = switches(keeps_history=keeps_history)
        assert values["OFFLINE_MODE"] == "true"
        for name in (
            *("ENABLE_PERSISTENT_CONFIG", "ENABLE_ADMIN_CHAT_ACCESS", "ENABLE_ADMIN_EXPORT", "ENABLE_SIGNUP"),
            *(
                "ENABLE_COMMUNITY_SHARING",
                "ENABLE_WEB_SEARCH",
                "ENABLE_CODE_EXECUTION",
                "ENABLE_CODE_INTERPRETER",
            ),
            *(
                "ENABLE_DIRECT_CONNECTIONS",
                "ENABLE_TITLE_GENERATION",
                "ENABLE_TAGS_GENERATION",
                "ENABLE_OTEL",
            ),
            *(
                "ENABLE_FOLLOW_UP_GENERATION",
                "ENABLE_TOOLS",
                "ENABLE_TOOL_SERVERS",
                "ENABLE_WEBSOCKET_SUPPORT",
            ),
            *("ENABLE_PIP_INSTALL_FRONTMATTER_REQUIREMENTS", "USER_PERMISSIONS_CHAT_FILE_UPLOAD"),
            *("USER_PERMISSIONS_CHAT_SHARE", "ENABLE_MESSAGE_RATING", "BYPASS_MODEL_ACCESS_CONTROL"),
        ):
            assert values[name] == "false", name


def test_every_variable_of_the_environment_is_text():
    environment = OpenWebUi("internal", "https://c", ["a", "b"], keeps_history=True).environment()
    assert all(isinstance(value, str) for value in environment.values())
    assert environment["DEFAULT_MODELS"] == "a"


@pytest.mark.sandbox
def test_every_switch_of_the_pinned_package_is_decided_on():
    if why := chats.missing():
        pytest.skip(why)
    chats.PACKAGES.install()
    [package] = chats.PACKAGES.folder.glob("lib/python*/site-packages/open_webui")
    read = yaml_files.load(SWITCHES_FILE).data
    assert _version(package) == read["version"]
    decided = {name for key in ("on", "off", "without_history", "of_the_image") for name in read[key]}
    found = set[str]().union(*(switches_in(file.read_text("utf-8")) for file in package.rglob("*.py")))
    assert found == decided


def _version(package: Path) -> str:
    [metadata] = package.parent.glob("open_webui-*.dist-info")
    return metadata.name.removeprefix("open_webui-").removesuffix(".dist-info")
