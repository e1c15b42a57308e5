"""Decisions partition by partition equal one naive walk over all documents."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipelines.dedup.decisions import Edge, Fate, Member, decide

PARTITIONS = 3
CONTENTS = [bytes([i]) * 16 for i in range(7)]

MEMBERS = st.lists(
    st.tuples(st.integers(0, PARTITIONS - 1), st.sampled_from(CONTENTS), st.integers(0, 3)), max_size=25, unique=True
).map(lambda rows: [Member(order, content, bytes([number]) * 15 + content[:1]) for order, content, number in rows])
LIKE = st.sets(st.tuples(st.sampled_from(CONTENTS), st.sampled_from(CONTENTS)).filter(lambda pair: pair[0] < pair[1]))


def similarity(one: bytes, other: bytes) -> float:
    return 1.0 if one == other else 0.8 + (one[0] + other[0]) / 1000


def band(one: bytes, other: bytes) -> int:
    return (one[0] * other[0]) % 5


def naive(members: list[Member], like: set[tuple[bytes, bytes]]) -> dict[Member, Fate]:
    """Every document against every kept one; no groups, no representatives."""
    kept: list[Member] = []
    fates = {}
    for member in sorted(members):
        one = member.content_hash
        for other in kept:
            two = other.content_hash
            if one == two or (min(one, two), max(one, two)) in like:
                level = "exact" if one == two else "near"
                number = None if one == two else band(one, two)
                fates[member] = Fate(other.order, other.document_id, similarity(one, two), level, number)
                break
        else:
            kept.append(member)
    return fates


def edges_of(order: int, members: list[Member], like: set[tuple[bytes, bytes]]) -> list[Edge]:
    first: dict[bytes, Member] = {}
    for member in sorted(members):
        if member.order <= order:
            first.setdefault(member.content_hash, member)
    ranked = sorted(first.values())
    return [
        Edge(
            low.document_id,
            high.order,
            high.document_id,
            similarity(low.content_hash, high.content_hash),
            band(low.content_hash, high.content_hash),
        )
        for place, low in enumerate(ranked)
        for high in ranked[:place]
        if low.order == order
        and (min(low.content_hash, high.content_hash), max(low.content_hash, high.content_hash)) in like
    ]


def in_partition_order(members: list[Member], like: set[tuple[bytes, bytes]], *, exact: bool) -> dict[Member, Fate]:
    fates: dict[Member, Fate] = {}
    for order in range(PARTITIONS):
        own = [member for member in members if member.order == order]
        earlier = {member: fates.get(member) for member in members if member.order < order}
        fates |= decide(own, edges_of(order, members, like), earlier, exact=exact)
    return fates


@given(MEMBERS, LIKE)
def test_equal_to_a_naive_walk_over_all_documents(members: list[Member], like: set[tuple[bytes, bytes]]) -> None:
    assert in_partition_order(members, like, exact=True) == naive(members, like)


@given(MEMBERS, LIKE)
def test_without_the_exact_level_the_same_documents_go(members: list[Member], like: set[tuple[bytes, bytes]]) -> None:
    with_level = in_partition_order(members, like, exact=True)
    without = in_partition_order(members, like, exact=False)
    assert without == {
        member: fate._replace(level="near", band=0) if fate.level == "exact" else fate
        for member, fate in with_level.items()
    }


@given(MEMBERS, LIKE)
def test_keepers_stay_and_no_similar_pair_is_kept(members: list[Member], like: set[tuple[bytes, bytes]]) -> None:
    fates = in_partition_order(members, like, exact=True)
    stay = [member for member in members if member not in fates]
    staying = {(member.order, member.document_id) for member in stay}
    assert all((fate.kept_order, fate.kept_id) in staying for fate in fates.values())
    contents = [member.content_hash for member in stay]
    assert len(set(contents)) == len(contents)
    assert not any((one, other) in like for one in contents for other in contents)


def test_a_copy_of_a_removed_document_follows_it() -> None:
    keeper, gone = Member(0, b"a" * 16, b"1" * 16), Member(0, b"b" * 16, b"2" * 16)
    copies = [Member(1, b"b" * 16, b"3" * 16), Member(1, b"b" * 16, b"4" * 16)]
    fate = Fate(0, keeper.document_id, 0.9, "near", 2)
    assert decide(copies, [], {keeper: None, gone: fate}, exact=True) == dict.fromkeys(copies, fate)


def test_nothing_to_decide() -> None:
    assert decide([], [], {Member(0, b"a" * 16, b"1" * 16): None}, exact=True) == {}
