"""The contract of ``ports.log``, over every adapter: members that step aside."""

from __future__ import annotations

from kestrapy.ports.log import Member, Partition
from tests.contract.log_bench import Bench, Listener, gather, poll_until, values


def shared(bench: Bench, *listeners: Listener) -> tuple[str, str, str, list[Member]]:
    """Static members that share the four partitions of a topic. -> topic, group, aside, members."""
    topic, aside, group = bench.topic(4), bench.topic(2), bench.name()
    members = [bench.member(group, topic, it, it.name, aside) for it in listeners]
    share = 4 // len(members)
    poll_until(members, lambda: all(len(it.assignment()) == share for it in members))
    return topic, group, aside, members


def test_who_steps_aside_gives_its_partitions_to_the_others_and_comes_back(bench: Bench) -> None:
    leaves, stays = Listener("leaves"), Listener("stays")
    _, _, _, [one, other] = shared(bench, leaves, stays)
    given = sorted(partition.index for partition in one.assignment())
    one.step_aside()
    poll_until([one, other], lambda: one.is_aside() and len(other.assignment()) == 4)
    assert [it for it in leaves.told if it[2]][-1] == ("leaves", "revoked", given)
    assert one.assignment() == []
    one.step_in()
    assert not one.is_aside()
    poll_until([one, other], lambda: len(one.assignment()) == len(other.assignment()) == 2)
    assert "lost" not in {what for _, what, _ in leaves.told + stays.told}


def test_commits_are_accepted_while_stepping_aside(bench: Bench) -> None:
    listener = Listener("a")
    topic, group, aside, [one] = shared(bench, listener)
    bench.append(topic, b"seen", b"new")
    gather(one, 2)
    listener.when_revoked = lambda gone: one.commit({Partition(topic, 0): 1})
    one.step_aside()
    poll_until([one], one.is_aside)
    other = bench.member(group, topic, Listener(), "b", aside)
    records = poll_until([one, other], lambda: len(other.assignment()) == 4)
    assert values(records or gather(other, 1)) == [b"new"]


def test_nothing_is_given_to_a_member_aside_and_all_of_it_when_it_is_back(bench: Bench) -> None:
    topic, _, aside, [only] = shared(bench, Listener("a"))
    only.step_aside()
    poll_until([only], only.is_aside)
    bench.append(topic, b"0")
    bench.append(aside, b"not for the group")
    assert only.poll(10, 0.5) == []
    only.step_in()
    assert values(gather(only, 1)) == [b"0"]


def test_a_static_member_that_is_closed_aside_leaves_nothing_standing_still(bench: Bench) -> None:
    topic, _, _, [one, other] = shared(bench, Listener("a"), Listener("b"))
    one.step_aside()
    poll_until([one, other], one.is_aside)
    one.close()
    poll_until([other], lambda: len(other.assignment()) == 4)
    bench.append(topic, b"0", partition=0)
    bench.append(topic, b"3", partition=3)
    assert {it.value for it in gather(other, 2)} == {b"0", b"3"}


def test_who_was_closed_aside_takes_its_share_when_it_is_started_again(bench: Bench) -> None:
    topic, group, aside, [one, other] = shared(bench, Listener("a"), Listener("b"))
    one.step_aside()
    poll_until([one, other], lambda: one.is_aside() and len(other.assignment()) == 4)
    one.close()
    again = bench.member(group, topic, Listener(), "a", aside)
    poll_until([again, other], lambda: len(again.assignment()) == len(other.assignment()) == 2)


def test_stepping_in_while_stepping_aside_is_under_way(bench: Bench) -> None:
    _, _, _, members = shared(bench, Listener("a"), Listener("b"))
    members[0].step_aside()
    members[0].poll(1, 0)
    members[0].step_in()
    poll_until(members, lambda: all(len(it.assignment()) == 2 for it in members))
