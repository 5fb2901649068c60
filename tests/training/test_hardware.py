"""Devices and precisions."""

import dataclasses

import pytest
import torch

from cgan_training.errors import DeviceError
from cgan_training.hardware import precision
from cgan_training.hardware.devices import choose_device
from cgan_training.hardware.processes import ProcessGroup
from cgan_training.recipe import Recipe

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_auto_selects_the_first_available_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == CPU
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("mps")
    assert choose_device("auto", ProcessGroup(0, 2)) == CPU
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == GPU


def test_a_missing_device_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="PyTorch finds no cuda device; use --device cpu"):
        choose_device("cuda")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(DeviceError, match="cannot share one mps device; use --device cpu"):
        choose_device("mps", ProcessGroup(0, 2))


@pytest.mark.parametrize(("supported", "name"), [(True, "bf16"), (False, "fp32")])
def test_auto_precision_on_a_cpu(
    small_recipe: Recipe, monkeypatch: pytest.MonkeyPatch, supported: bool, name: str
) -> None:
    auto = dataclasses.replace(small_recipe, precision="auto")
    monkeypatch.setattr(precision, "supports_bf16", lambda _device: supported)
    assert precision.resolve_precision(auto, CPU).precision == name
    assert precision.resolve_precision(small_recipe, CPU) == small_recipe


@pytest.mark.parametrize(
    ("capability", "name"), [((9, 0), "tf32"), ((8, 0), "tf32"), ((7, 5), "fp32")]
)
def test_auto_precision_on_a_gpu(
    small_recipe: Recipe, monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], name: str
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    auto = dataclasses.replace(small_recipe, precision="auto")
    assert precision.resolve_precision(auto, GPU).precision == name


def test_tf32_is_refused_without_hardware_for_it(
    small_recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (7, 5))
    tf32 = dataclasses.replace(small_recipe, precision="tf32")
    for device in (CPU, GPU):
        with pytest.raises(DeviceError, match=r"tf32 needs an NVIDIA GPU.*; use --precision"):
            precision.resolve_precision(tf32, device)


@pytest.mark.parametrize(("name", "allowed"), [("tf32", True), ("fp32", False), ("bf16", False)])
def test_a_gpu_uses_tf32_only_for_tf32(name: str, allowed: bool) -> None:
    matmul, convolution = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, convolution.allow_tf32
    with precision.matmul_precision(name, GPU):
        assert (matmul.allow_tf32, convolution.allow_tf32) == (allowed, allowed)
    with precision.matmul_precision(name, CPU):
        assert (matmul.allow_tf32, convolution.allow_tf32) == before
    assert (matmul.allow_tf32, convolution.allow_tf32) == before
