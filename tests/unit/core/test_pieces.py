from sluice.core.pieces import cut


def test_pieces_stay_within_their_limits_and_what_fits_into_none_is_one_by_itself() -> None:
    items = ["ab", "cd", "ef"]
    assert list(cut(items, len, max_size=20, max_items=2)) == [["ab", "cd"], ["ef"]]
    assert list(cut(items, len, max_size=4)) == [["ab", "cd"], ["ef"]]
    assert list(cut(items, len, max_size=1)) == [["ab"], ["cd"], ["ef"]]
    assert list(cut([], len, max_size=1)) == []
