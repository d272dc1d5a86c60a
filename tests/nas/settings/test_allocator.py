"""Checks on memory that is kept: by the page faults of large blocks that come and go."""

import json
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, json, resource, sys
from concurrent.futures import ThreadPoolExecutor
from nas.settings.allocator import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]

def use(size):
    block = libc.malloc(size)
    assert block
    ctypes.memset(block, 1, size)
    libc.free(block)

if sys.argv[1] == "keep":
    assert keep_freed_memory()
size = 100 * 2**20
use(size)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    use(size)
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
with ThreadPoolExecutor(1) as thread:
    thread.submit(use, size).result()
print(json.dumps(faults))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc, which is left as it is")
def test_large_blocks_cost_page_faults_once():
    def faults(how):
        done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
        return json.loads(done.stdout)

    pages = 100 * 2**20 // 4096
    if faults("leave") < 3 * pages:
        pytest.skip("this system gives memory in huge pages, so that nothing is to be seen")
    assert faults("keep") < pages / 10
