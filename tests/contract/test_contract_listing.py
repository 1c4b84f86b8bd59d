"""Listing a tenant's jobs: newest first, page by page."""

import base64
import json
from datetime import timedelta

import pytest

from records.dynamo import encode_cursor


def listed(world, tenant="default", **more):
    """One page of a tenant's jobs: their uids, and where to go on."""
    page = world.table.query("by-tenant", tenant, newest_first=True, **more)
    return [item["uid"] for item in page.items], page.cursor


def several(world, count, **changed):
    """Jobs that were accepted a second apart; their uids, newest first."""
    base = world.job()
    moments = [base.created_at + timedelta(seconds=number) for number in range(count)]
    return [world.queued(created_at=moment, **changed).uid for moment in moments][::-1]


def test_the_newest_job_comes_first(world):
    """A tenant sees what it posted last."""
    newest_first = several(world, 4)
    assert listed(world) == (newest_first, None)


def test_pages_follow_each_other_without_gap_or_repeat(world):
    """Cursors lead through all jobs, also when new ones come meanwhile."""
    expected = several(world, 5)
    seen, cursor = listed(world, limit=2)
    later = world.queued(created_at=world.job().created_at + timedelta(hours=1))
    while cursor is not None:
        page, cursor = listed(world, limit=2, cursor=cursor)
        assert len(page) <= 2
        seen += page
    assert seen == expected
    assert listed(world, limit=1)[0] == [later.uid]


def test_jobs_of_the_same_millisecond_are_paged_through_too(world):
    """The place in the list is time and key together."""
    uids = {world.queued().uid for _ in range(5)}
    seen, cursor = [], None
    while True:
        page, cursor = listed(world, limit=2, cursor=cursor)
        seen += page
        if cursor is None:
            break
    assert len(seen) == 5
    assert set(seen) == uids


def test_each_tenant_sees_its_own_jobs_only(world):
    """A listing has one partition, and that is the tenant."""
    mine, theirs = several(world, 2), several(world, 2, tenant="acme")
    assert listed(world)[0] == mine
    assert listed(world, "acme")[0] == theirs
    assert listed(world, "nobody") == ([], None)


def test_labels_are_never_listed(world):
    """The items that hold clients' ids lie in the same table, but in no index."""
    uids = several(world, 1, id="order-7")
    assert world.table.get("id#default#v1#order-7") is not None
    assert listed(world)[0] == uids
    for index in ("due", "unpublished", "unannounced"):
        assert all(item["pk"].startswith("job#") for item in world.table.query(index, "1").items)


def test_a_cursor_of_another_tenant_is_refused(world):
    """It must not be a way into somebody else's list."""
    several(world, 3, tenant="acme")
    _, cursor = listed(world, "acme", limit=1)
    with pytest.raises(ValueError, match="another list"):
        listed(world, cursor=cursor)


KEY = {"pk": "job#a", "tenant": "default", "created_at": 5}
GARBAGE = {
    "empty": "",
    "no base64": "not-a-cursor",
    "no ascii": "é",
    "no text": base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    "no json": base64.urlsafe_b64encode(b"{").decode(),
    "no object": encode_cursor([]),
    "a name too few": encode_cursor({"pk": "job#a", "tenant": "default"}),
    "a name too many": encode_cursor({**KEY, "status": "queued"}),
    "a key that is no string": encode_cursor({**KEY, "pk": 5}),
    "a key that is a document": encode_cursor({**KEY, "pk": {"a": []}}),
    "an empty key": encode_cursor({**KEY, "pk": ""}),
    "a key that is too long": encode_cursor({**KEY, "pk": "job#" + "x" * 3000}),
    "a time that is no number": encode_cursor({**KEY, "created_at": "5"}),
    "a time that is a truth": encode_cursor({**KEY, "created_at": True}),
    "a time beyond all numbers": encode_cursor({**KEY, "created_at": 10**60}),
    "nested too deep": base64.urlsafe_b64encode(b"[" * 20_000).decode(),
    "a key with half a character": base64.urlsafe_b64encode(
        json.dumps({**KEY, "pk": "job#\ud800"}).encode()
    ).decode(),
}


def test_a_cursor_that_is_none_is_refused(world):
    """Whatever a client makes up is its own fault, not an outage of ours."""
    several(world, 2)
    for what, cursor in GARBAGE.items():
        try:
            listed(world, cursor=cursor)
        except ValueError:
            continue
        pytest.fail(f"taken for a cursor: {what}")


def test_a_cursor_leads_on_from_a_job_that_has_left_the_list(world):
    """Its place counts, not the job that stood there: records expire."""
    expected = several(world, 3)
    place = {"pk": "job#gone", "tenant": "default", "created_at": world.now + 1500}
    assert listed(world, cursor=encode_cursor(place))[0] == expected[1:]
