"""The books of a load test: what is lost, failed, duplicated, and what is not."""

from loadtest.account import Account, percentile


def _accepted(*uids: str) -> Account:
    account = Account(len(uids))
    for uid in uids:
        account.take()
        account.accepted(uid, posted_at=10.0, at=10.5)
    return account


def _notice(account: Account, uid: str, *, completed: bool = True, at: float = 12.0) -> None:
    outcome = "succeeded" if completed else "failed"
    account.noticed(uid, event_id=f"{uid}:{outcome}", completed=completed, at=at)


def test_a_run_with_a_notice_for_every_job_is_clean():
    """Every accepted job completed: settled, nothing lost."""
    account = _accepted("a", "b")
    _notice(account, "a")
    _notice(account, "b")
    figures = account.figures()
    assert account.is_settled
    assert figures.is_clean
    assert (figures.accepted, figures.completed, figures.lost) == (2, 2, 0)


def test_an_accepted_job_without_a_notice_is_lost():
    """The run is not settled, and if it ends here the job counts as lost."""
    account = _accepted("a", "b")
    _notice(account, "a")
    figures = account.figures()
    assert not account.is_settled
    assert figures.lost == 1
    assert not figures.is_clean


def test_a_failed_notice_is_accounted_for_but_not_clean():
    """The job is not lost: we know what became of it."""
    account = _accepted("a")
    _notice(account, "a", completed=False)
    figures = account.figures()
    assert account.is_settled
    assert (figures.completed, figures.failed, figures.lost) == (0, 1, 0)
    assert not figures.is_clean


def test_a_notice_that_comes_twice_is_a_duplicate_and_still_clean():
    """Notices are sent at least once; a copy completes nothing a second time."""
    account = _accepted("a")
    for _ in range(3):
        _notice(account, "a")
    figures = account.figures()
    assert (figures.completed, figures.duplicates) == (1, 2)
    assert figures.is_clean


def test_two_different_outcomes_of_one_job_are_a_contradiction():
    """The terminal state is written once, so this is a fault of the system."""
    account = _accepted("a")
    _notice(account, "a")
    _notice(account, "a", completed=False)
    figures = account.figures()
    assert figures.contradictions == 1
    assert not figures.is_clean


def test_a_notice_may_overtake_the_answer_that_accepts_its_job():
    """Entered first, it counts for the job and not as somebody else's."""
    account = Account(1)
    account.take()
    _notice(account, "a", at=10.2)
    assert not account.is_settled
    account.accepted("a", posted_at=10.0, at=10.5)
    assert account.is_settled
    assert account.figures().foreign == 0


def test_a_notice_of_somebody_else_changes_nothing():
    """Another run's job in the same queue is counted apart."""
    account = _accepted("a")
    _notice(account, "other", completed=False)
    figures = account.figures()
    assert (figures.foreign, figures.failed, figures.lost) == (1, 0, 1)
    assert account.notice_s("other") is None


def test_a_refused_job_is_answered_and_not_clean():
    """The run can end, but not as a success."""
    account = Account(1)
    account.take()
    account.refused("too many jobs")
    assert account.is_settled
    assert not account.figures().is_clean


def test_two_answers_with_the_same_uid_leave_one_job_lost():
    """Two requests that became one job: the second client would wait for ever."""
    account = _accepted("a", "a")
    _notice(account, "a")
    assert account.figures().lost == 1


def test_a_run_is_not_settled_before_every_job_was_posted():
    """Neither at the start nor while an answer is outstanding."""
    account = Account(2)
    assert not account.is_settled
    account.take()
    account.take()
    account.accepted("a", posted_at=0, at=1)
    _notice(account, "a")
    assert not account.is_settled


def test_exactly_as_many_jobs_are_handed_out_as_were_asked_for():
    """Users that come later get None."""
    account = Account(3)
    assert [account.take() for _ in range(5)] == [0, 1, 2, None, None]
    assert account.posted == 3


def test_the_time_to_notice_is_counted_from_the_post_to_the_first_copy():
    """Later copies do not make it longer."""
    account = _accepted("a")
    _notice(account, "a", at=12.0)
    _notice(account, "a", at=99.0)
    assert account.notice_s("a") == 2.0
    assert account.figures().notice_s == (2.0,)
    assert account.figures().accept_s == (0.5,)


def test_percentiles_are_values_that_were_measured():
    """Nearest rank, without interpolation; none of nothing."""
    values = [float(n) for n in range(1, 101)]
    assert percentile(values, 0.5) == 50
    assert percentile(values, 0.95) == 95
    assert percentile(values, 1) == 100
    assert percentile([3.0], 0.5) == 3.0
    assert percentile([], 0.5) is None
