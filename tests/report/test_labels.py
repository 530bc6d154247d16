"""Labels cover nothing if there is free space."""

from hypothesis import given
from hypothesis import strategies as st

from z1.report import labels

FRAME = (0.0, 0.0, 400.0, 300.0)
SPOT = st.tuples(st.floats(0, 400), st.floats(0, 300))


@given(SPOT)
def test_a_single_label_is_inside_and_beside_its_anchor(anchor: labels.Spot) -> None:
    (left, bottom, right, top), covering = labels.place([anchor], (30, 10), [], FRAME, (5, 10))
    assert covering < 1e-9
    assert left >= -1e-6 and bottom >= -1e-6 and right <= 400 + 1e-6 and top <= 300 + 1e-6
    assert not (left < anchor[0] < right and bottom < anchor[1] < top)


def test_a_label_avoids_others_and_reports_the_overlap() -> None:
    right = (200.0, 0.0, 400.0, 300.0)
    box, covering = labels.place([(200, 150)], (30, 10), [right], FRAME, (5,))
    assert box[2] <= 200 and covering == 0
    assert labels.place([(200, 150)], (30, 10), [FRAME], FRAME, (5,))[1] == 1


@given(st.lists(SPOT, max_size=12))
def test_groups_keep_every_spot_in_order(spots: list[labels.Spot]) -> None:
    assert [index for group in labels.groups(spots, 13) for index in group] == list(range(len(spots)))


def test_spots_together_share_a_group() -> None:
    assert labels.groups([(0, 0), (50, 0), (55, 3), (60, 0), (90, 0)], 13) == [[0], [1, 2, 3], [4]]
    assert len(labels.line([(0, 0), (20, 0)])) == 5
