"""A version is told in one place; what repeats it for people and catalogues agrees."""

import re
from pathlib import Path

import yaml

import dyncell

ROOT = Path(__file__).parents[2]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
CHANGES = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", CHANGES, flags=re.M)


def test_the_citation_is_of_the_version_that_is_installed():
    assert CITATION["version"] == dyncell.__version__


def test_the_newest_changes_are_those_of_this_version_and_day():
    assert HEADINGS[0] == (dyncell.__version__, CITATION["date-released"])


def test_versions_stand_the_newest_first():
    versions = [tuple(map(int, version.split("."))) for version, _ in HEADINGS]
    assert versions == sorted(versions, reverse=True)
    assert len(set(versions)) == len(versions) >= 2
