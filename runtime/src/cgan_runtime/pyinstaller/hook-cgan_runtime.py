# ruff: noqa: N999 - PyInstaller prescribes the file's name
"""PyInstaller's hook of this package: the model, and the modules that are imported by name."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules

datas = collect_data_files("cgan_runtime")
hiddenimports = collect_submodules("cgan_runtime")
