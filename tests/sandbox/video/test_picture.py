from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_smartlive.sandbox.video.picture import SWEEP, Picture

NOW = datetime(2026, 11, 23, 19, 30, 15, tzinfo=UTC)


def _picture(width: int = 270, height: int = 480, room: str = "Tea room", script: str = "Welcome") -> Picture:
    return Picture(width, height, room_name=room, script_title=script)


@pytest.mark.parametrize(("width", "height"), [(270, 480), (1920, 1080), (1080, 1920), (16, 16)])
def test_planes_have_the_sizes_of_yuv420p(width: int, height: int) -> None:
    luma, blue, red = _picture(width, height).planes(NOW, 0.0)
    assert len(luma) == width * height
    assert len(blue) == len(red) == width * height // 4


def test_values_stay_in_the_range_of_broadcasting() -> None:
    luma, blue, red = _picture().planes(NOW, 0.0)
    assert min(luma) >= 16
    assert max(luma) <= 235
    assert min(blue + red) >= 16
    assert max(blue + red) <= 240


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(_picture(room="Coffee room").planes(NOW, 1.0), id="room"),
        pytest.param(_picture(script="Goodbye").planes(NOW, 1.0), id="script title"),
        pytest.param(_picture().planes(NOW + timedelta(seconds=1), 1.0), id="clock"),
        pytest.param(_picture().planes(NOW, 1.1), id="marker"),
    ],
)
def test_everything_that_may_change_shows(other: tuple[bytes, bytes, bytes]) -> None:
    assert _picture().planes(NOW, 1.0) != other


def test_the_same_moment_gives_the_same_picture() -> None:
    assert _picture().planes(NOW, 1.0) == _picture().planes(NOW, 1.0)


def test_a_new_script_title_shows_at_once() -> None:
    picture = _picture()
    before = picture.planes(NOW, 1.0)
    picture.script_title = "The second part"
    after = picture.planes(NOW, 1.0)
    assert before != after
    assert after == _picture(script="The second part").planes(NOW, 1.0)


def test_texts_are_drawn_once_a_second_only(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[datetime] = []
    draw = Picture.draw
    monkeypatch.setattr(Picture, "draw", lambda self, now: (drawn.append(now), draw(self, now))[1])
    picture = _picture()
    for frame in range(50):
        picture.planes(NOW + timedelta(milliseconds=40 * frame), frame / 25)
    assert len(drawn) == 2


def test_the_marker_stays_inside_and_goes_back_and_forth() -> None:
    picture = _picture()
    places = [picture.marker(step / 10) for step in range(200)]
    assert all(0 <= left <= 270 - side and 0 <= top <= 480 - side for left, top, side in places)
    assert picture.marker(0.0) == picture.marker(2 * SWEEP)
    assert picture.marker(SWEEP)[0] > picture.marker(SWEEP / 2)[0] > picture.marker(0.0)[0]


@pytest.mark.parametrize(
    "text", ["", " ", "x" * 5000, "line\nbreak\x00\x1b[31m", "直播间", "🍵", "‮reversed", "W" * 40]
)
def test_any_text_can_be_drawn(text: str) -> None:
    luma, _, _ = _picture(64, 64, room=text, script=text).planes(NOW, 0.0)
    assert len(luma) == 64 * 64


@pytest.mark.parametrize(("width", "height"), [(271, 480), (270, 481), (0, 480), (14, 16)])
def test_sizes_that_no_codec_takes_are_refused(width: int, height: int) -> None:
    with pytest.raises(ValueError, match="width and height must be even"):
        _picture(width, height)
