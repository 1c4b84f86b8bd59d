"""What the load test reads from its queue."""

import json

from jobs.notice import Notice
from loadtest.notices import decoded

NOTICE = Notice(
    runtime="demo",
    id="mine",
    result=True,
    status="completed",
    image_url=[],
    output_url=None,
    context={},
    job={"uid": "u", "event_id": "u:succeeded"},
)


def test_a_notice_is_read_raw_and_in_the_envelope_of_sns():
    """Subscriptions differ in whether they deliver raw."""
    envelope = json.dumps({"Type": "Notification", "Message": NOTICE.encode()})
    assert [*decoded([NOTICE.encode(), envelope])] == [NOTICE, NOTICE]


def test_what_is_not_a_notice_is_passed_over():
    """A stray message does not end the run."""
    strays = ["", "hello", "[]", "{}", '{"Type": "Notification", "Message": "hello"}']
    assert [*decoded([*strays, NOTICE.encode()])] == [NOTICE]
