"""Where a task runs: whose word counts, which group tags find, and what can't be routed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kestrapy.errors import RoutingProblem
from kestrapy.language.expression import compile_template
from kestrapy.machine.routing import Route, route
from kestrapy.model.worker_group import Fallback, GroupSettings, WorkerGroupRef

Ref = WorkerGroupRef


class Group(NamedTuple):
    settings: GroupSettings
    workers: int = 1
    slots: int = 4
    waiting: int = 0


def declared(*groups: Group) -> dict[str, Group]:
    return {group.settings.key: group for group in groups}


def tagged(key: str, *tags: str, **state: Any) -> Group:
    drained = state.pop("drained", False)
    return Group(GroupSettings(key, tags=tags, drained=drained), **state)


FOUR = declared(*(Group(GroupSettings(key)) for key in ("default", "a", "b", "c")))


def routed(
    task: WorkerGroupRef | None = None,
    flow: WorkerGroupRef | None = None,
    groups: Mapping[str, Group] = FOUR,
    defaults: Mapping[str, WorkerGroupRef] | None = None,
    namespace: str = "company.team",
    **variables: Any,
) -> Route:
    def render(text: str) -> Any:
        return compile_template(text).render(variables)

    return route(task, flow, namespace, groups, (defaults or {}).get, render)


NAMESPACES = {"": Ref("a"), "company": Ref("b"), "company.team": Ref("c"), "company.te": Ref("no")}


@pytest.mark.parametrize(
    ("task", "flow", "defaults", "group", "reason"),
    [
        (None, None, {}, "default", "nobody names a group"),
        (None, None, {"": Ref("a")}, "a", "the tenant's default"),
        (None, None, {"": Ref("a"), "company": Ref("b")}, "b", "namespace company's default"),
        (None, None, NAMESPACES, "c", "namespace company.team's default"),
        (None, Ref("a"), NAMESPACES, "a", "the flow's workerGroup"),
        (Ref("b"), Ref("a"), NAMESPACES, "b", "the task's workerGroup"),
        (Ref(""), Ref("a"), NAMESPACES, "a", "the flow's workerGroup"),
        (Ref("{{ blank }}"), Ref("{{ nothing }}"), NAMESPACES, "c", "namespace company.team's d"),
        (Ref(" {{ named }}\n"), Ref("a"), {}, "b", "the task's workerGroup"),
        (Ref(tags=("{{ blank }}",)), Ref("a"), {}, "a", "the flow's workerGroup"),
    ],
)
def test_the_nearest_word_counts(
    task: Ref | None, flow: Ref | None, defaults: dict[str, Ref], group: str, reason: str
) -> None:
    found = routed(task, flow, defaults=defaults, blank="  ", nothing=None, named="b")
    assert found.group == group
    assert found.reason.startswith(reason)


def test_a_group_whose_declaration_is_not_seen_yet_still_has_the_default_one() -> None:
    assert routed(groups={}) == Route(
        "default", "default", Fallback(), 60_000, "nobody names a group"
    )


@pytest.mark.parametrize(
    ("said", "stated", "expected"),
    [
        (None, None, (Fallback("GROUP", "b"), 5_000)),
        (None, 7, (Fallback("GROUP", "b"), 7)),
        (Fallback("WAIT"), None, (Fallback("WAIT"), 5_000)),
        (Fallback("GROUP", "c"), None, (Fallback("GROUP", "c"), 5_000)),
        (Fallback("FAIL"), None, (Fallback("FAIL"), 0)),
        (Fallback("CANCEL"), None, (Fallback("CANCEL"), 0)),
        (Fallback("CANCEL"), 9, (Fallback("CANCEL"), 9)),
        (Fallback("GROUP", "a"), None, (Fallback("WAIT"), 5_000)),
    ],
)
def test_a_fallback_is_the_author_s_or_the_group_s(
    said: Fallback | None, stated: int | None, expected: tuple[Fallback, int]
) -> None:
    a = GroupSettings("a", fallback=Fallback("GROUP", "b"), fallback_after=5_000)
    found = routed(Ref("a", fallback=said, fallback_after=stated), groups=declared(Group(a)))
    assert (found.fallback, found.fallback_after) == expected


def test_lane_and_fallback_of_a_nearer_level_hold_for_the_group_of_a_farther_one() -> None:
    groups = declared(Group(GroupSettings("a", lanes={"fast": 3, "slow": 1}, fallback_after=8)))
    task, flow = Ref(lane="fast"), Ref("a", lane="slow", fallback=Fallback("FAIL"))
    found = routed(task, flow, groups)
    assert (found.group, found.lane) == ("a", "fast")
    assert (found.fallback, found.fallback_after) == (Fallback("FAIL"), 0)
    later = routed(Ref(fallback_after=3), flow, groups)
    assert (later.fallback, later.fallback_after) == (Fallback("FAIL"), 3)
    waits = routed(Ref(fallback=Fallback("WAIT")), flow, groups)
    assert (waits.fallback, waits.fallback_after) == (Fallback("WAIT"), 8), "not the flow's PT0S"


def test_what_a_farther_level_says_does_not_hold_for_the_group_of_a_nearer_one() -> None:
    groups = declared(Group(GroupSettings("a", lanes={"x": 1})), Group(GroupSettings("b")))
    found = routed(Ref("b"), Ref("a", lane="x", fallback=Fallback("FAIL")), groups)
    assert (found.group, found.lane, found.fallback) == ("b", "default", Fallback())


GPU = Ref(tags=("gpu",))


@pytest.mark.parametrize(
    ("groups", "group", "why"),
    [
        ([tagged("big", "gpu"), tagged("other", "x")], "big", "match big"),
        (
            [tagged("small", "gpu", waiting=4), tagged("big", "gpu", slots=8, waiting=7)],
            "big",
            "match big, small; big has fewer waiting per slot",
        ),
        (
            [tagged("a", "gpu", workers=0, slots=0), tagged("b", "gpu", waiting=99)],
            "b",
            "match a, b; only b has live workers",
        ),
        (
            [tagged("a", "gpu", drained=True), tagged("b", "gpu", waiting=99)],
            "b",
            "match a, b; only b has live workers",
        ),
        (
            [tagged("b", "gpu", workers=0, slots=0), tagged("a", "gpu", workers=0, slots=0)],
            "a",
            "match a, b; a is the first by name",
        ),
        (
            # 2⁵³ + 1 and 2⁵³ are the same float.
            [
                tagged("a", "gpu", slots=1, waiting=2**53 + 1),
                tagged("b", "gpu", slots=1, waiting=2**53),
            ],
            "b",
            "b has fewer waiting per slot",
        ),
        (
            [tagged("a", "gpu", slots=3, waiting=1), tagged("b", "gpu", slots=6, waiting=2)],
            "a",
            "match a, b; a is the first by name",
        ),
    ],
)
def test_tags_find_the_live_one_that_is_least_busy(
    groups: list[Group], group: str, why: str
) -> None:
    found = routed(GPU, groups=declared(*groups))
    assert found.group == group
    assert found.reason.startswith("the task's workerSelector: tags [gpu] match ")
    assert why in found.reason


def test_all_and_any() -> None:
    groups = declared(tagged("a", "gpu"), tagged("b", "gpu", "eu", waiting=5))
    tags = ("gpu", "eu")
    assert routed(Ref(tags=tags), groups=groups).group == "b"
    assert routed(Ref(tags=tags, match="ANY"), groups=groups).group == "a"
    assert routed(Ref(tags=("gpu", "{{ z }}")), groups=groups, z="eu").group == "b"
    assert routed(Ref(tags=("{{ z }}",)), groups=groups, z=["gpu", "eu", "gpu"]).reason.startswith(
        "the task's workerSelector: tags [gpu, eu] match b"
    )
    assert routed(Ref(tags=("gpu", "{{ z }}")), groups=groups, z="").group == "a"


def test_tags_pass_over_groups_that_the_namespace_may_not_use_or_that_lack_the_lane() -> None:
    closed = Group(GroupSettings("a", tags=("gpu",), namespaces=("other",), lanes={"fast": 1}))
    plain = tagged("b", "gpu")
    laned = Group(GroupSettings("c", tags=("gpu",), lanes={"fast": 1}), waiting=50)
    groups = declared(closed, plain, laned)
    assert routed(GPU, groups=groups).group == "b"
    assert routed(Ref(tags=("gpu",), lane="fast"), groups=groups).group == "c"


def test_each_declared_group_is_listed_once() -> None:
    with pytest.raises(RoutingProblem, match=r"\(declared: a, b, c, default\)"):
        routed(Ref("elsewhere"))


@pytest.mark.parametrize(
    ("ref", "problem"),
    [
        (
            Ref("bb"),
            "the task's workerGroup: unknown worker group `bb`; did you mean `b`? (declared",
        ),
        (Ref("{{ inputs.g }}"), "the task's workerGroup: unknown worker group `gone`"),
        (Ref("{{ inputs.h }}"), "the task's workerGroup can't be rendered: Unable to find `h`"),
        (
            Ref("{{ inputs }}"),
            "the task's workerGroup: '{{ inputs }}' gives {'g': 'gone'}, expected",
        ),
        (Ref("b", lane="fast"), "the worker group `b` has no lane 'fast' (it has: default)"),
        (
            Ref("shut"),
            "the worker group `shut` is not for the namespace `company.team` (it is for: o",
        ),
        (Ref(tags=("o",)), "the worker group `shut` is not for the namespace"),
        (
            Ref(tags=("gpu", "us")),
            "no worker group has all of the tags [gpu, us] (tags of declared",
        ),
        (Ref(tags=("us",), match="ANY"), "no worker group has any of the tags [us]"),
        (Ref(tags=("gpu",), lane="x"), "the worker group `b` has no lane 'x'"),
    ],
)
def test_what_can_not_be_routed_says_who_asked_for_what(ref: Ref, problem: str) -> None:
    shut = Group(GroupSettings("shut", tags=("o",), namespaces=("other", "company.te")))
    with pytest.raises(RoutingProblem) as caught:
        routed(ref, groups=declared(tagged("b", "gpu"), shut), inputs={"g": "gone"})
    assert problem in str(caught.value)
    assert str(caught.value).startswith("the task's worker")


@given(
    st.lists(st.tuples(st.sampled_from("abcdef"), *[st.integers(0, 9)] * 3), max_size=6),
    st.randoms(),
)
def test_the_order_in_which_groups_are_known_does_not_matter(
    drawn: list[tuple[str, int, int, int]], random: Any
) -> None:
    groups = declared(*(Group(GroupSettings(k, tags=("gpu",)), *state) for k, *state in drawn))
    shuffled = list(groups)
    random.shuffle(shuffled)
    groups["z"] = tagged("z", "gpu", waiting=3)
    assert routed(GPU, groups=groups) == routed(
        GPU, groups={"z": groups["z"], **{key: groups[key] for key in shuffled}}
    )
