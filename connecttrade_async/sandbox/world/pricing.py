"""The world's pricing of options: Black and Scholes, without interest, at one volatility for everything.

Plain functions of numbers. A call less a put of the same strike is always worth what the root is above the strike.
"""

import math
from typing import NamedTuple

__all__ = ["VOLATILITY", "Greeks", "greeks", "worth"]

VOLATILITY = 0.3
"""By how much prices are expected to move in a year."""
_DAYS = 365


class Greeks(NamedTuple):
    """How an option's worth changes.

    Attributes:
        delta: per dollar that the root rises.
        gamma: the delta, per dollar that the root rises.
        theta: per day that passes.
        vega: per percentage point of volatility.
        rho: per percentage point of interest.
        implied_volatility: the volatility that its price means, 0.3 for 30 percent; zero once it has expired.
    """

    delta: float
    gamma: float
    theta: float
    vega: float
    rho: float
    implied_volatility: float


def worth(spot: float, strike: float, years: float, *, sign: int) -> float:
    """What one unit is worth, in dollars.

    Args:
        spot: the root's price, above zero.
        strike: above zero.
        years: until it expires; from zero down it is worth what is inside.
        sign: 1 for a call, -1 for a put.
    """
    if years <= 0:
        return max(sign * (spot - strike), 0.0)
    above, below = _curve(spot, strike, years)
    return sign * (spot * _normal(sign * above) - strike * _normal(sign * below))


def greeks(spot: float, strike: float, years: float, *, sign: int) -> Greeks:
    """How the worth changes; the arguments are those of `worth`."""
    if years <= 0:
        return Greeks(float(sign) if sign * (spot - strike) > 0 else 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    above, below = _curve(spot, strike, years)
    density = math.exp(-above * above / 2) / math.sqrt(math.tau)
    root = math.sqrt(years)
    return Greeks(
        delta=sign * _normal(sign * above),
        gamma=density / (spot * VOLATILITY * root),
        theta=-spot * density * VOLATILITY / (2 * root) / _DAYS,
        vega=spot * density * root / 100,
        rho=sign * strike * years * _normal(sign * below) / 100,
        implied_volatility=VOLATILITY,
    )


def _curve(spot: float, strike: float, years: float) -> tuple[float, float]:
    """Between which places of the normal curve the strike lies: seen from the root, and from the cash."""
    deviation = VOLATILITY * math.sqrt(years)
    above = math.log(spot / strike) / deviation + deviation / 2
    return above, above - deviation


def _normal(value: float) -> float:
    return (1 + math.erf(value / math.sqrt(2))) / 2
