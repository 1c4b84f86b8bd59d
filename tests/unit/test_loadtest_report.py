"""The figures of a load test, for programs and for people."""

from loadtest.account import Account
from loadtest.report import document, table


def _figures(jobs: int):
    account = Account(jobs)
    for number in range(jobs):
        account.take()
        account.accepted(str(number), posted_at=0.0, at=0.25)
        account.noticed(str(number), event_id=str(number), completed=True, at=2.0)
    return account.figures()


def test_the_document_has_counts_and_percentiles_with_units_in_their_names():
    """What `make burst` prints as its last line."""
    figures = document(_figures(4), wall_s=2.0, load_average=1.234)
    assert figures["clean"] is True
    assert (figures["jobs_posted"], figures["accepted"], figures["lost"]) == (4, 4, 0)
    assert (figures["accept_p50_s"], figures["notice_max_s"]) == (0.25, 2.0)
    assert figures["jobs_per_s"] == 2.0
    assert figures["load_average_1min"] == 1.23


def test_a_run_that_measured_nothing_has_nulls_and_a_table():
    """Every job refused: no percentile is made up."""
    account = Account(1)
    account.take()
    account.refused("no")
    figures = document(account.figures(), wall_s=1.0, load_average=0)
    assert figures["accept_p50_s"] is None
    assert "refused            1" in table(figures)
    assert "-" in table(figures)
