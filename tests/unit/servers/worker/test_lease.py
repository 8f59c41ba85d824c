"""The lease: counted from sending, and never revived."""

from __future__ import annotations

from kestrapy.servers.worker.lease import Lease


def test_it_counts_from_when_the_acked_heartbeat_was_sent() -> None:
    lease = Lease(25)
    assert not lease.is_held(0)
    assert not lease.is_over(0)
    assert lease.renew(sent=10, now=14)
    assert lease.is_held(34)
    assert not lease.is_held(35)
    assert lease.is_over(35)


def test_a_lease_that_is_over_stays_over() -> None:
    lease = Lease(25)
    lease.renew(sent=0, now=1)
    assert not lease.renew(sent=20, now=25)
    assert lease.is_over(25)


def test_an_ack_that_comes_later_than_the_lease_lasts_gives_none() -> None:
    lease = Lease(25)
    assert not lease.renew(sent=0, now=25)
    assert not lease.is_held(25)


def test_acks_out_of_order_do_not_shorten_it() -> None:
    lease = Lease(25)
    lease.renew(sent=10, now=12)
    assert not lease.renew(sent=5, now=13)
    assert lease.until == 35
