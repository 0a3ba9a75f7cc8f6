"""docs/endpoints.md says what is true: its Python runs, its files are read, its table of settings is whole."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from errata.models.http.settings import Settings, from_file
from errata.models.http.shapes import SHAPES

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "endpoints.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_its_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    assert len(blocks("python")) == 3
    for block in blocks("python"):
        exec(compile(block, "endpoints.md", "exec"), names)


@pytest.mark.parametrize("block", blocks("toml"))
def test_its_files_are_read(tmp_path, block):
    (tmp_path / "endpoint.toml").write_text(block)
    assert from_file(tmp_path / "endpoint.toml").key_env.endswith("_KEY")


def test_every_setting_and_shape_is_there():
    named = set(
        re.findall(r"`([a-z_0-9-]+)`", "\n".join(line.split("|")[1] for line in PAGE.splitlines() if line[:1] == "|"))
    )
    assert {item.name for item in fields(Settings)} - {"url"} <= named
    assert set(SHAPES) <= named
