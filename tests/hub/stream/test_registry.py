"""What is open is known, and ends when its right is gone."""

import pytest

from hub.stream.registry import OpenStream, StreamRegistry


def test_a_stream_is_known_while_it_is_held_also_when_it_fails() -> None:
    registry = StreamRegistry()
    stream = OpenStream(lambda: True, lambda: None)
    with registry.hold(stream), registry.hold(OpenStream(lambda: True, lambda: None)):
        assert len(registry) == 2
    with pytest.raises(LookupError), registry.hold(stream):
        raise LookupError
    assert len(registry) == 0


def test_sec23_only_what_is_no_longer_allowed_is_cut() -> None:
    registry = StreamRegistry()
    cut: list[str] = []
    rights = {"a": True, "b": True}
    with (
        registry.hold(OpenStream(lambda: rights["a"], lambda: cut.append("a"))),
        registry.hold(OpenStream(lambda: rights["b"], lambda: cut.append("b"))),
    ):
        assert registry.cut_revoked() == 0
        rights["b"] = False
        assert registry.cut_revoked() == 1
    assert cut == ["b"]


def test_a_stream_that_ends_while_it_is_cut_disturbs_nobody() -> None:
    registry = StreamRegistry()
    with registry.hold(OpenStream(lambda: False, lambda: registry._open.clear())):
        assert registry.cut_revoked() == 1
    assert len(registry) == 0
