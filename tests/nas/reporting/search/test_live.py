from nas.reporting.search.live import PAUSE, LiveReport


def test_a_report_is_written_after_a_pause_and_takes_a_twentieth_of_the_time_at_most():
    now, written = [0.0], []

    def write():
        written.append(now[0])
        now[0] += 2.0 if len(written) > 1 else 0.1

    live = LiveReport(write, clock=lambda: now[0])
    for second in range(200):
        now[0] = max(now[0], float(second))
        live.update()
    first, second, third, *_ = written
    assert first == PAUSE == 30
    assert second == 61.0  # 30 s after 30.1
    assert third == 103.0  # 40 s after 63
