"""What is installed, against the list of known holes."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

pytestmark = pytest.mark.drill


def test_no_dependency_has_a_known_hole(tell):
    if find_spec("pip_audit") is None:
        pytest.skip("pip-audit is not installed: pip install pip-audit")
    command = [sys.executable, "-m", "pip_audit", "--local", "--skip-editable", "--format", "json", "--timeout", "10"]
    done = subprocess.run([*command, "--progress-spinner", "off"], capture_output=True, text=True, timeout=300)
    if not done.stdout.startswith("{"):
        pytest.skip(f"the list cannot be reached: {done.stderr.strip().splitlines()[-1:]}")
    listed = json.loads(done.stdout)["dependencies"]
    audited = [each for each in listed if "skip_reason" not in each]
    if len(audited) < len(listed) / 2:  # without the list, pip-audit skips every package and reports success
        pytest.skip(f"{len(listed) - len(audited)} of {len(listed)} packages are not in the list that can be reached")
    found = {each["name"]: [hole["id"] for hole in each["vulns"]] for each in audited if each["vulns"]}
    assert found == {}
    tell("installed packages", len(audited))
