"""vLLM flags of an endpoint: which fields become flags."""

from __future__ import annotations

import pytest

from isthmus.contracts.platform.lookups import engine_settings
from isthmus.contracts.reference.vllm_flags import check_engine_args


@pytest.mark.parametrize("name", engine_settings.VLLM_FLAGS)
def test_the_pinned_vllm_knows_the_flag_of_every_marked_field(name: str) -> None:
    check_engine_args([f"--{name.replace('_', '-')}=1"])
