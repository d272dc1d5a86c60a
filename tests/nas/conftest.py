import pytest


@pytest.fixture(scope="module")
def ray_session():
    """One private Ray for the quick tests of a file: it takes seconds to start. Executors leave it running.

    Its 8 CPUs are bookkeeping, so that executors of several tests fit in at once.
    """
    from nas.workers.ray_cluster import connect, ray

    connect("local", cpus=8)
    yield ray
    ray.shutdown()
