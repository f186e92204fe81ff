"""What the README shows runs, and the documents point to what exists."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from callboard.supervisor import load_fleet

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_first_screen_runs_as_it_stands(tmp_path: Path) -> None:
    code = README.split("```python\n")[1].split("```")[0]
    script = tmp_path / "first_screen.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "Question 1 of c-17: Where is my card?\n"


def test_the_first_screen_has_code_by_line_30() -> None:
    assert "class Support(Actor)" in "\n".join(README.splitlines()[:30])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_guarantee_names_tests_that_exist() -> None:
    text = (ROOT / "docs" / "guarantees.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", text)
    assert len(named) >= 20
    for file, test in named:
        assert re.search(rf"def {test}\b", (ROOT / file).read_text(encoding="utf-8")), f"{file}::{test}"


def test_the_documented_fleet_file_has_only_legal_keys(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "fleet-file.md").read_text(encoding="utf-8").split("```toml\n")[1].split("```")[0]
    (tmp_path / "doc_agents.py").write_text("from callboard import Actor\nclass Triage(Actor): ...\n", encoding="utf-8")
    other = '\n[[actor]]\nuse = "doc_agents:Triage"\nname = "support"\n'
    file = tmp_path / "fleet.toml"
    file.write_text(text.replace("shop.agents", "doc_agents") + other, encoding="utf-8")
    assert load_fleet(file).actors[0].replicas == 2
