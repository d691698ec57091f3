"""The map and the site's navigation leave nothing out, and the changelog is about this version."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import autopeft

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PACKAGE = Path(autopeft.__file__).parent


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def test_the_map_names_every_folder_and_module():
    folders = {f"{p.name}/" for p in PACKAGE.iterdir() if (p / "__init__.py").exists()}
    modules = {p.name for p in PACKAGE.glob("*.py") if not p.stem.startswith("__")}
    named = set(re.findall(r"`([a-z_]+(?:/|\.py))`", page("flow.md")))
    assert folders | modules <= named, (folders | modules) - named


def test_the_navigation_holds_every_page_once():
    class Loader(yaml.SafeLoader):
        """Reads past the tags that mkdocs knows."""

    Loader.add_multi_constructor("!", lambda loader, suffix, node: None)
    config = yaml.load((ROOT / ".mkdocs.yml").read_text(encoding="utf-8"), Loader)

    def pages(entry) -> list[str]:
        if isinstance(entry, str):
            return [entry]
        return [p for part in (entry.values() if isinstance(entry, dict) else entry) for p in pages(part)]

    assert sorted(pages(config["nav"])) == sorted(p.name for p in DOCS.glob("*.md"))


def test_the_reference_names_every_public_name():
    named = re.findall(r"^::: autopeft\.(?:.+\.)?(\w+)$", page("api.md"), re.MULTILINE)
    assert sorted(named) == sorted(autopeft.__all__)


def test_the_changelog_begins_with_this_version():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)[1]
    assert re.search(r"^## \[(.+?)\]", page("CHANGELOG.md"), re.MULTILINE)[1] == version
    assert (
        re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)[1] == version
    )


def test_the_command_line_says_the_version():
    done = subprocess.run([sys.executable, "-m", "autopeft", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-2:] == ["version", autopeft.__version__]


@pytest.mark.parametrize("recipe", ["A method that peft has", "A method of your own", "An objective", "A kind of task"])
def test_contributing_has_the_recipes(recipe):
    assert re.search(rf"^## {recipe}$", page("CONTRIBUTING.md"), re.MULTILINE)


def test_the_glossary_is_short():
    assert len(re.findall(r"^\| \*\*", page("glossary.md"), re.MULTILINE)) <= 20


def test_the_hooks_need_no_connection():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {repo["repo"] for repo in hooks["repos"]} == {"local"}
    assert {hook["language"] for repo in hooks["repos"] for hook in repo["hooks"]} == {"system"}
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for hook in hooks["repos"][0]["hooks"]:
        assert hook["entry"].removesuffix(" --force-exclude") in ci
