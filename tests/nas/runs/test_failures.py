from nas.runs.failures import FailureGuard
from nas.runs.trial import Trial
from nas.settings.errors import RunError


def trial(error):
    if error is None:
        return Trial(number=0, status="finished", reward=0.5)
    return Trial(number=0, status="failed", error=error)


def observe(errors):
    guard = FailureGuard()
    for count, error in enumerate(errors, 1):
        try:
            guard.observe(trial(error))
        except RunError as stop:
            return count, str(stop)
    return None


def test_five_first_trials_with_one_error_are_a_bug():
    assert observe(["oom"] * 4 + [None]) is None
    count, message = observe(["oom"] * 5)
    assert count == 5
    assert "oom" in message


def test_five_first_trials_with_different_errors_are_not():
    assert observe(["oom", "nan", "oom", "nan", "oom"]) is None


def test_eleven_failures_among_the_last_twenty_stop_the_search_with_a_summary():
    errors = [None] * 20 + ["nan"] * 6 + ["oom"] * 4
    assert observe(errors) is None  # ten of the last twenty
    count, message = observe([*errors, "nan"])
    assert count == 31
    assert "7 x nan" in message
    assert "4 x oom" in message


def test_ten_failures_among_the_last_twenty_do_not():
    assert observe([None, "nan"] * 40) is None
