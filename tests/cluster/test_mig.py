"""What a machine advertises under a layout: the stand-in for MIG manager, as data."""

from __future__ import annotations

from sandbox.operators.mig import _apply_time_slicing, _layout_devices

H100 = {"nvidia.com/gpu.count": "8", "nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"}
OURS = {
    "isthmus-2x3g.40gb-of-8": [
        {"devices": [0, 1], "mig-enabled": True, "mig-devices": {"3g.40gb": 2}},
        {"devices": [2, 3, 4, 5, 6, 7], "mig-enabled": False},
    ],
    "too-many": [{"devices": [0], "mig-enabled": True, "mig-devices": {"3g.40gb": 3}}],
}


def test_slices_beside_the_gpus_that_stay_whole():
    assert _layout_devices("all-disabled", H100, {}) == {"nvidia.com/gpu": "8"}
    assert _layout_devices("all-1g.10gb", H100, {}) == {"nvidia.com/gpu": "0", "nvidia.com/mig-1g.10gb": "56"}
    assert _layout_devices("isthmus-2x3g.40gb-of-8", H100, OURS) == {
        "nvidia.com/gpu": "6",
        "nvidia.com/mig-3g.40gb": "4",
    }


def test_a_layout_that_nobody_knows_or_the_gpu_cannot_have_fails():
    assert _layout_devices("isthmus-1x3g.40gb-of-8", H100, OURS) is None
    assert _layout_devices("all-3g.20gb", H100, {}) is None
    assert _layout_devices("too-many", H100, OURS) is None


def test_shared_gpus_are_advertised_under_the_name_that_the_configuration_gives_them():
    config = "sharing: {timeSlicing: {renameByDefault: %s, resources: [{name: nvidia.com/gpu, replicas: 4}]}}"
    whole = {"nvidia.com/gpu": "4"}
    assert _apply_time_slicing(whole, config % "true") == {
        "nvidia.com/gpu": "0",
        "nvidia.com/gpu.shared": "16",
    }
    assert _apply_time_slicing(whole, config % "false") == {"nvidia.com/gpu": "16"}
    assert _apply_time_slicing(whole, "version: v1") == _apply_time_slicing(whole, None) == whole
