"""What all tests that run daemons share: the suite's module on the path, a
suite for tests that need nothing special, a time limit for each test."""
import pathlib
import signal
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "e2e"))

import suite as suite_module  # noqa: E402

TEST_SECONDS = 180


def pytest_configure(config):
    config.addinivalue_line("markers", "seconds(n): a time limit of its own")


@pytest.fixture(autouse=True)
def time_limit(request):
    """No test may hang: SIGALRM raises where it waits."""
    mark = request.node.get_closest_marker("seconds")
    seconds = mark.args[0] if mark else TEST_SECONDS

    def late(_signal, _frame):
        raise TimeoutError(f"the test took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def shared(request):
    """One running suite for a whole module, default configuration."""
    with suite_module.Suite() as s:
        yield s


needs_root = pytest.mark.skipif(not suite_module.is_root(),
                                reason="needs root")
