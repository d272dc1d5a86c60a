"""Candidates that take their worker along, and nodes that vanish: the search goes on, and learns from neither."""

import psutil
import pytest
import torch
from processes import read_log, start_search, wait_for_success
from ray.cluster_utils import Cluster

pytestmark = pytest.mark.drill

RAY = ("--executor", "ray", "--workers", 2)
EVERYWHERE = {
    "raises": "RuntimeError: the cell is bad",
    "limited memory": "RuntimeError: ",  # of PyTorch's allocator
    "python memory": "MemoryError: ",
    "nan reward": "ValueError: trial #",
    "nan metric": "ValueError: trial #",
}
UNDER_RAY = EVERYWHERE | {
    "killed": "crash: the worker died; ActorDiedError",
    "segfault": "crash: the worker died; ActorDiedError",
    "exits": "crash: the worker died; ActorDiedError",
    "hangs": "timeout: no result after 15 s",
}


def outcome(run):
    """Read what must be equal where trials failed, whatever it was that made them fail."""
    trials = [(t["number"], t["genotype"], t["status"], t["reward"], t["repeat_of"]) for t in read_log(run)]
    weights = torch.load(run / "controller.pt", weights_only=True)
    return trials, {name: tensor.tolist() for name, tensor in weights.items()}


@pytest.mark.parametrize(("reasons", "flags"), [(EVERYWHERE, ()), (UNDER_RAY, (*RAY, "--timeout", 15))])
def test_a_fault_fails_its_trial_alone(tmp_path, tell, reasons, flags):
    faults = {str(3 + 5 * place): fault for place, fault in enumerate(reasons)}
    wait_for_success(start_search(tmp_path / "plain", trials=60, faults=dict.fromkeys(faults, "raises")))
    wait_for_success(start_search(tmp_path / "faults", *flags, trials=60, faults=faults))
    trials = read_log(tmp_path / "faults")
    for number, fault in faults.items():
        assert trials[int(number)]["error"].startswith(reasons[fault]), (fault, trials[int(number)]["error"])
    assert sum(trial["status"] == "failed" and trial["repeat_of"] is None for trial in trials) == len(faults)
    assert outcome(tmp_path / "faults") == outcome(tmp_path / "plain")
    tell("faults " + ("under Ray" if flags else "in process"), len(faults))


def test_a_candidate_without_bounds_is_stopped_before_the_machine_is_full(tmp_path, tell, monkeypatch):
    memory = psutil.virtual_memory()
    allowed = memory.total - memory.available + 3 * 2**30
    if allowed > 0.9 * memory.total:
        pytest.skip("3 GiB of free memory are needed, and some more")
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{allowed / memory.total:.3f}")
    wait_for_success(start_search(tmp_path / "plain", trials=30, faults={"5": "raises"}))
    wait_for_success(start_search(tmp_path / "greedy", *RAY, trials=30, faults={"5": "all memory"}))
    assert read_log(tmp_path / "greedy")[5]["error"].startswith("crash: the worker died; OutOfMemoryError")
    assert outcome(tmp_path / "greedy") == outcome(tmp_path / "plain")
    tell("memory without bound under Ray", 1)


def test_nodes_that_vanish_cost_no_trial(tmp_path, tell):
    wait_for_success(start_search(tmp_path / "plain", trials=60))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
        flags = [*RAY, "--address", cluster.address]
        process = start_search(tmp_path / "cluster", *flags, trials=60, pause=0.5)
        for trial in ("#8", "#20", "#32"):
            for line in process.stderr:
                if trial in line:
                    break
            cluster.remove_node(nodes.pop(0), allow_graceful=False)
            nodes.append(cluster.add_node(num_cpus=1))
        said = wait_for_success(process)
    finally:
        cluster.shutdown()
    assert outcome(tmp_path / "cluster") == outcome(tmp_path / "plain"), said
    tell("nodes removed", 3)
