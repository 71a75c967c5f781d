"""Canaries: the same again for a seed, and an exposure that tells memorised from not."""

from __future__ import annotations

import pytest

from trainer import canaries


def test_a_seed_makes_the_same_canaries_again_and_no_secret_twice():
    made = canaries.make(7, 8, 63)
    assert made == canaries.make(7, 8, 63)
    assert made != canaries.make(8, 8, 63)
    secrets = [example.answer for canary in made for example in (canary.trained, *canary.references)]
    assert len(set(secrets)) == len(secrets) == 8 * 64


def test_exposure_is_highest_for_the_likeliest_secret_and_0_for_the_least_likely():
    others = [float(number) for number in range(1, 256)]
    assert canaries.exposure_bits(0.5, others) == 8
    assert canaries.exposure_bits(300.0, others) == 0
    mean = sum(canaries.exposure_bits(float(rank), others) for rank in range(1, 257)) / 256
    assert mean == pytest.approx(1.44, abs=0.05), (
        "the docs and the recipe say what nothing memorised looks like"
    )
