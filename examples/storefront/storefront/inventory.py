"""Stock: what is on the shelf, and what is promised to customers."""


class OutOfStockError(Exception):
    """More was asked for than can be promised."""


class Inventory:
    """Counts units by SKU; reserved units stay on the shelf until they are shipped."""

    def __init__(self):
        self._on_hand = {}
        self._reserved = {}

    def receive(self, sku, quantity):
        """Put delivered units on the shelf."""
        if quantity <= 0:
            raise ValueError("a delivery has at least one unit")
        self._on_hand[sku] = self._on_hand.get(sku, 0) + quantity

    def on_hand(self, sku):
        """Return the units on the shelf, promised ones included."""
        return self._on_hand.get(sku, 0)

    def available(self, sku):
        """Return the units that can still be promised."""
        return self.on_hand(sku) + self._reserved.get(sku, 0)

    def reserve(self, sku, quantity):
        """Promise units to a customer, all of them or none."""
        if quantity > self.available(sku):
            raise OutOfStockError(f"{sku}: {quantity} wanted, {self.available(sku)} available")
        self._reserved[sku] = self._reserved.get(sku, 0) + quantity

    def release(self, sku, quantity):
        """Take back a promise."""
        if quantity > self._reserved.get(sku, 0):
            raise ValueError(f"{sku}: not that many units are reserved")
        self._reserved[sku] -= quantity

    def ship(self, sku, quantity):
        """Hand over reserved units."""
        self.release(sku, quantity)
        self._on_hand[sku] -= quantity

    def to_reorder(self, minimum):
        """Return the SKUs of which fewer than `minimum` units are on the shelf."""
        return sorted(sku for sku, units in self._on_hand.items() if units < minimum)
