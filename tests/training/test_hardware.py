"""Devices and precisions."""

import dataclasses

import pytest
import torch

from cgan_training.errors import DeviceError
from cgan_training.hardware import precision
from cgan_training.hardware.devices import choose_device
from cgan_training.hardware.processes import Processes
from cgan_training.recipe import Recipe

CPU, GPU = torch.device("cpu"), torch.device("cuda")
Patch = pytest.MonkeyPatch


def set_devices(patch: Patch, cuda: int = 0, *, mps: bool = False) -> None:
    patch.setattr(torch.cuda, "is_available", lambda: bool(cuda))
    patch.setattr(torch.cuda, "device_count", lambda: cuda)
    patch.setattr(torch.cuda, "set_device", lambda _device: None)
    patch.setattr(torch.backends.mps, "is_available", lambda: mps)


def test_auto_selects_the_first_available_device(monkeypatch: Patch) -> None:
    set_devices(monkeypatch)
    assert choose_device("auto") == CPU
    set_devices(monkeypatch, mps=True)
    assert choose_device("auto") == torch.device("mps")
    assert choose_device("auto", Processes(0, 2)) == CPU
    set_devices(monkeypatch, cuda=1, mps=True)
    assert choose_device("auto") == GPU


def test_a_missing_device_is_rejected(monkeypatch: Patch) -> None:
    set_devices(monkeypatch, mps=True)
    with pytest.raises(DeviceError, match="PyTorch finds no cuda device; use --device cpu"):
        choose_device("cuda")
    with pytest.raises(DeviceError, match="cannot share one mps device; use --device cpu"):
        choose_device("mps", Processes(0, 2))


def test_each_process_of_a_host_uses_its_own_cuda_device(monkeypatch: Patch) -> None:
    set_devices(monkeypatch, cuda=2)
    assert choose_device("cuda", Processes(3, 4, 1)) == torch.device("cuda", 1)
    assert choose_device("cpu", Processes(3, 4, 1)) == CPU
    with pytest.raises(DeviceError, match="process 2 of this host needs a CUDA device of its own"):
        choose_device("cuda", Processes(2, 4, 2))


def test_auto_precision_is_the_fastest_in_hardware(
    small_recipe: Recipe, monkeypatch: Patch
) -> None:
    auto = dataclasses.replace(small_recipe, precision="auto")
    for bf16, expected in ((True, "bf16"), (False, "fp32")):
        capabilities = {"avx512_bf16": bf16}
        monkeypatch.setattr(torch.cpu, "get_capabilities", capabilities.copy, raising=False)
        assert precision.resolve_precision(auto, CPU).precision == expected
    for capability, expected in (((9, 0), "tf32"), ((8, 0), "tf32"), ((7, 5), "fp32")):
        monkeypatch.setattr(torch.cuda, "get_device_capability", {GPU: capability}.get)
        assert precision.resolve_precision(auto, GPU).precision == expected
    assert precision.resolve_precision(small_recipe, CPU) == small_recipe


def test_tf32_is_rejected_without_hardware_for_it(small_recipe: Recipe, monkeypatch: Patch) -> None:
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
