"""What a data scientist writes by hand for the same windows: deques that an event enters and leaves, in plain Python.

Each window of an account keeps its payments in a deque with a running count and sum, the smallest and the largest in
two monotonic deques, and merchants in a counter: no window is ever summed again, which is as fast as plain Python gets.
It cannot take a late event in its place and does not notice a repeated one.
"""

from collections import Counter, deque

from features.windows import WINDOWS_MS

AMOUNT_WINDOWS = ("5m", "10m", "1h", "6h", "1d", "7d", "30d", "90d")
MERCHANT_WINDOWS = ("1h", "1d", "7d", "30d")
NAMES = (
    *(
        name.format(window)
        for window in AMOUNT_WINDOWS
        for name in (
            "account_payment_count_{}",
            "account_amount_minor_sum_{}",
            "account_amount_minor_mean_{}",
            "account_amount_minor_min_{}",
            "account_amount_minor_max_{}",
        )
    ),
    *(f"account_merchant_distinct_{window}" for window in MERCHANT_WINDOWS),
)
"""The features that it computes, in the order of its rows; the product's catalogue has them and more."""
_NAN = float("nan")


class _Amounts:
    """Payments of one window."""

    __slots__ = ("highs", "length_ms", "lows", "payments", "total")

    def __init__(self, window: str) -> None:
        self.length_ms = WINDOWS_MS[window]
        self.payments: deque[tuple[int, int]] = deque()
        self.lows: deque[tuple[int, int]] = deque()
        self.highs: deque[tuple[int, int]] = deque()
        self.total = 0

    def read(self, time_ms: int, row: list[float]) -> None:
        """Let go of what is too old, then append five features."""
        begin_ms = time_ms - self.length_ms
        payments, lows, highs = self.payments, self.lows, self.highs
        while payments and payments[0][0] <= begin_ms:
            self.total -= payments.popleft()[1]
        while lows and lows[0][0] <= begin_ms:
            lows.popleft()
        while highs and highs[0][0] <= begin_ms:
            highs.popleft()
        count = len(payments)
        if count:
            row += (count, self.total, self.total / count, lows[0][1], highs[0][1])
        else:
            row += (0, 0, _NAN, _NAN, _NAN)

    def add(self, payment: tuple[int, int]) -> None:
        """Take a payment, (time, amount), no earlier than those before."""
        amount = payment[1]
        self.payments.append(payment)
        self.total += amount
        while self.lows and self.lows[-1][1] >= amount:
            self.lows.pop()
        self.lows.append(payment)
        while self.highs and self.highs[-1][1] <= amount:
            self.highs.pop()
        self.highs.append(payment)


class _Merchants:
    """Merchants of one window."""

    __slots__ = ("counts", "length_ms", "visits")

    def __init__(self, window: str) -> None:
        self.length_ms = WINDOWS_MS[window]
        self.visits: deque[tuple[int, int]] = deque()
        self.counts: Counter[int] = Counter()

    def read(self, time_ms: int) -> int:
        """Let go of what is too old; how many are left."""
        begin_ms = time_ms - self.length_ms
        visits, counts = self.visits, self.counts
        while visits and visits[0][0] <= begin_ms:
            merchant = visits.popleft()[1]
            if counts[merchant] == 1:
                del counts[merchant]
            else:
                counts[merchant] -= 1
        return len(counts)

    def add(self, visit: tuple[int, int]) -> None:
        """Take a visit, (time, merchant)."""
        self.visits.append(visit)
        self.counts[visit[1]] += 1


class StockAccount:
    """All windows of one account."""

    __slots__ = ("amounts", "merchants")

    def __init__(self) -> None:
        self.amounts = [_Amounts(window) for window in AMOUNT_WINDOWS]
        self.merchants = [_Merchants(window) for window in MERCHANT_WINDOWS]

    def judge(self, time_ms: int, is_payment: bool, amount: int, merchant: int) -> list[float]:
        """`NAMES` of an event as of its arrival, which then joins the past."""
        row: list[float] = []
        for amounts in self.amounts:
            amounts.read(time_ms, row)
        row += [merchants.read(time_ms) for merchants in self.merchants]
        if is_payment:
            payment = (time_ms, amount)
            for amounts in self.amounts:
                amounts.add(payment)
        if merchant:
            visit = (time_ms, merchant)
            for merchants in self.merchants:
                merchants.add(visit)
        return row
