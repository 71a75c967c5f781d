"""References of images: what is read is what was written, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.core.errors import InputError
from isthmus.core.image_references import Reference, parse

DIGEST = "sha256:" + "0a" * 32
WORD = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-)[a-z0-9]{1,8}){0,2}", fullmatch=True)
HOST = st.one_of(
    st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,4})?(\.[a-z0-9]{1,8}){1,3}(:[0-9]{2,5})?", fullmatch=True),
    st.from_regex(r"(localhost|[a-z]{1,8}):[0-9]{2,5}", fullmatch=True),
    st.just("localhost"),
)
NAME = st.lists(WORD, min_size=1, max_size=4).map("/".join)
TAG = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
SHA = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)
REFERENCES = st.builds(Reference, HOST, NAME, st.none() | TAG, st.none() | SHA)


@given(REFERENCES)
def test_a_written_reference_reads_back_the_same(reference: Reference):
    assert parse(str(reference)) == reference


@given(st.text(alphabet="ab.:/@-_0ABsh256", max_size=40))
def test_any_text_is_a_reference_or_an_input_error(text: str):
    try:
        reference = parse(text)
    except InputError:
        return
    assert str(reference) == text


@given(REFERENCES, HOST, st.none() | NAME)
def test_another_registry_changes_the_place_and_nothing_else(
    reference: Reference, host: str, path: str | None
):
    registry = f"{host}/{path}" if path else host
    moved = reference.at(registry)
    assert str(moved) == f"{registry}/{str(reference).removeprefix(reference.registry + '/')}"
    assert (moved.registry, moved.tag, moved.digest) == (host, reference.tag, reference.digest)
    assert reference.at(f"{registry}/") == moved, "an ending / says nothing more"


@pytest.mark.parametrize(
    "text",
    [
        "python:3.13",
        "library/python:3.13",
        "docker.io/Library/python:3.13",
        "docker.io/python:",
        "docker.io/python@sha256:12",
        f"docker.io/python:3.13@{DIGEST} ",
        "https://docker.io/python:3.13",
        "docker.io//python:3.13",
        f"docker.io/{'a' * 250}:1",
        "",
    ],
)
def test_a_reference_without_registry_or_of_another_form_is_refused(text: str):
    with pytest.raises(InputError, match="is not an image reference"):
        parse(text)


def test_a_pod_names_an_image_by_its_digest_alone():
    assert parse("docker.io/vllm/vllm-openai:v1").by_digest(DIGEST) == f"docker.io/vllm/vllm-openai@{DIGEST}"


@pytest.mark.parametrize(
    "registry", ["https://registry.bank.example", "bank", "registry.bank.example//a", ""]
)
def test_an_invalid_registry_is_refused(registry: str):
    with pytest.raises(InputError, match="is not a registry"):
        parse("docker.io/vllm/vllm-openai:v1").at(registry)
