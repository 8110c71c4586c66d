"""Runs every dialog of tests/e2e/smtp and tests/e2e/pop3; dialogs with the same
configuration share one suite."""
import pathlib

import pytest

import talk
from suite import Suite

HERE = pathlib.Path(__file__).parent
FILES = sorted(p for d in ("smtp", "pop3") for p in (HERE / d).rglob("*.talk"))


class Suites:
    """The suite of the configuration at hand: one runs at a time, because
    dialogs come sorted by configuration."""

    def __init__(self):
        self.key = None
        self.suite = None

    def get(self, config):
        key = tuple(sorted(config.items()))
        if self.suite is None or key != self.key:
            self.close()
            self.suite = Suite(config)
            self.key = key
        return self.suite

    def close(self):
        if self.suite is not None:
            old, self.suite = self.suite, None
            old.stop()


@pytest.fixture(scope="module")
def suites():
    s = Suites()
    yield s
    s.close()


def load(path):
    try:
        return talk.Dialog(path)
    except (talk.DialogError, UnicodeDecodeError) as e:
        return e


def by_config(loaded):
    path, dialog = loaded
    config = getattr(dialog, "config", {})
    return sorted(config.items()), str(path)


DIALOGS = sorted(((p, load(p)) for p in FILES), key=by_config)


@pytest.mark.parametrize("dialog", [d for _, d in DIALOGS], ids=[
    str(p.relative_to(HERE)) for p, _ in DIALOGS])
def test_dialog(dialog, suites):
    if isinstance(dialog, Exception):
        pytest.fail(str(dialog), pytrace=False)
    protocol = dialog.path.relative_to(HERE).parts[0]
    suite = suites.get(dialog.config)
    try:
        talk.run(dialog, ("127.0.0.1", suite.ports[protocol]), protocol)
    except talk.DialogError as e:
        pytest.fail(str(e), pytrace=False)
