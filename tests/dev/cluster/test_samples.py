"""Whether something grows."""

from __future__ import annotations

import random

from dev.cluster.samples import Slope, means


def samples(per_hour: float, noise: float, seed: int = 1) -> list[tuple[float, float]]:
    dice = random.Random(seed)
    return [(at, 100 + per_hour * at / 3600 + dice.gauss(0, noise)) for at in range(0, 1200, 5)]


def test_what_only_trembles_is_flat() -> None:
    slopes = [Slope.of(samples(0.0, 2.0, seed)) for seed in range(100)]
    assert sum(slope.is_flat for slope in slopes) >= 90  # 95 are expected
    assert all(abs(slope.mean - 100) < 1 for slope in slopes)


def test_what_grows_is_not_flat() -> None:
    slope = Slope.of(samples(30.0, 2.0))
    assert not slope.is_flat
    assert abs(slope.per_hour - 30) < 3 * slope.error


def test_what_never_changes_is_flat() -> None:
    assert Slope.of([(at, 5.0) for at in range(0, 1200, 5)]).is_flat


def test_the_first_fifth_does_not_count() -> None:
    warm = [(at, 50.0 if at < 240 else 100.0) for at in range(0, 1200, 5)]
    assert {value for _, value in means(warm)} == {100.0}
